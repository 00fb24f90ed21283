// What a rule is made of: every condition and every action of the API, with the fields of each.
// A field's kind says how it is set: texts (one a line), text, long, pattern, choice, many, yes,
// number; `from` names a list of the workspace (see useKnown).

const FIELD_OPS = ["is", "is_not", "has", "starts", "set", "unset", "above", "below"];

export const ON = ["opened", "message", "handoff"];

export const CONDITIONS = {
  channel: [{ name: "any_of", kind: "many", from: "channels" }],
  account: [{ name: "any_of", kind: "many", from: "accounts" }],
  list: [{ name: "any_of", kind: "many", from: "lists" }],
  words: [{ name: "words", kind: "texts" }, { name: "all_of", kind: "yes" }],
  regex: [{ name: "pattern", kind: "pattern" }],
  language: [{ name: "any_of", kind: "texts" }],
  tag: [{ name: "any_of", kind: "texts" }],
  field: [
    { name: "field", kind: "text", from: "fields" },
    { name: "op", kind: "choice", values: FIELD_OPS },
    { name: "value", kind: "text", when: ({ op }) => !["set", "unset"].includes(op) },
  ],
  hours: [{ name: "calendar", kind: "choice", from: "calendars" }, { name: "open", kind: "choice", values: [true, false] }],
  contact: [{ name: "kind", kind: "choice", values: ["new", "returning"] }],
  referral: [{ name: "sources", kind: "texts" }, { name: "ref_has", kind: "text" }],
};

export const ACTIONS = {
  team: [{ name: "team", kind: "choice", from: "teams" }, { name: "skill", kind: "text" }],
  agent: [{ name: "agent", kind: "choice", from: "agents" }, { name: "else_team", kind: "choice", from: "teams", optional: true }],
  bot: [{ name: "bot", kind: "choice", from: "bots" }],
  tag: [{ name: "tag", kind: "text" }],
  reply: [{ name: "text", kind: "long" }],
  priority: [{ name: "priority", kind: "number", least: -10, most: 10 }],
  end: [{ name: "reason", kind: "text" }],
  notify: [{ name: "agents", kind: "many", from: "agents" }, { name: "team", kind: "choice", from: "teams", optional: true }],
};

const EMPTY = { many: [], texts: [], yes: false, number: 0 };

// A condition or an action to begin with.
export function freshCondition(kind, known) {
  const made = fresh(CONDITIONS[kind], known);
  return { if: kind, negate: false, ...made, ...(kind === "field" ? { op: "is" } : {}), ...(kind === "hours" ? { open: true } : {}) };
}

export function freshAction(kind, known) {
  return { do: kind, ...fresh(ACTIONS[kind], known), ...(kind === "end" ? { reason: "ended_by_rule" } : {}) };
}

function fresh(fields, known) {
  return Object.fromEntries(fields.map((field) => [field.name, first(field, known)]));
}

function first({ kind, from, values, optional }, known) {
  if (kind in EMPTY) return EMPTY[kind];
  if (kind !== "choice" || optional || from === "calendars") return "";
  return values ? values[0] : (known[from]?.[0]?.[0] ?? "");
}

export function freshRule() {
  return { id: "", name: "", on: "opened", enabled: true, conditions: [], actions: [], stop: true };
}

// An id of its own, made of the name: "Prices go to Sales" -> "prices-go-to-sales".
export function idOf(name, taken) {
  const plain = name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40).replace(/-+$/, "") || "rule";
  for (let n = 1; ; n++) {
    const id = n === 1 ? plain : `${plain}-${n}`;
    if (!taken.includes(id)) return id;
  }
}
