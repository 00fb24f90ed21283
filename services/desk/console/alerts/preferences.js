// How the agent wants to be alerted. What the workspace has locked is shown, and cannot be changed.

import { call } from "../frame/api.js";
import { html, useId, useState } from "../frame/html.js";
import { standing } from "../frame/shell.js";
import { clock, has, t } from "../frame/words.js";
import { SettingsPage } from "../settings/frame.js";
import { Button, Card, Checkbox, Field, Problem, Select, TextField, Waiting, toast, useGet, useWork } from "../ui/index.js";
import { Hints } from "./hints.js";
import { triggerName } from "./phrases.js";

const METHODS = ["browser", "email", "webhook"];
const SOUNDS = ["chime", "bell", "knock", "pop", "none"];
const MUTES = ["off", "min30", "min60", "min480", "on"];

export default function PreferencesView() {
  const kept = useGet("/alerts/preferences");
  return html`<${SettingsPage} title=${t("alerts.prefs.title")} hint=${t("alerts.prefs.hint")}>
    <${Problem} error=${kept.error} retry=${kept.reload} />
    ${kept.data ? html`<${Form} given=${kept.data} onKept=${kept.set} />` : kept.loading && html`<${Waiting} />`}
  <//>`;
}

// What of a form may be sent: the values that were changed here, since the rest may have been
// changed elsewhere meanwhile.
function values(given) {
  const { triggers, sounds, sound, volume, quiet_hours, zone, lock_screen, absent } = given;
  return { triggers, sounds, sound, volume, quiet_hours, zone, lock_screen, absent };
}

function changed(now, before) {
  const differs = ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]);
  return Object.fromEntries(Object.entries(now).filter(differs));
}

function Form({ given, onKept }) {
  const before = values(given);
  const [now, put] = useState({ ...before, triggers: {}, sounds: {} });
  const mutedBefore = given.muted ? (given.muted_until ? "kept" : "on") : "off";
  const [mute, setMute] = useState(mutedBefore);
  const set = (more) => put((old) => ({ ...old, ...more }));
  const save = useWork(async () => {
    const { triggers, sounds, ...rest } = now;
    const body = { ...changed(rest, before), triggers, sounds };
    let kept = await call("PATCH", "/alerts/preferences", body);
    if (mute !== mutedBefore) kept = await muted(mute);
    standing.value.live.preferences(kept);
    onKept(kept);
    put({ ...values(kept), triggers: {}, sounds: {} });
    setMute(kept.muted ? (kept.muted_until ? "kept" : "on") : "off");
    toast(t("ui.saved"));
  });
  const test = useWork(async () => {
    await call("POST", "/alerts/test", { methods: ["browser"] });
    toast(t("alerts.prefs.tested"));
  });
  const submit = (event) => {
    event.preventDefault();
    save.run();
  };
  return html`<form class="form wide" onSubmit=${submit}>
    <${Events} given=${given} now=${now} set=${set} />
    <${Delivery} given=${given} now=${now} set=${set} mute=${mute} setMute=${setMute} />
    <${Card} title=${t("alerts.prefs.notifications")}>
      <${Hints} whole />
      <${Select} label=${t("alerts.prefs.privacy")} value=${now.lock_screen} onChange=${(lock_screen) => set({ lock_screen })}
        options=${["generic", "contact", "excerpt"].map((one) => [one, t(`alerts.prefs.lock.${one}`)])} />
      <${Select} label=${t("alerts.prefs.absent")} value=${now.absent} onChange=${(absent) => set({ absent })}
        options=${["if_nobody", "always"].map((one) => [one, t(`alerts.prefs.absent.${one}`)])} />
    <//>
    <${Problem} error=${save.error ?? test.error} />
    <p class="form-end">
      <${Button} type="submit" kind="primary" busy=${save.busy}>${t("ui.save")}<//>
      <${Button} busy=${test.busy} onClick=${test.run}>${t("alerts.prefs.test")}<//>
    </p>
  </form>`;
}

function muted(chosen) {
  if (chosen === "off") return call("DELETE", "/alerts/mute");
  const minutes = Number(chosen.replace("min", ""));
  return call("POST", "/alerts/mute", chosen === "on" ? {} : { minutes });
}

function Events({ given, now, set }) {
  return html`<${Card} title=${t("alerts.prefs.events")}>
    <div class="table-box">
      <table class="events">
        <thead><tr>
          <th scope="col">${t("alerts.prefs.event")}</th>
          ${METHODS.map((method) => html`<th key=${method} scope="col">${t(`alerts.method.${method}`)}</th>`)}
          <th scope="col">${t("alerts.prefs.sound")}</th>
        </tr></thead>
        <tbody>${given.effective.map((held) => html`<${Event} key=${held.trigger} held=${held} given=${given} now=${now} set=${set} />`)}</tbody>
      </table>
    </div>
  <//>`;
}

function Event({ held: { trigger, methods, locked }, given, now, set }) {
  const id = useId();
  const chosen = now.triggers[trigger] ?? methods;
  const name = triggerName(trigger);
  const toggle = (method, on) => {
    const next = METHODS.filter((one) => (one === method ? on : chosen.includes(one)));
    const { [trigger]: _, ...others } = now.triggers;
    const same = next.join() === METHODS.filter((one) => methods.includes(one)).join();
    set({ triggers: same ? others : { ...others, [trigger]: next } });
  };
  const soundBefore = given.sounds[trigger] ?? "";
  const sound = Object.hasOwn(now.sounds, trigger) ? (now.sounds[trigger] ?? "") : soundBefore;
  const setSound = (event) => {
    const { [trigger]: _, ...others } = now.sounds;
    const value = event.target.value;
    set({ sounds: value === soundBefore ? others : { ...others, [trigger]: value || null } });
  };
  return html`<tr data-trigger=${trigger} class=${locked ? "locked" : ""}>
    <th scope="row">
      ${name}
      <span class="hint-text" id=${id}>${has(`alerts.help.${trigger}`) && t(`alerts.help.${trigger}`)}
        ${locked && html`<span class="why">${t("alerts.prefs.locked")}</span>`}</span>
    </th>
    ${METHODS.map(
      (method) => html`<td key=${method}><input
        type="checkbox" aria-label=${`${name}: ${t(`alerts.method.${method}`)}`} aria-describedby=${id}
        checked=${chosen.includes(method)} disabled=${locked} onChange=${(event) => toggle(method, event.target.checked)}
      /></td>`,
    )}
    <td><select aria-label=${`${name}: ${t("alerts.prefs.sound")}`} value=${sound} onChange=${setSound}>
      ${["", ...SOUNDS].map((one) => html`<option key=${one} value=${one} selected=${one === sound}>${t(`alerts.sound.${one || "default"}`)}</option>`)}
    </select></td>
  </tr>`;
}

function Delivery({ given, now, set, mute, setMute }) {
  const mutes = MUTES.map((one) => [one, t(`alerts.mute.${one}`)]);
  if (given.muted && given.muted_until) mutes.push(["kept", t("alerts.mute.kept", { time: clock(given.muted_until) })]);
  const quiet = now.quiet_hours;
  const play = () => standing.value.live.player.play(now.sound, now.volume, { always: true });
  return html`<${Card} title=${t("alerts.prefs.delivery")}>
    <div class="line-up">
      <${Select} label=${t("alerts.prefs.sound")} value=${now.sound} onChange=${(sound) => set({ sound })}
        options=${SOUNDS.map((one) => [one, t(`alerts.sound.${one}`)])} />
      <${Button} icon="volume-2" onClick=${play}>${t("alerts.prefs.try")}<//>
      <${Field} label=${t("alerts.prefs.volume")}>
        ${(control) => html`<input ...${control} type="range" min="0" max="100" step="5" value=${now.volume} onInput=${(event) => set({ volume: Number(event.target.value) })} />`}
      <//>
    </div>
    <${Select} label=${t("alerts.prefs.mute")} hint=${t("alerts.prefs.mute_help")} value=${mute} onChange=${setMute} options=${mutes} />
    <${Checkbox} label=${t("alerts.prefs.quiet")} checked=${quiet !== null}
      onChange=${(on) => set({ quiet_hours: on ? { start: "22:00", end: "07:00" } : null })} />
    <p class="hint-text">${t("alerts.prefs.quiet_help")}</p>
    ${quiet && html`<div class="line-up">
      <${TextField} type="time" label=${t("alerts.prefs.from")} required value=${quiet.start} onInput=${(start) => set({ quiet_hours: { ...quiet, start } })} />
      <${TextField} type="time" label=${t("alerts.prefs.until")} required value=${quiet.end} onInput=${(end) => set({ quiet_hours: { ...quiet, end } })} />
      <${Select} label=${t("alerts.prefs.zone")} value=${now.zone} onChange=${(zone) => set({ zone })}
        options=${[["", t("alerts.prefs.zone_default")], ...zones(now.zone).map((zone) => [zone, zone])]} />
    </div>`}
  <//>`;
}

function zones(own) {
  const known = Intl.supportedValuesOf?.("timeZone") ?? [];
  return own && !known.includes(own) ? [own, ...known] : known;
}
