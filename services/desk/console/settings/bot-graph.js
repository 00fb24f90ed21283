// A flow as a picture: which step leads to which, where each stands, and what is wrong with it.

export const WIDE = 196;
export const HIGH = 92;
const ACROSS = 64;
const DOWN = 22;

// [{to, label, kind}]: what leads on from a step; kind: choice, when, next, late.
export function edgesOf(step) {
  return [
    ...(step.choices ?? []).map(({ title, to }) => ({ to, label: title, kind: "choice" })),
    ...(step.when ?? []).map(([name, value, to]) => ({ to, label: `${name} = ${value || "∅"}`, kind: "when" })),
    ...(step.to ? [{ to: step.to, label: "", kind: "next" }] : []),
    ...(step.late_to ? [{ to: step.late_to, label: "", kind: "late" }] : []),
  ];
}

function depths(steps, start) {
  const by = new Map(steps.map((step) => [step.id, step]));
  const found = new Map(by.has(start) ? [[start, 0]] : []);
  const queue = [...found.keys()];
  while (queue.length) {
    const id = queue.shift();
    for (const { to } of edgesOf(by.get(id))) {
      if (!by.has(to) || found.has(to)) continue;
      found.set(to, found.get(id) + 1);
      queue.push(to);
    }
  }
  return found;
}

// {id: [problem]}: unreachable, dead_end, loose (names a step that is not there), twice.
export function problemsOf(steps, start) {
  const found = depths(steps, start);
  const ids = steps.map(({ id }) => id);
  return Object.fromEntries(
    steps.map((step) => {
      const edges = edgesOf(step);
      const wrong = [
        !found.has(step.id) && "unreachable",
        edges.some(({ to }) => !ids.includes(to)) && "loose",
        !edges.length && !step.end && !step.hand_off && "dead_end",
        ids.filter((id) => id === step.id).length > 1 && "twice",
      ];
      return [step.id, wrong.filter(Boolean)];
    }),
  );
}

// {places: {id: {x, y}}, width, height}: a column for each number of steps from the start; what
// cannot be reached stands in a last column.
export function layout(steps, start) {
  const found = depths(steps, start);
  const last = Math.max(-1, ...found.values()) + 1;
  const rows = [];
  const places = {};
  for (const { id } of steps) {
    const column = found.get(id) ?? last;
    rows[column] = (rows[column] ?? -1) + 1;
    places[id] = { x: column * (WIDE + ACROSS), y: rows[column] * (HIGH + DOWN) };
  }
  const all = Object.values(places);
  return {
    places,
    width: Math.max(0, ...all.map(({ x }) => x)) + WIDE,
    height: Math.max(0, ...all.map(({ y }) => y)) + HIGH + 30,
  };
}

// The way of an edge: forward it is a curve; back, or down a column, it goes round below.
export function pathOf(from, to, nth) {
  const y1 = from.y + 30 + nth * 9;
  const [x1, x2, y2] = [from.x + WIDE, to.x, to.y + HIGH / 2];
  if (to.x > from.x) {
    const middle = (x1 + x2) / 2;
    return `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2 - 6} ${y2}`;
  }
  const below = Math.max(from.y, to.y) + HIGH + 14;
  return `M${x1} ${y1} C${x1 + 36} ${y1} ${x1 + 30} ${below} ${x1 - 20} ${below} L${x2 - 16} ${below} C${x2 - 40} ${below} ${x2 - 34} ${y2} ${x2 - 6} ${y2}`;
}
