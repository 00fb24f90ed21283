// Who has the session: pick anybody (B13), or take several off by "–", pick, Finish (B16).

import { html, useMemo, useState } from "../frame/html.js";
import { me } from "../frame/me.js";
import { clock, t } from "../frame/words.js";
import { Avatar, Button, Dialog, Icon, Problem, Waiting, useGet } from "../ui/index.js";
import { assign, exclude } from "./actions.js";

export function AssignDialog({ thread, onClose }) {
  const session = thread.session.value;
  const agents = useGet("/agents");
  const presence = useGet("/presence");
  const [out, putOut] = useState(null); // ids picked to be taken off; null: not taking off
  const [q, find] = useState("");
  const [busy, putBusy] = useState(false);
  const seats = session.assignees;
  const run = async (work) => {
    putBusy(true);
    const done = await work();
    putBusy(false);
    if (done) onClose();
  };
  const there = new Map((presence.data?.items ?? []).map((one) => [one.agent, one.state]));
  const rows = useMemo(() => offered(agents.data?.items ?? [], there, q), [agents.data, presence.data, q]);
  const pick = (id) => putOut(out.includes(id) ? out.filter((one) => one !== id) : [...out, id]);
  const footer = out
    ? html`<${Button} onClick=${() => putOut(null)}>${t("ui.cancel")}<//>
        <${Button} kind="primary" busy=${busy} disabled=${!out.length} onClick=${() => run(() => exclude(thread, out))}>${t("talk.finish")}<//>`
    : html`<${Button} onClick=${onClose}>${t("ui.close")}<//>`;
  return html`<${Dialog} title=${t("talk.assign.title")} onClose=${onClose} footer=${footer}>
    ${seats.length > 0 && html`<section>
      <header class="talk-split"><h3>${t("talk.assignees")}</h3>
        ${out === null && html`<${Button} small icon="minus" onClick=${() => putOut([])} aria-label=${t("talk.exclude")} title=${t("talk.exclude")}>${t("talk.exclude.short")}<//>`}</header>
      ${out && html`<p class="hint-text">${t("talk.exclude.hint")}</p>`}
      <ul class="talk-people">${seats.map((seat) => html`<${Seat} key=${seat.id} seat=${seat} out=${out} pick=${pick} />`)}</ul>
    </section>`}
    ${out === null && html`<section>
      <label class="search"><span class="apart">${t("talk.assign.find")}</span>
        <input type="search" autofocus placeholder=${t("talk.assign.find")} value=${q} onInput=${(event) => find(event.target.value)} /></label>
      <${Problem} error=${agents.error} retry=${agents.reload} />
      ${agents.loading && html`<${Waiting} />`}
      <ul class="talk-people">${rows.map((agent) => html`<${Person} key=${agent.id} agent=${agent} state=${there.get(agent.id)} seats=${seats} busy=${busy}
        onOwner=${() => run(() => assign(thread, [agent.id]))}
        onBeside=${() => run(() => assign(thread, [...seats.map(({ id }) => id), agent.id]))} />`)}</ul>
      ${agents.data && !rows.length && html`<p class="dim">${t("talk.assign.none")}</p>`}
    </section>`}
  <//>`;
}

const ORDER = { online: 0, away: 1, offline: 2 };

// Who may have it, those who are there first.
function offered(agents, there, q) {
  const wanted = q.trim().toLocaleLowerCase();
  const rank = ({ id }) => (id === me.value.agent.id ? -1 : (ORDER[there.get(id)] ?? 2));
  return agents
    .filter(({ disabled, role, name }) => !disabled && role !== "read_only" && name.toLocaleLowerCase().includes(wanted))
    .sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name));
}

function Seat({ seat, out, pick }) {
  const who = html`<${Avatar} name=${seat.name} id=${seat.id} size="small" />
    <span class="talk-grow"><bdi>${seat.name}</bdi>${seat.owner && html` <span class="chip good"><${Icon} name="star" size=${11} />${t("talk.owner.is")}</span>`}
    <small class="dim">${t("talk.since", { since: clock(seat.since) })}</small></span>`;
  if (out === null) return html`<li><div class="talk-person">${who}</div></li>`;
  return html`<li><label class="talk-person"><input type="checkbox" checked=${out.includes(seat.id)} onChange=${() => pick(seat.id)} />${who}</label></li>`;
}

function Person({ agent, state, seats, busy, onOwner, onBeside }) {
  const has = seats.find(({ id }) => id === agent.id);
  const place = agent.limit ? t("talk.load.of", { n: agent.load, limit: agent.limit }) : t("talk.load", { n: agent.load });
  return html`<li class="talk-person">
    <span class="talk-dot" data-state=${state ?? "offline"} title=${t(`frame.presence.${state ?? "offline"}`)}></span>
    <${Avatar} name=${agent.name} id=${agent.id} size="small" />
    <span class="talk-grow"><bdi>${agent.id === me.value.agent.id ? t("talk.assign.me", { name: agent.name }) : agent.name}</bdi>
      <small class="dim">${t(`frame.presence.${state ?? "offline"}`)} · ${place}</small></span>
    ${seats.length > 0 && !has && html`<${Button} small busy=${busy} onClick=${onBeside} aria-label=${t("talk.assign.beside", { name: agent.name })}>${t("talk.assign.add")}<//>`}
    ${!(has?.owner && seats.length === 1) && html`<${Button} small kind="primary" busy=${busy} onClick=${onOwner} aria-label=${t("talk.assign.to", { name: agent.name })}>${t("talk.assign")}<//>`}
  </li>`;
}
