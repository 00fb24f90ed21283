// What happens as it happens: the leading page reads the stream, and says it to the others; each
// keeps the list. Only the leader notifies, and one page sounds.

import { call } from "../frame/api.js";
import { Alerts } from "./alerts.js";
import { Notifier } from "./notify.js";
import { Player } from "./sound.js";
import { follow } from "./stream.js";
import { Tabs } from "./tabs.js";

const FRESH_MS = 30_000; // what is older on a first visit is listed, and not announced
const AGES_MS = 20_000;

export class Live {
  #me;
  #on;
  #alerts = new Alerts();
  #tabs = null;
  #stream = null;
  #place = 0;
  #known = null; // up to here all was announced before; null: nothing is known of it
  #beats = 0; // places told on this connection
  #clock = 0; // what the server's clock is ahead of ours, ms
  #connection = "connecting";
  #presence = "";
  #preferences = null;
  #announced = Promise.resolve();
  #timer;

  constructor(me, on) {
    this.#me = me;
    this.#on = on;
    this.player = player((ready) => {
      this.#tabs?.own({ canSound: ready });
      this.#on.sound(ready);
    });
    this.notifier = new Notifier((state) => this.#on.notifications(state));
  }

  begin() {
    this.#on.sound(this.player.ready);
    this.#on.notifications(this.notifier.state);
    this.#on.connection(this.#connection);
    this.notifier.begin();
    this.#tabs = new Tabs({
      key: `${this.#me.workspace}:${this.#me.agent.id}`,
      lead: () => this.#lead(),
      hear: (message) => this.#hear(message),
    });
    this.#tabs.own({ canSound: this.player.ready });
    this.#tabs.post({ kind: "hello" });
    this.#timer = setInterval(() => this.refresh(), AGES_MS);
  }

  // --- what the page asks for

  refresh(raised) {
    const over = this.#alerts.expire(Date.now() + this.#clock);
    if (this.#tabs?.leads) over.forEach((id) => this.notifier.close(id));
    this.#on.alerts(this.#alerts.list(), raised);
  }

  view(session) {
    this.#tabs?.own({ viewing: session });
  }

  dismiss(id) {
    this.#dismissed(id);
    this.#tabs.post({ kind: "dismiss", id });
    this.notifier.close(id);
  }

  ask() {
    return this.notifier.ask();
  }

  async present(state) {
    const now = await call("PUT", "/presence", { state });
    this.#told({ kind: "presence", state: now.state });
  }

  preferences(given) {
    this.#preferences = given;
    this.#tabs?.post({ kind: "preferences", given });
  }

  async end() {
    await this.notifier.end();
    localStorage.removeItem(this.#key);
  }

  close() {
    clearInterval(this.#timer);
    this.#stream?.stop();
    this.#tabs?.close();
    this.player.changed = () => {};
  }

  // --- leading

  get #key() {
    return `relaydesk:place:${this.#me.workspace}:${this.#me.agent.id}`;
  }

  #lead() {
    this.#known = this.#place || Number(localStorage.getItem(this.#key)) || null;
    if (!this.#preferences) this.#learn();
    this.#stream = follow({
      place: this.#place,
      changed: (state) => {
        if (state === "connected") this.#beats = 0;
        this.#told({ kind: "connection", state });
      },
      heard: (event) => this.#heard(event),
    });
  }

  async #learn() {
    try {
      this.#preferences = await call("GET", "/alerts/preferences");
    } catch {
      // notifications stay generic
    }
  }

  #heard({ event, data, place, clock }) {
    this.#clock = clock;
    if (event === "presence") this.#told({ kind: "presence", state: JSON.parse(data).state });
    if (event === "message") this.#beat(place);
    if (event !== "alert") return;
    const alert = JSON.parse(data);
    const age = Date.now() + clock - Date.parse(alert.at);
    const fresh = this.#known === null ? age < FRESH_MS : place > this.#known;
    this.#told({ kind: "alert", alert, place, clock, fresh });
    this.#keep(Math.max(place, this.#known ?? 0));
  }

  // The first word of a stream is where it begins; the second comes when all that was missed was
  // told. A stream that was made anew counts from its start again.
  #beat(place) {
    this.#beats += 1;
    if (this.#beats < 2) return;
    if (this.#beats === 2) {
      const listed = () => this.#alerts.list().map(({ id }) => id);
      this.#announced = this.#announced.then(() => this.notifier.keepOnly(listed)).catch(() => {});
    }
    this.#place = this.#known = place;
    this.#keep(place);
  }

  #keep(place) {
    localStorage.setItem(this.#key, String(place));
  }

  #told(message) {
    this.#tabs.post(message);
    this.#hear(message);
  }

  // One after the other, so that what is cleared does not overtake what was raised.
  #announceNext(...told) {
    this.#announced = this.#announced.then(() => this.#announce(...told)).catch(() => {});
  }

  async #announce(alert, became, fresh) {
    if (became === "cleared") return this.notifier.close(alert.id);
    const pages = await this.#tabs.living();
    const viewed = pages.some(([, { viewing }]) => viewing === alert.session);
    if (alert.session && viewed) return undefined;
    const raised = became === "raised" && fresh;
    const sounds = Boolean(alert.sound) && alert.sound !== "none";
    const by = raised && sounds ? (pages.find(([, { canSound }]) => canSound)?.[0] ?? "") : "";
    if (by === this.#tabs.id) this.player.play(alert.sound, alert.volume);
    else if (by) {
      const { sound, volume } = alert;
      this.#tabs.post({ kind: "play", to: by, sound, volume });
    }
    if (became === "raised" && !fresh) return undefined;
    return this.notifier.show(alert, {
      lockScreen: this.#preferences?.lock_screen ?? "generic",
      silent: !raised || !sounds || by !== "", // ours is the sound, where we have one
      again: raised,
    });
  }

  // --- hearing

  #hear(message) {
    switch (message.kind) {
      case "alert": {
        const became = this.#alerts.apply(message.alert, message.place);
        this.#place = message.place;
        this.#clock = message.clock;
        if (!became) return;
        if (this.#tabs.leads) this.#announceNext(message.alert, became, message.fresh);
        this.refresh(became === "raised" && message.fresh ? message.alert : undefined);
        break;
      }
      case "connection":
        this.#connection = message.state;
        this.#on.connection(message.state);
        break;
      case "presence":
        this.#presence = message.state;
        this.#on.presence(message.state);
        break;
      case "play":
        this.player.play(message.sound, message.volume);
        break;
      case "dismiss":
        this.#dismissed(message.id);
        break;
      case "preferences":
        this.#preferences = message.given;
        break;
      case "hello":
        if (this.#tabs.leads) this.#brief(message.from);
        break;
      case "state":
        this.#briefed(message);
        break;
    }
  }

  #dismissed(id) {
    this.#alerts.dismiss(id);
    this.refresh();
  }

  #brief(to) {
    this.#tabs.post({
      kind: "state",
      to,
      alerts: this.#alerts.whole(),
      place: this.#place,
      connection: this.#connection,
      presence: this.#presence,
      preferences: this.#preferences,
    });
  }

  #briefed({ alerts, place, connection, presence, preferences }) {
    this.#alerts.take(alerts);
    this.#place = place;
    this.#preferences ??= preferences;
    this.#hear({ kind: "connection", state: connection });
    if (presence) this.#hear({ kind: "presence", state: presence });
    this.refresh();
  }
}

// One for the page, however often somebody logs in: browsers count them.
let made = null;
function player(changed) {
  made ??= new Player();
  made.changed = changed;
  return made;
}
