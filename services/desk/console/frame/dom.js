// Elements from plain values. Text becomes text nodes, never markup.

export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in PROPERTIES) made[PROPERTIES[name]] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const PROPERTIES = { class: "className", for: "htmlFor", value: "value", checked: "checked" };

export function say(text) {
  document.getElementById("said").textContent = text;
}
