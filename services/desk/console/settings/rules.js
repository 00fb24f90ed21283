// The rules: an ordered list, each as a sentence; changed in an editor, tried before they count.

import { ask } from "../frame/api.js";
import { html, useCallback, useEffect, useRef, useState } from "../frame/html.js";
import { t } from "../frame/words.js";
import { Button, Empty, Icon, Problem, Waiting, confirm, toast, useWork } from "../ui/index.js";
import { SettingsPage } from "./frame.js";
import { moved } from "./idle_rules.js";
import { DryRun } from "./dry_run.js";
import { RuleEditor } from "./rule_editor.js";
import { RuleRow } from "./rule_row.js";
import { useKnown } from "./rule_known.js";
import { freshRule, idOf } from "./rule_parts.js";

// {rules, warnings, error, loading, reload, change(method, path, body)}: each change is made to the
// version that was seen.
function useRules() {
  const [state, put] = useState({ rules: null, warnings: [], error: null });
  const etag = useRef("");
  const reload = useCallback(async () => {
    try {
      const { body, etag: version } = await ask("GET", "/rules");
      etag.current = version;
      put({ rules: body.items, warnings: body.warnings ?? [], error: null });
    } catch (error) {
      put((old) => ({ ...old, error }));
    }
  }, []);
  const change = useCallback(async (method, path, body) => {
    try {
      await ask(method, path, body, { etag: etag.current });
    } catch (error) {
      if (error.status !== 412) throw error;
      await reload();
      throw new Error(t("ui.changed"));
    }
    await reload();
  }, []);
  useEffect(() => void reload(), []);
  return { ...state, reload, change };
}

export default function RulesView() {
  const rules = useRules();
  const { known, ready } = useKnown();
  const [edited, edit] = useState(null);
  const close = () => edit(null);
  const save = async (rule) => {
    const id = rule.id || idOf(rule.name, rules.rules.map((one) => one.id));
    await rules.change("PUT", `/rules/${encodeURIComponent(id)}`, { ...rule, id });
    toast(t("rules.saved"));
    close();
  };
  return html`<${SettingsPage} title=${t("settings.nav.rules")} hint=${t("rules.hint")}
    actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => edit(freshRule())}>${t("rules.new")}<//>`}>
    <${Problem} error=${rules.error} retry=${rules.reload} />
    ${!rules.rules && !rules.error && html`<${Waiting} />`}
    ${rules.warnings.map((text) => html`<p key=${text} class="notice warned"><${Icon} name="triangle-alert" size=${16} />${text}</p>`)}
    ${rules.rules?.length === 0 && html`<${Empty} icon="route" title=${t("rules.none")}>${t("rules.none_more")}<//>`}
    ${rules.rules?.length > 0 && ready && html`<${RuleList} rules=${rules} known=${known} edit=${edit} />`}
    ${rules.rules && html`<${DryRun} known=${known} rules=${rules.rules} />`}
    ${edited && html`<${RuleEditor} key=${edited.id} rule=${edited} known=${known} rules=${rules.rules} save=${save} onClose=${close} />`}
  <//>`;
}

function RuleList({ rules, known, edit }) {
  const [order, put] = useState(rules.rules);
  const [dragged, drag] = useState(-1);
  const [heard, say] = useState("");
  useEffect(() => put(rules.rules), [rules.rules]);
  const work = useWork((method, path, body) => rules.change(method, path, body));
  const place = async (from, to) => {
    const next = moved(order, from, to);
    if (next === order) return;
    put(next);
    say(t("rules.moved", { name: next[to].name || next[to].id, n: to + 1, of: next.length }));
    if (!(await work.run("PUT", "/rules/order", { ids: next.map(({ id }) => id) }))) put(rules.rules);
  };
  const remove = async (rule) => {
    const agreed = await confirm({ title: t("rules.delete", { name: rule.name || rule.id }), text: t("rules.delete_text"), action: t("ui.delete"), danger: true });
    if (agreed) await work.run("DELETE", `/rules/${encodeURIComponent(rule.id)}`);
  };
  const over = (event, at) => {
    if (dragged < 0) return;
    event.preventDefault();
    if (dragged === at) return;
    put(moved(order, dragged, at));
    drag(at);
  };
  const dropped = async () => {
    drag(-1);
    if (order.some((one, at) => one.id !== rules.rules[at]?.id)) {
      if (!(await work.run("PUT", "/rules/order", { ids: order.map(({ id }) => id) }))) put(rules.rules);
    }
  };
  return html`<${Problem} error=${work.error} />
    <p class="hint-text">${t("rules.order")}</p>
    <p class="apart" role="status">${heard}</p>
    <ol class="rule-list">
      ${order.map((rule, at) => html`<${RuleRow} key=${rule.id} ...${{ rule, at, known, count: order.length, dragged: dragged === at }}
        onEdit=${() => edit(rule)} onMove=${(to) => place(at, to)} onDelete=${() => remove(rule)}
        onCopy=${() => edit({ ...rule, id: "", name: t("rules.copy_of", { name: rule.name || rule.id }) })}
        onEnable=${(enabled) => work.run("PUT", `/rules/${encodeURIComponent(rule.id)}`, { ...rule, enabled })}
        onDragStart=${() => drag(at)} onDragOver=${(event) => over(event, at)} onDragEnd=${dropped} />`)}
    </ol>`;
}
