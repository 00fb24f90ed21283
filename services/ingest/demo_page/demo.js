// What a website may do with the chat besides its one line, see docs/web-plugin.md.
window.relaydesk ??= (...call) => (window.relaydesk.q ??= []).push(call);
const begin = () => {
  document.getElementById("ask").addEventListener("click", () => window.relaydesk("open"));
  window.relaydesk("on", "unread", (count) => {
    document.getElementById("unread").textContent = count ? `${count} unread` : "";
  });
};
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
