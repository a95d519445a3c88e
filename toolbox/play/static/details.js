/** One picture: in a page, its focal point, its metadata, and what to copy. */

import { thumbHashToDataURL } from "thumbhash";
import { $, bytes, copy, h, pixels, shell } from "play/dom";
import { fileUrl, isLive, send, sourceUrl, state } from "play/store";
import { cellUrl } from "play/sheet";

const TABS = { page: "In a page", focal: "Focal point", metadata: "Metadata", copy: "Copy" };
const VIEWPORTS = [
  [360, "phone"],
  [768, "tablet"],
  [1280, "laptop"],
  [1920, "desktop"],
];

let shown = null;
const device = { viewport: 360, density: 2, sizes: "100vw", avif: true, webp: true };

export function openDetails(id, tab) {
  shown = { id, tab, key: "" };
  build();
  $("details").showModal();
  if (isLive) send("PUT", "/focus", { id }).catch(() => {});
}

export function updateDetails() {
  if (!shown || !$("details").open) return;
  const picture = state.pictures.get(shown.id);
  if (!picture) $("details").close();
  else if (shown.key !== keyOf(picture)) fillTab();
}

const keyOf = (picture) =>
  JSON.stringify([shown.tab, picture.focal_point, picture.view, picture.metadata.length, picture.manifest, Object.values(picture.cells).map((cell) => cell.file ?? cell.status)]);

function build() {
  const tabs = Object.entries(TABS).map(([name, text]) =>
    h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "tab-body", onclick: () => select(name) }, text),
  );
  const list = h("div", { role: "tablist", className: "tabs", "aria-label": "About this picture" }, tabs);
  list.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const names = Object.keys(TABS);
    select(names[(names.indexOf(shown.tab) + move + names.length) % names.length]);
    $(`tab-${shown.tab}`).focus();
  });
  $("details").replaceChildren(
    h(
      "div",
      { className: "bar" },
      h("h2", { id: "details-title" }),
      h("span", { className: "space" }),
      h("button", { type: "button", onclick: () => $("details").close() }, "Close"),
    ),
    list,
    h("div", { role: "tabpanel", id: "tab-body", className: "tab-body", tabIndex: 0 }),
  );
  select(shown.tab);
}

function select(name) {
  shown.tab = name;
  for (const tab of Object.keys(TABS)) {
    $(`tab-${tab}`).setAttribute("aria-selected", tab === name);
    $(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
  }
  $("tab-body").setAttribute("aria-labelledby", `tab-${name}`);
  fillTab();
}

function fillTab() {
  const picture = state.pictures.get(shown.id);
  $("details-title").textContent = picture.key;
  shown.key = keyOf(picture);
  const content = { page: drawPage, focal: drawFocal, metadata: drawMetadata, copy: drawCopy }[shown.tab](picture);
  $("tab-body").replaceChildren(...content);
}

const field = (label, control) => h("label", { className: "field" }, h("span", {}, label), control);

function options(values, current, onchange) {
  const control = h("select", { onchange: () => onchange(control.value) });
  control.append(...values.map(([value, text]) => h("option", { value, selected: String(value) === String(current) }, text)));
  return control;
}

// In a page: a real <picture> in a frame as wide as the viewport, in the browser's own judgement.

function drawPage(picture) {
  if (!picture.manifest?.picture) {
    return [h("p", { className: "hint" }, "The page shows a <picture> when all renditions exist, at least one of which browsers display.")];
  }
  const taken = h("p", { className: "taken", role: "status" }, "…");
  const frame = h("iframe", { title: `${picture.key} in a page`, sandbox: "allow-same-origin", tabIndex: -1 });
  const room = h("div", { className: "room" }, frame);
  const hash = picture.thumbhash
    ? h("img", { className: "thumbhash", alt: "ThumbHash: what a page shows until the picture has loaded", src: hashUrl(picture) })
    : null;
  const set = (name, read = String) => (value) => {
    device[name] = read(value);
    load(picture, frame, room, taken);
  };
  const check = (name, text) => {
    const box = h("input", { type: "checkbox", checked: device[name], onchange: () => set(name, Boolean)(box.checked) });
    return h("label", { className: "check" }, box, text);
  };
  queueMicrotask(() => load(picture, frame, room, taken));
  return [
    h(
      "div",
      { className: "controls" },
      field("Viewport", options(VIEWPORTS.map(([width, text]) => [width, `${text}, ${width} pixels`]), device.viewport, set("viewport", Number))),
      field("Pixel density", options([1, 1.5, 2, 3].map((value) => [value, `${value}×`]), device.density, set("density", Number))),
      field("sizes", options(["100vw", "50vw", "33vw"].map((value) => [value, value]), device.sizes, set("sizes"))),
      h("fieldset", { className: "checks" }, h("legend", {}, "Formats"), check("avif", "AVIF"), check("webp", "WebP")),
    ),
    taken,
    h("div", { className: "device" }, room, h("figure", {}, hash, hash && h("figcaption", {}, `ThumbHash, ${atob(picture.thumbhash).length} bytes`))),
  ];
}

const hashUrl = (picture) => thumbHashToDataURL(Uint8Array.from(atob(picture.thumbhash), (c) => c.charCodeAt(0)));

/** Return the URL of the rendition behind a URL of the manifest, and its column. */
function resolved(picture, url) {
  const column = picture.manifest.columns[decodeURIComponent(url)];
  const cell = picture.cells[column];
  return { column, url: cell.status === "copy" ? sourceUrl(picture) : fileUrl(cell.file) };
}

/** Return a new URL for the bytes of a data URL. */
function blobUrl(url) {
  const [, type, data] = /^data:([^;]+);base64,(.*)$/.exec(url);
  return URL.createObjectURL(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type }));
}

let frames = 0;

function load(picture, frame, room, taken) {
  frames += 1;
  const holder = new DOMParser().parseFromString(picture.manifest.picture, "text/html");
  const columns = new Map();
  const replace = (url) => {
    const found = resolved(picture, url);
    // A browser takes a larger picture that it has already; a URL of its own makes it choose as for a first visit.
    found.url = isLive ? `${found.url}?frame=${frames}` : blobUrl(found.url);
    columns.set(new URL(found.url, location.href).href, found.column);
    return found.url;
  };
  for (const element of holder.querySelectorAll("source, img")) {
    if (element.srcset) {
      element.srcset = element.srcset
        .split(", ")
        .map((candidate) => candidate.replace(/^\S+/, replace))
        .join(", ");
      element.sizes = device.sizes;
    }
    if (element.getAttribute("src")) element.setAttribute("src", replace(element.getAttribute("src")));
    element.removeAttribute("loading");
    const isUnsupported = (element.type === "image/avif" && !device.avif) || (element.type === "image/webp" && !device.webp);
    if (element.localName === "source" && isUnsupported) element.remove();
  }
  // The browser multiplies widths by the density of this screen: the frame makes up for it.
  const width = Math.round((device.viewport * device.density) / devicePixelRatio);
  const height = Math.round(width * (device.viewport < 700 ? 1.5 : 0.62));
  const scale = Math.min(room.clientWidth / width, 420 / height);
  frame.width = width;
  frame.height = height;
  frame.style.transform = `scale(${scale})`;
  frame.style.marginLeft = `${Math.max(0, (room.clientWidth - width * scale) / 2)}px`;
  room.style.height = `${Math.ceil(height * scale)}px`;
  frame.onload = () => {
    const image = frame.contentDocument.querySelector("img");
    const page = frame.contentDocument.documentElement;
    page.style.background = "Canvas";
    frame.contentDocument.body.style.margin = "0";
    image.alt = picture.key;
    image.style.cssText = `display: block; width: ${device.sizes}; height: auto;`;
    if (picture.thumbhash) image.style.background = `url(${hashUrl(picture)}) 0 / 100% 100%`;
    const tell = () => {
      const column = columns.get(image.currentSrc);
      const cell = picture.cells[column];
      if (!cell) return;
      taken.dataset.column = column;
      taken.replaceChildren("This browser takes ", h("strong", {}, column), `: ${pixels(cell.width ?? picture.width, cell.height ?? picture.height)}, ${bytes(cell.bytes)}`);
      for (const element of document.querySelectorAll("#sheet .taken-now")) element.classList.remove("taken-now");
      const row = document.querySelector(`#sheet tr[data-picture="${CSS.escape(picture.key)}"]`);
      row?.querySelector(`td[data-column="${CSS.escape(column)}"]`)?.classList.add("taken-now");
    };
    if (image.complete && image.currentSrc) tell();
    image.onload = tell;
  };
  frame.srcdoc = `<!doctype html><html lang="en"><title>In a page</title><body><main>${holder.body.innerHTML}</main>`;
}

// The focal point.

function focalText(picture) {
  const [x, y] = picture.focal_point;
  return `${x.toFixed(2)},${y.toFixed(2)}`;
}

/** The command that uploads the picture with its focal point. AWS' short form of a map has no place for a comma. */
const focalCommand = (picture) =>
  `aws s3 cp ${shell(picture.key)} ${shell(`s3://SOURCE_BUCKET/${picture.key}`)} --metadata '{"focal-point": "${focalText(picture)}"}'`;

function drawFocal(picture) {
  const setPoint = (x, y) =>
    send("PUT", `/pictures/${picture.id}/focal-point`, x === null ? { x, y } : { x: clamp(x), y: clamp(y) }).catch(() => {});
  const clamp = (value) => Math.round(Math.min(1, Math.max(0, value)) * 100) / 100;
  const image = h("img", { src: picture.view ? fileUrl(picture.view) : "", alt: picture.key, draggable: false });
  const target = h("div", { className: "target" }, image);
  // Its place is kept while it loads: a click must not miss because the picture arrives.
  const ratio = (picture.width ?? 4) / (picture.height ?? 3);
  target.style.width = `min(100%, ${380 * ratio}px)`;
  target.style.aspectRatio = ratio;
  if (isLive) {
    target.onclick = (event) => {
      const box = image.getBoundingClientRect();
      setPoint((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    };
  }
  if (picture.focal_point) {
    const mark = h("span", { className: "focal-mark", "aria-hidden": "true" });
    mark.style.left = `${picture.focal_point[0] * 100}%`;
    mark.style.top = `${picture.focal_point[1] * 100}%`;
    target.append(mark);
  }
  const axis = (index, label) => {
    const input = h("input", { type: "number", min: 0, max: 1, step: 0.01, value: picture.focal_point?.[index] ?? "", disabled: !isLive });
    input.onchange = () => {
      const point = [...(picture.focal_point ?? [0.5, 0.5])];
      point[index] = Number(input.value);
      setPoint(...point);
    };
    return field(label, input);
  };
  const crops = state.recipe.columns
    .filter((column) => column.has_focal_point && cellUrl(picture, picture.cells[column.id]))
    .map((column) => h("figure", { className: "crop" }, h("img", { src: cellUrl(picture, picture.cells[column.id]), alt: "", "data-column": column.id }), h("figcaption", {}, column.id)));
  return [
    h("p", { className: "hint" }, isLive ? "Click what must stay in the picture: every crop follows." : "The focal point that the crops keep."),
    h(
      "div",
      { className: "focal" },
      target,
      h("div", { className: "crops" }, crops.length ? crops : h("p", { className: "hint" }, "No rendition is cropped: only fit = \"cover\" with a width and a height is.")),
    ),
    h(
      "div",
      { className: "controls" },
      axis(0, "From the left"),
      axis(1, "From the top"),
      isLive && h("button", { type: "button", onclick: () => setPoint(null, null), disabled: !picture.focal_point }, "Remove"),
    ),
    ...(picture.focal_point ? [snippet("Upload it with its focal point", focalCommand(picture), "the command")] : []),
  ];
}

// Metadata.

function drawMetadata(picture) {
  if (!picture.metadata.length) {
    return [h("p", { className: "hint" }, picture.view ? "The source says nothing besides its pixels." : "The source was not read.")];
  }
  const made = state.recipe.columns.filter((column) => picture.cells[column.id]?.status === "made");
  const copies = state.recipe.columns.filter((column) => picture.cells[column.id]?.status === "copy");
  const rows = picture.metadata.map((entry) => {
    const keepers = made.filter((column) =>
      picture.cells[column.id].metadata.some((kept) => kept.subject === entry.subject && kept.name === entry.name),
    );
    const text = keepers.length === made.length && made.length ? "stays" : keepers.length ? `stays in ${keepers.map((column) => column.id).join(", ")}` : "removed";
    return h(
      "tr",
      {},
      h("td", {}, entry.subject),
      h("td", {}, entry.name),
      h("td", { className: "value" }, entry.value),
      h("td", {}, h("span", { className: `fate ${keepers.length ? "stays" : "goes"}` }, text)),
    );
  });
  return [
    copies.length
      ? h("p", { className: "warning" }, `${copies.map((column) => column.id).join(", ")}: a byte-for-byte copy keeps all of this. Give it a width to remove it.`)
      : "",
    h(
      "table",
      { className: "metadata" },
      h("thead", {}, h("tr", {}, ["Subject", "Field", "In the source", "In the renditions"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows),
    ),
  ];
}

// What to copy.

function snippet(label, text, what) {
  return h(
    "div",
    { className: "snippet" },
    h("div", { className: "bar" }, h("h3", {}, label), h("span", { className: "space" }), h("button", { type: "button", className: "quiet", onclick: () => copy(text, what) }, "Copy")),
    h("pre", { tabIndex: 0 }, text),
  );
}

const indented = (html) => html.replaceAll("><", ">\n<").replaceAll("\n<source", "\n  <source").replaceAll("\n<img", "\n  <img");

function drawCopy(picture) {
  const markup = picture.manifest?.picture;
  return [
    markup ? snippet("The <picture> of its manifest", indented(markup), "the <picture>") : h("p", { className: "hint" }, "There is a <picture> when all renditions exist."),
    snippet("On the command line", `image-scaler scale ${shell(picture.key)} --out renditions/ --renditions ${shell(state.recipe.file)}`, "the command"),
    snippet(state.recipe.file, state.recipe.text, "the recipe"),
  ];
}

$("details").addEventListener("close", () => {
  shown = null;
  $("details").replaceChildren();
});
