/** Elements, and numbers as people read them. */

/** Return an element with properties, attributes (`aria-...`, `data-...`, `role`), listeners (`onclick`) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Return bytes with a unit of 1000: `64.2 kB`. */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count / 1000;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`;
}

export const number = (value) => value.toLocaleString("en-US");

export const pixels = (width, height) => `${width} × ${height}`;

export function percent(part, whole) {
  if (!whole) return "";
  const value = (part / whole) * 100;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** Return the change from one number to another: `−14 %`; empty if there is none. */
export function change(before, after) {
  if (!before || before === after) return "";
  const value = (after / before - 1) * 100;
  const digits = Math.abs(value) < 10 ? 1 : 0;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return "";
  return `${value < 0 ? "−" : "+"}${text} %`;
}

export function dollars(value) {
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(value < 10 ? 3 : 2)}`;
}

export const milliseconds = (value) => (value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);

/** Return a text as one word of a shell. */
export function shell(text) {
  return /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

let hiding;

export function toast(text, isError = false) {
  const box = $("toast");
  box.textContent = text;
  box.classList.toggle("error", isError);
  box.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => box.classList.remove("shown"), isError ? 8000 : 2500);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied ${what}`);
  } catch (error) {
    toast(`The browser did not allow copying ${what}: ${error.message}`, true);
  }
}
