// A rule as a sentence: when, if, then.

import { language, t } from "../frame/words.js";
import { CONDITIONS } from "./rule_parts.js";
import { nameIn } from "./rule_known.js";

function listed(words, type) {
  return new Intl.ListFormat(language.value, { type }).format(words.map(String));
}

export function conditionWords(condition, known) {
  const parts = Object.fromEntries(CONDITIONS[condition.if]?.map((field) => [field.name, said(condition, field, known)]) ?? []);
  const key = `rules.say.${condition.if}${variant(condition)}`;
  const text = t(key, { ...parts, value: condition.value ?? "" });
  return condition.negate ? t("rules.say.not", { text }) : text;
}

// The same condition said in other words by what it is set to.
function variant({ if: kind, ...given }) {
  if (kind === "words") return given.all_of ? ".all" : "";
  if (kind === "field") return `.${given.op}`;
  if (kind === "hours") return given.open ? ".open" : ".closed";
  if (kind === "contact") return `.${given.kind}`;
  if (kind === "referral") return given.ref_has ? (given.sources?.length ? ".both" : ".ref") : "";
  return "";
}

function said(part, { name, from, kind }, known) {
  const value = part[name];
  if (kind === "many") return listed((value ?? []).map((one) => nameIn(known, from, one)), "disjunction");
  if (kind === "texts") return listed((value ?? []).map((one) => t("rules.quote", { text: one })), part.all_of ? "conjunction" : "disjunction");
  return from ? nameIn(known, from, value) : (value ?? "");
}

export function actionWords(action, known) {
  const name = (from, id) => nameIn(known, from, id);
  switch (action.do) {
    case "team":
      return t(action.skill ? "rules.say.team.skill" : "rules.say.team", { team: name("teams", action.team), skill: action.skill });
    case "agent":
      return t(action.else_team ? "rules.say.agent.else" : "rules.say.agent", { agent: name("agents", action.agent), team: name("teams", action.else_team) });
    case "bot":
      return t("rules.say.bot", { bot: name("bots", action.bot) });
    case "notify": {
      const who = [...(action.agents ?? []).map((id) => name("agents", id)), ...(action.team ? [t("rules.say.the_team", { team: name("teams", action.team) })] : [])];
      return t("rules.say.notify", { who: listed(who, "conjunction") });
    }
    default:
      return t(`rules.say.do.${action.do}`, action);
  }
}

// {when, conditions: [text], actions: [text], last}.
export function ruleWords(rule, known) {
  return {
    when: t(`rules.when.${rule.on}`),
    conditions: rule.conditions.map((one) => conditionWords(one, known)),
    actions: rule.actions.map((one) => actionWords(one, known)),
    last: rule.stop,
  };
}
