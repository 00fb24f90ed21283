// Rows of a CSV text as our own exports write it: commas, double quotes, one line break a row.

export function rowsOf(text) {
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const endCell = () => {
    row.push(cell);
    cell = "";
  };
  const endRow = () => {
    endCell();
    rows.push(row);
    row = [];
  };
  const plain = text.replace(/^\uFEFF/, "");
  for (let at = 0; at < plain.length; at += 1) {
    const one = plain[at];
    if (quoted) {
      if (one !== '"') cell += one;
      else if (plain[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (one === '"') quoted = true;
    else if (one === ",") endCell();
    else if (one === "\n") endRow();
    else if (one !== "\r") cell += one;
  }
  if (cell || row.length) endRow();
  return rows;
}
