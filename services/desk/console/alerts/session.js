// A session as an alert leads to it: whose it is and what was said last. Opening it marks it read.

import { Refused, call } from "../frame/api.js";
import { el } from "../frame/dom.js";
import { words } from "../frame/en.js";
import { channelName, clockTime } from "./phrases.js";

const said = words.session;
const SHOWN = 50;

export class SessionView {
  #id;
  #me;
  #seen = -1;
  #head = el("div", { class: "session-head" });
  #talk = el("ol", { class: "talk", tabindex: "0", "aria-label": words.session.title });
  #note = el("p", { class: "note", role: "status" }, said.loading);

  constructor(id, me) {
    this.#id = id;
    this.#me = me;
    const named = { class: "session", "aria-label": said.title };
    this.element = el("section", named, this.#head, this.#note, this.#talk);
  }

  // Read it again; while somebody looks at it, what is shown has been read.
  // Once although nothing is new: an alert may be of something else than a message.
  async load(looking, { anew = false } = {}) {
    const path = `/sessions/${encodeURIComponent(this.#id)}`;
    try {
      const [session, page] = await Promise.all([
        call("GET", path),
        call("GET", `${path}/messages?limit=${SHOWN}`),
      ]);
      this.#show(session, page);
      const reads = looking && this.#me.role !== "read_only";
      if (reads && (anew || session.inbound > this.#seen)) {
        await call("PUT", `${path}/read`, { up_to: session.inbound });
        this.#seen = session.inbound;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    if (this.#talk.childElementCount) return; // what is shown is old, and better than nothing
    const missing = error instanceof Refused && error.status === 404;
    this.#note.textContent = missing ? said.missing : said.failed;
    this.#note.hidden = false;
    if (missing) return;
    this.#note.append(
      " ",
      el("button", { type: "button", onclick: () => this.load(true) }, said.again),
    );
  }

  #show(session, page) {
    const owner = session.owner;
    const mine = session.assignees.some(({ id }) => id === this.#me.agent.id);
    const takes = !mine && (session.list === "unassigned" || session.list === "bot_hosted");
    this.#head.replaceChildren(
      el("h2", { tabindex: "-1" }, session.contact.name || words.alerts.someone),
      el(
        "p",
        { class: "line" },
        el("span", { class: "chip" }, words.lists[session.list] ?? session.list),
        el("span", { class: "chip" }, channelName(session.channel)),
        el("span", { class: "dim" }, owner ? said.owner(owner.name) : said.noOwner),
        takes && this.#me.role !== "read_only" ? this.#taker() : null,
      ),
    );
    const entries = page.items.map((entry) => this.#entry(entry)).reverse(); // oldest first
    if (page.next) entries.unshift(el("li", { class: "system" }, said.earlier));
    const end = this.#talk.scrollHeight - this.#talk.scrollTop - this.#talk.clientHeight < 40;
    this.#talk.replaceChildren(...entries);
    if (end) this.#talk.scrollTop = this.#talk.scrollHeight;
    this.#note.textContent = said.empty;
    this.#note.hidden = page.items.length > 0;
  }

  #taker() {
    const take = async (event) => {
      event.target.disabled = true;
      try {
        await call("POST", `/sessions/${encodeURIComponent(this.#id)}/claim`);
      } catch (error) {
        this.#note.textContent = error.message;
        this.#note.hidden = false;
      }
      await this.load(true);
    };
    return el("button", { type: "button", class: "primary small", onclick: take }, said.take);
  }

  #entry(entry) {
    const from = entry.sender;
    const kind = entry.kind === "message" ? (entry.direction === "out" ? "out" : "in") : entry.kind;
    const mine = from.kind === "agent" && from.id === this.#me.agent.id;
    const name = mine ? said.you : from.name || said.kinds[from.kind] || "";
    const label = { note: `${said.note} · ${name}`, system: "" }[kind] ?? name;
    return el(
      "li",
      { class: kind },
      el(
        "span",
        { class: "from" },
        label ? `${label} · ` : "",
        el("time", { datetime: entry.at }, clockTime(entry.at)),
      ),
      el("span", { class: "text" }, entry.deleted ? said.deleted : entry.text || what(entry)),
    );
  }
}

function what(entry) {
  if (entry.attachments?.length) {
    const names = entry.attachments.map((file) => `${said.file}: ${file.name || file.kind || ""}`);
    return names.join("\n");
  }
  return entry.what ? entry.what.replaceAll("_", " ") : said.file;
}
