/** Look closely: two pictures under one slider, or their difference, with one zoom for both. */

import "img-comparison-slider";
import { $, bytes, h, percent, pixels } from "play/dom";
import { baseline, fileUrl, isLive, referenceUrl, send, sourceUrl, state } from "play/store";
import { cellUrl, describe } from "play/sheet";

const MAX_SCALE = 32;
const STEP = 1.25;

/** What is looked at: a picture, the column on each side, and the view. */
let looking = null;
let parts = null;

export function openCompare(id, column) {
  looking = { id, right: column, left: "source", isDifference: false, gain: 8 };
  build();
  $("compare").showModal();
  parts.slider.focus();
  if (isLive) send("PUT", "/focus", { id }).catch(() => {});
  show(true);
}

/** The sides: the source, each edited rendition, and each saved one that differs from it. */
function choices(picture) {
  const { columns, saved_columns: saved } = state.recipe;
  const edited = columns.filter((column) => cellUrl(picture, picture.cells[column.id]));
  const old = saved.filter((column) => {
    const cell = picture.saved_cells[column.id];
    return cellUrl(picture, cell) && cell.file !== picture.cells[column.id]?.file;
  });
  return [
    ...edited.map((column) => ({ value: column.id, text: column.id, column, cell: picture.cells[column.id] })),
    ...old.map((column) => ({
      value: `saved:${column.id}`,
      text: `${column.id} of ${baseline}`,
      column,
      cell: picture.saved_cells[column.id],
    })),
  ];
}

function build() {
  const button = (text, label, onclick, properties = {}) =>
    h("button", { type: "button", className: "quiet", "aria-label": label, title: label, onclick, ...properties }, text);
  const layer = (slot) => {
    const image = h("img", { alt: "", draggable: false, decoding: "async" });
    return { image, element: h("div", { slot, className: "layer" }, image) };
  };
  const first = layer("first");
  const second = layer("second");
  const slider = h(
    "img-comparison-slider",
    { handle: true, tabindex: 0, role: "slider", "aria-label": "Divider between the two pictures", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 50 },
    first.element,
    second.element,
    h("span", { slot: "handle", className: "grip", "aria-hidden": "true" }),
  );
  slider.addEventListener("slide", () => slider.setAttribute("aria-valuenow", Math.round(slider.value)));
  const below = h("img", { alt: "", draggable: false });
  const above = h("img", { alt: "", draggable: false });
  const difference = h("div", { className: "difference", hidden: true, role: "img", "aria-label": "Difference of the two pictures" }, below, above);
  const stage = h("div", { className: "stage", tabIndex: -1 }, slider, difference, h("p", { className: "loading" }, "Rendering …"));
  const left = h("select", { "aria-label": "Left", onchange: () => choose("left", left.value) });
  const right = h("select", { "aria-label": "Right", onchange: () => choose("right", right.value) });
  const gain = h("input", { type: "range", min: 1, max: 32, value: 8, "aria-label": "Amplification of the difference" });
  gain.oninput = () => {
    looking.gain = Number(gain.value);
    applyGain();
  };
  const quality = h("input", { type: "range", min: 1, max: 100, "aria-label": "Quality" });
  const qualityText = h("output", {});
  quality.oninput = () => setQuality(Number(quality.value));
  const mode = button("Difference", "Show the difference (D)", () => toggleDifference(), { "aria-pressed": "false" });
  const zoom = h("output", { className: "zoom" });
  parts = {
    slider, first, second, difference, below, above, stage, left, right, gain, quality, qualityText, mode, zoom,
    title: h("h2", { id: "compare-title" }),
    leftFacts: h("span", { className: "side" }),
    rightFacts: h("span", { className: "side" }),
    gainBox: h("label", { className: "field gain", hidden: true }, "×", gain),
    qualityBox: h("label", { className: "field quality" }, "Quality ", quality, qualityText),
  };
  $("compare").replaceChildren(
    h(
      "div",
      { className: "bar" },
      parts.title,
      h("span", { className: "space" }),
      button("−", "Smaller (-)", () => zoomBy(1 / STEP)),
      zoom,
      button("+", "Larger (+)", () => zoomBy(STEP)),
      button("Fit", "Fit the window (0)", fit),
      button("1:1", "1:1: a pixel of the picture for each of the screen (1)", oneToOne),
      mode,
      parts.gainBox,
      button("Close", "Close (Esc)", () => $("compare").close(), { className: "" }),
    ),
    stage,
    h(
      "div",
      { className: "bar sides" },
      h("span", { className: "field" }, left, parts.leftFacts),
      parts.qualityBox,
      h("span", { className: "field end" }, parts.rightFacts, right),
    ),
  );
  watchPointer(stage);
  new ResizeObserver(() => looking?.size && fit()).observe(stage);
}

export function updateCompare() {
  if (looking && $("compare").open) show(false);
}

function choose(side, value) {
  looking[side] = value;
  show(side === "right");
}

let turn = 0;

async function show(isNew) {
  const picture = state.pictures.get(looking.id);
  if (!picture) return $("compare").close();
  const options = choices(picture);
  const right = options.find((option) => option.value === looking.right);
  if (!right) return undefined; // it is rendered again, or the recipe has it no longer: the last picture stays
  const left = options.find((option) => option.value === looking.left);
  fill(parts.left, [{ value: "source", text: "source" }, ...options], looking.left);
  fill(parts.right, options, looking.right);
  parts.title.textContent = picture.key;
  const size = { width: right.cell.width ?? picture.width, height: right.cell.height ?? picture.height };
  const mine = ++turn;
  parts.stage.classList.add("busy");
  const rightUrl = right.cell.status === "copy" ? sourceUrl(picture) : fileUrl(right.cell.file);
  const [recipe, column] = looking.right.startsWith("saved:") ? ["saved", looking.right.slice(6)] : ["edited", looking.right];
  let leftUrl = left && (left.cell.status === "copy" ? sourceUrl(picture) : fileUrl(left.cell.file));
  try {
    leftUrl ??= right.cell.status === "copy" ? sourceUrl(picture) : await referenceUrl(picture, recipe, column);
  } catch {
    leftUrl = sourceUrl(picture);
  }
  if (mine !== turn) return undefined;
  const pairs = [
    [parts.first.image, leftUrl],
    [parts.below, leftUrl],
    [parts.second.image, rightUrl],
    [parts.above, rightUrl],
  ];
  for (const [image, url] of pairs) if (image.getAttribute("src") !== url) image.src = url;
  await Promise.allSettled([parts.first.image.decode(), parts.second.image.decode()]);
  if (mine !== turn) return undefined;
  parts.stage.classList.remove("busy");
  parts.stage.dataset.left = looking.left;
  parts.stage.dataset.right = looking.right;
  const isResized = looking.size?.width !== size.width || looking.size?.height !== size.height;
  looking.size = size;
  parts.leftFacts.textContent = left ? facts(picture, left) : `${bytes(picture.bytes)}, at this size`;
  parts.rightFacts.textContent = facts(picture, right);
  showQuality(right);
  if (isNew || isResized) fit();
  return undefined;
}

const facts = (picture, { column, cell }) =>
  [
    pixels(cell.width ?? picture.width, cell.height ?? picture.height),
    bytes(cell.bytes),
    cell.status === "copy" ? "copied" : percent(cell.bytes, picture.bytes),
    describe(column, cell),
  ]
    .filter(Boolean)
    .join(" · ");

function fill(select, options, value) {
  const key = JSON.stringify(options.map((option) => option.value));
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...options.map((option) => h("option", { value: option.value }, option.text)));
  }
  select.value = value;
}

// The quality, set in the recipe.

let asked;

function showQuality({ value, column }) {
  const isSettable = isLive && column.quality !== null && !column.is_copy && !value.startsWith("saved:");
  parts.qualityBox.hidden = !isSettable;
  if (isSettable && document.activeElement !== parts.quality) parts.quality.value = column.quality;
  if (isSettable) parts.qualityText.textContent = document.activeElement === parts.quality ? parts.quality.value : column.quality;
}

function setQuality(value) {
  parts.qualityText.textContent = value;
  clearTimeout(asked);
  const { table } = state.recipe.columns.find((column) => column.id === looking.right);
  asked = setTimeout(() => send("PUT", "/recipe/value", { table, field: "quality", value }).catch(() => {}), 120);
}

// Zoom and pan: of both pictures at once, in screen pixels for a pixel of the rendition.

function place() {
  const { scale, x, y, size } = looking;
  for (const image of [parts.first.image, parts.second.image, parts.below, parts.above]) {
    image.style.width = `${size.width}px`;
    image.style.height = `${size.height}px`;
    image.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) scale(${scale})`;
  }
  const perPixel = scale * devicePixelRatio;
  parts.stage.classList.toggle("pixelated", perPixel >= 3);
  parts.zoom.textContent = `${Math.round(perPixel * 100)} %`;
}

function fit() {
  if (!looking.size) return;
  const { clientWidth: width, clientHeight: height } = parts.stage;
  looking.scale = Math.min(width / looking.size.width, height / looking.size.height, 2);
  looking.x = (width - looking.size.width * looking.scale) / 2;
  looking.y = (height - looking.size.height * looking.scale) / 2;
  place();
}

function zoomAt(scale, x, y) {
  if (!looking.size) return;
  const limited = Math.min(MAX_SCALE, Math.max(0.02, scale));
  const factor = limited / looking.scale;
  looking.x = x - (x - looking.x) * factor;
  looking.y = y - (y - looking.y) * factor;
  looking.scale = limited;
  place();
}

const middle = () => [parts.stage.clientWidth / 2, parts.stage.clientHeight / 2];
const zoomBy = (factor) => zoomAt(looking.scale * factor, ...middle());
const oneToOne = () => zoomAt(1 / devicePixelRatio, ...middle());

function watchPointer(stage) {
  const pointers = new Map();
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(looking.scale * Math.exp(-event.deltaY / 300), ...at(event));
  });
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest?.(".grip") || !looking.size) return;
    pointers.set(event.pointerId, at(event));
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = [...pointers.values()];
    const from = pointers.get(event.pointerId);
    const to = at(event);
    pointers.set(event.pointerId, to);
    if (pointers.size === 2) {
      const distance = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      const after = [...pointers.values()];
      zoomAt((looking.scale * distance(after)) / distance(before), (after[0][0] + after[1][0]) / 2, (after[0][1] + after[1][1]) / 2);
    } else {
      looking.x += to[0] - from[0];
      looking.y += to[1] - from[1];
      place();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => pointers.delete(event.pointerId));
}

function toggleDifference() {
  looking.isDifference = !looking.isDifference;
  parts.difference.hidden = !looking.isDifference;
  parts.slider.classList.toggle("covered", looking.isDifference);
  parts.gainBox.hidden = !looking.isDifference;
  parts.mode.setAttribute("aria-pressed", looking.isDifference);
  if (document.activeElement === parts.slider) parts.stage.focus(); // a hidden element hears no keys
  applyGain();
}

function applyGain() {
  parts.difference.style.filter = `brightness(${looking.gain})`;
}

/** Go to the next or the previous rendition, or picture. */
function step(columns, pictures) {
  const ids = [...state.pictures.keys()];
  const picture = state.pictures.get(ids[(ids.indexOf(looking.id) + pictures + ids.length) % ids.length]);
  const options = choices(picture).map((option) => option.value);
  if (!options.length) return;
  const index = Math.max(0, options.indexOf(looking.right));
  looking.id = picture.id;
  looking.right = options[(index + columns + options.length) % options.length];
  show(true);
}

$("compare").addEventListener("keydown", (event) => {
  if (event.target.matches("select, input")) return;
  const actions = {
    "+": () => zoomBy(STEP),
    "=": () => zoomBy(STEP),
    "-": () => zoomBy(1 / STEP),
    0: fit,
    1: oneToOne,
    d: toggleDifference,
    "]": () => step(1, 0),
    "[": () => step(-1, 0),
    ".": () => step(0, 1),
    ",": () => step(0, -1),
  };
  if (actions[event.key] && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    actions[event.key]();
  }
});
$("compare").addEventListener("close", () => {
  looking = null;
  $("compare").replaceChildren();
});
