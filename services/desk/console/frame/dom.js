// What is said to screen readers, wherever the page stands.

export function say(text) {
  document.getElementById("said").textContent = text;
}
