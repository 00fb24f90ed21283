// How the agent wants to be alerted. What the workspace has locked is shown, and cannot be changed.

import { call } from "../frame/api.js";
import { el } from "../frame/dom.js";
import { words } from "../frame/en.js";
import { clockTime } from "./phrases.js";
import { notificationHint } from "./shell.js";

const said = words.prefs;
const METHODS = ["browser", "email", "webhook"];

export class SettingsView {
  #live;
  #boxes = new Map(); // trigger -> method -> checkbox
  #sounds = new Map(); // trigger -> select, and what it said
  #fields = {};
  #muted = "";
  #before = {}; // what the form showed first, by name
  #state = el("p", { class: "note", role: "status" }, said.loading);
  #notifications = el("div", { class: "hint" });
  #body = el("div");
  #save;

  constructor(live) {
    this.#live = live;
    this.element = el(
      "section",
      { class: "settings", "aria-labelledby": "settings-title" },
      el("h2", { id: "settings-title" }, said.title),
      this.#body,
      this.#state,
    );
  }

  async load() {
    try {
      const given = await call("GET", "/alerts/preferences");
      this.#state.textContent = "";
      this.#body.replaceChildren(this.#form(given));
      this.notifications(this.#live.notifier.state);
    } catch (error) {
      this.#state.textContent = error.status === 401 ? "" : said.failed;
    }
  }

  notifications(state) {
    this.#notifications.replaceChildren(...notificationHint(state, () => this.#live.ask()));
    this.#notifications.hidden = this.#notifications.childElementCount === 0;
  }

  #form(given) {
    this.#save = el("button", { type: "submit", class: "primary" }, said.save);
    const form = el(
      "form",
      { onsubmit: (event) => this.#submit(event) },
      this.#events(given),
      this.#delivery(given),
      el(
        "fieldset",
        {},
        el("legend", {}, said.notifications),
        this.#notifications,
        this.#choice("lock_screen", said.privacy, said.lockScreens, given.lock_screen),
        this.#choice("absent", said.absent, said.absents, given.absent),
      ),
      el(
        "p",
        { class: "line" },
        this.#save,
        el("button", { type: "button", onclick: () => this.#test() }, said.test),
      ),
    );
    this.#before = this.#values();
    return form;
  }

  #events(given) {
    const rows = given.effective.map((held) => this.#event(held, given.sounds));
    return el(
      "fieldset",
      {},
      el("legend", {}, said.events),
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("td"),
            ...METHODS.map((method) => el("th", { scope: "col" }, said.method[method])),
            el("th", { scope: "col" }, said.sound),
          ),
        ),
        el("tbody", {}, ...rows),
      ),
    );
  }

  #event({ trigger, methods, locked }, sounds) {
    const name = words.triggers[trigger] ?? trigger;
    const note = `why-${trigger.replaceAll(/\W/g, "-")}`;
    const boxes = new Map();
    const cells = METHODS.map((method) => {
      const box = el("input", {
        type: "checkbox",
        name: `${trigger}:${method}`,
        checked: methods.includes(method),
        disabled: locked,
        "aria-label": `${name}: ${said.method[method]}`,
        "aria-describedby": note,
      });
      boxes.set(method, box);
      return el("td", {}, box);
    });
    const options = { "": said.soundDefault, ...said.sounds };
    const sound = select(`sound-${note}`, options, sounds[trigger] ?? "");
    sound.setAttribute("aria-label", `${name}: ${said.sound}`);
    this.#sounds.set(trigger, { sound, before: sound.value });
    if (!locked) this.#boxes.set(trigger, { boxes, before: methods });
    return el(
      "tr",
      { "data-trigger": trigger, class: locked ? "locked" : "" },
      el(
        "th",
        { scope: "row" },
        name,
        el(
          "span",
          { class: "help", id: note },
          words.triggerHelp[trigger] ?? "",
          locked ? el("span", { class: "help why" }, said.locked) : null,
        ),
      ),
      ...cells,
      el("td", {}, sound),
    );
  }

  #delivery(given) {
    const { sound, volume, mute, quiet } = (this.#fields = {
      ...this.#fields,
      sound: select("sound", said.sounds, given.sound),
      volume: el("input", {
        id: "volume", type: "range", min: 0, max: 100, step: 5, value: given.volume,
      }),
      mute: this.#mute(given),
      quiet: el("input", { id: "quiet", type: "checkbox", checked: given.quiet_hours !== null }),
      from: time("from", given.quiet_hours?.start ?? "22:00"),
      until: time("until", given.quiet_hours?.end ?? "07:00"),
      zone: el(
        "select",
        { id: "zone" },
        el("option", { value: "" }, said.zoneDefault),
        ...zones(given.zone).map((zone) => el("option", { value: zone }, zone)),
      ),
    });
    this.#fields.zone.value = given.zone;
    const tried = () =>
      this.#live.player.play(sound.value, Number(volume.value), { always: true });
    const hours = el(
      "div",
      { class: "line hours" },
      field(said.from, this.#fields.from),
      field(said.until, this.#fields.until),
      field(said.zone, this.#fields.zone),
    );
    const toggled = () => (hours.hidden = !quiet.checked);
    quiet.addEventListener("change", toggled);
    toggled();
    return el(
      "fieldset",
      {},
      el("legend", {}, said.delivery),
      el(
        "div",
        { class: "line" },
        field(said.sound, sound),
        el("button", { type: "button", onclick: tried }, said.tryIt),
        field(said.volume, volume),
      ),
      el("div", { class: "line" }, field(said.mute, mute)),
      el("p", { class: "help" }, said.muteHelp),
      el("label", { class: "check" }, quiet, said.quiet),
      el("p", { class: "help" }, said.quietHelp),
      hours,
    );
  }

  // Muting is for a time: what is chosen anew begins to count when it is saved.
  #mute({ muted, muted_until }) {
    const options = { ...said.mutes };
    if (muted && muted_until) options.kept = said.mutedUntil(clockTime(muted_until));
    this.#muted = muted ? (muted_until ? "kept" : "on") : "off";
    return select("mute", options, this.#muted);
  }

  async #muteAsChosen() {
    const chosen = this.#fields.mute.value;
    if (chosen === this.#muted) return null;
    if (chosen === "off") return call("DELETE", "/alerts/mute");
    const minutes = Number(chosen.replace("min", ""));
    return call("POST", "/alerts/mute", chosen === "on" ? {} : { minutes });
  }

  #choice(name, label, options, value) {
    this.#fields[name] = select(name.replace("_", "-"), options, value);
    return field(label, this.#fields[name]);
  }

  #chosen() {
    const triggers = {};
    for (const [trigger, { boxes, before }] of this.#boxes) {
      const methods = METHODS.filter((method) => boxes.get(method).checked);
      if (methods.join() !== METHODS.filter((method) => before.includes(method)).join()) {
        triggers[trigger] = methods; // what was not touched stays as the workspace has it
      }
    }
    const sounds = {};
    for (const [trigger, { sound, before }] of this.#sounds) {
      if (sound.value !== before) sounds[trigger] = sound.value || null;
    }
    return { triggers, sounds, ...this.#changed() };
  }

  // Only what was changed here is sent: the rest may have been changed elsewhere meanwhile.
  #changed() {
    const differs = ([name, value]) =>
      JSON.stringify(value) !== JSON.stringify(this.#before[name]);
    return Object.fromEntries(Object.entries(this.#values()).filter(differs));
  }

  #values() {
    const { sound, volume, quiet, from, until, zone, lock_screen, absent } = this.#fields;
    return {
      sound: sound.value,
      volume: Number(volume.value),
      quiet_hours: quiet.checked ? { start: from.value, end: until.value } : null,
      zone: zone.value,
      lock_screen: lock_screen.value,
      absent: absent.value,
    };
  }

  async #submit(event) {
    event.preventDefault();
    this.#save.disabled = true;
    this.#state.textContent = "";
    try {
      let kept = await call("PATCH", "/alerts/preferences", this.#chosen());
      kept = (await this.#muteAsChosen()) ?? kept;
      this.#live.preferences(kept);
      this.#body.replaceChildren(this.#form(kept));
      this.#state.textContent = said.saved;
    } catch (error) {
      this.#state.textContent = error.message;
    } finally {
      this.#save.disabled = false;
    }
  }

  async #test() {
    try {
      await call("POST", "/alerts/test", { methods: ["browser"] });
      this.#state.textContent = said.tested;
    } catch (error) {
      this.#state.textContent = error.message || said.notTested;
    }
  }
}

function field(text, control) {
  return el("div", { class: "field" }, el("label", { for: control.id }, text), control);
}

function select(id, options, value) {
  const made = el(
    "select",
    { id },
    ...Object.entries(options).map(([name, text]) => el("option", { value: name }, text)),
  );
  made.value = value;
  return made;
}

function time(id, value) {
  return el("input", { id, type: "time", required: true, value });
}

function zones(own) {
  const known = Intl.supportedValuesOf?.("timeZone") ?? [];
  return own && !known.includes(own) ? [own, ...known] : known;
}
