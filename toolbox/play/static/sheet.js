/** The contact sheet: a row for each picture, a column for each rendition. */

import { $, bytes, change, h, milliseconds, number, percent, pixels } from "play/dom";
import { baseline, fileUrl, isLive, send, state, whyNothing } from "play/store";
import { openCompare } from "play/compare";
import { openDetails } from "play/details";

const rows = new Map();
let columnsShown = "";

/** Draw everything; rows and cells that did not change keep their elements. */
export function updateSheet() {
  if (!state.recipe) return;
  const { columns } = state.recipe;
  const names = JSON.stringify(columns);
  if (names !== columnsShown) {
    columnsShown = names;
    drawHeader(columns);
    for (const row of rows.values()) row.cells.clear();
  }
  for (const id of [...rows.keys()]) {
    if (!state.pictures.has(id)) {
      rows.get(id).element.remove();
      rows.delete(id);
    }
  }
  for (const id of state.pictures.keys()) updatePicture(id);
  $("empty").hidden = state.pictures.size > 0;
}

function drawHeader(columns) {
  const heads = columns.map((column) =>
    h(
      "th",
      { scope: "col", "data-column": column.id },
      h("span", { className: "name" }, column.name, column.format && h("span", { className: "tag" }, column.format)),
      h("span", { className: "what" }, column.description),
    ),
  );
  const corner = h(
    "th",
    { scope: "col", className: "source" },
    h("span", { className: "name" }, "source"),
    h("span", { className: "what" }, "what was uploaded"),
  );
  $("sheet").tHead.replaceChildren(h("tr", {}, corner, ...heads));
}

export function updatePicture(id) {
  const picture = state.pictures.get(id);
  if (!state.recipe || !picture) return;
  $("empty").hidden = true;
  let row = rows.get(id);
  if (!row) {
    row = { element: h("tr", { "data-picture": picture.key }), source: null, cells: new Map() };
    rows.set(id, row);
    $("sheet").tBodies[0].append(row.element);
  }
  const sourceKey = JSON.stringify([picture.view, picture.width, picture.format, picture.focal_point]);
  if (row.source?.key !== sourceKey) row.source = { key: sourceKey, element: drawSource(picture) };
  const elements = state.recipe.columns.map((column) => {
    const cell = picture.cells[column.id] ?? { status: "none" };
    const saved = picture.saved_cells[column.id];
    const key = JSON.stringify([cell, saved?.bytes, picture.view, column.quality]);
    const known = row.cells.get(column.id);
    if (known?.key === key) return known.element;
    // While a cell is rendered again, its old picture stays.
    const element = drawCell(picture, column, cell, saved, known?.cell);
    row.cells.set(column.id, { key, element, cell: cell.status === "waiting" ? known?.cell : cell });
    return element;
  });
  const wanted = [row.source.element, ...elements];
  if (wanted.some((element, index) => row.element.children[index] !== element) || row.element.children.length !== wanted.length) {
    row.element.replaceChildren(...wanted);
  }
}

function drawSource(picture) {
  const open = (tab) => () => openDetails(picture.id, tab);
  const nothing = whyNothing(picture.key);
  const size = picture.width ? `${pixels(picture.width, picture.height)} · ${picture.format}` : "…";
  return h(
    "th",
    { scope: "row", className: "source" },
    h(
      "div",
      { className: "frame" },
      picture.view && h("img", { src: fileUrl(picture.view), alt: "", loading: "lazy", decoding: "async" }),
      picture.focal_point && focalMark(picture),
      isLive &&
        h(
          "button",
          {
            type: "button",
            className: "remove",
            "aria-label": `Remove ${picture.key}`,
            title: "Remove",
            onclick: () => send("DELETE", `/pictures/${picture.id}`),
          },
          "×",
        ),
    ),
    h("span", { className: "key", title: picture.key }, picture.key),
    h("span", { className: "facts" }, h("span", {}, size), h("b", {}, bytes(picture.bytes))),
    nothing && h("span", { className: "note" }, nothing),
    h(
      "span",
      { className: "links" },
      h("button", { type: "button", className: "link", onclick: open("page"), "aria-label": `In a page: ${picture.key}` }, "In a page"),
      h("button", { type: "button", className: "link", onclick: open("focal"), "aria-label": `Focal point: ${picture.key}` }, "Focal point"),
      h("button", { type: "button", className: "link", onclick: open("metadata"), "aria-label": `Metadata: ${picture.key}` }, "Metadata"),
    ),
  );
}

function focalMark(picture) {
  const mark = h("span", { className: "focal-mark", "aria-hidden": "true" });
  const box = h("span", { className: "fitted" }, mark);
  const ratio = picture.width / picture.height;
  box.style.width = `min(100cqw, ${ratio * 100}cqh)`;
  box.style.aspectRatio = ratio;
  mark.style.left = `${picture.focal_point[0] * 100}%`;
  mark.style.top = `${picture.focal_point[1] * 100}%`;
  return box;
}

/** Return the URL of what a cell shows; a copy shows the view of its source. */
export function cellUrl(picture, cell) {
  if (cell?.status === "made") return fileUrl(cell.file);
  return cell?.status === "copy" && picture.view ? fileUrl(picture.view) : "";
}

/** Return quality, score and time; the score is of SSIMULACRA 2, against the source at this size. */
export function describe(column, cell, isShort = false) {
  if (cell.status !== "made") return "";
  const used = cell.quality ?? column.quality;
  const quality = used ? `${isShort ? "q" : "quality "}${used}` : "";
  const hasScore = typeof cell.score === "number";
  const worst = isShort || typeof cell.worst !== "number" ? "" : `, ${cell.worst.toFixed(0)} in the worst region`;
  const score = hasScore ? `score ${cell.score.toFixed(0)}${worst}` : cell.is_scored ? "" : "score …";
  return [quality, score, milliseconds(cell.ms)].filter(Boolean).join(" · ");
}

function drawCell(picture, column, cell, saved, before) {
  const label = `${column.id} of ${picture.key}`;
  const attributes = { "data-column": column.id, "data-status": cell.status, "data-larger": cell.is_larger };
  if (cell.status === "none") {
    return h("td", attributes, h("div", { className: "frame" }), h("p", { className: "reason" }, "not made: a rule says so"));
  }
  if (cell.status === "rejected" || cell.status === "failed") {
    return h(
      "td",
      attributes,
      h("div", { className: "frame bad" }, h("span", {}, cell.status)),
      h("p", { className: "reason", title: cell.text, tabIndex: 0 }, cell.text),
    );
  }
  const isWaiting = cell.status === "waiting";
  const shown = isWaiting ? before : cell;
  const url = cellUrl(picture, shown);
  if (!shown || !url) {
    return h("td", { ...attributes, "aria-busy": "true" }, h("div", { className: "frame waiting" }), h("p", { className: "facts" }));
  }
  const isCopy = cell.status === "copy" || shown.status === "copy";
  const width = shown.width ?? picture.width;
  const height = shown.height ?? picture.height;
  const edit = saved ? change(saved.bytes, shown.bytes) : "";
  const bar = h("span", { className: "share" }, h("span", {}));
  bar.firstChild.style.width = `${Math.min(100, (shown.bytes / picture.bytes) * 100)}%`;
  return h(
    "td",
    { ...attributes, "data-bytes": shown.bytes, "aria-busy": isWaiting ? "true" : undefined },
    h(
      "button",
      { type: "button", className: "cell", title: "Look closely", onclick: () => openCompare(picture.id, column.id) },
      h("span", { className: "hidden" }, `Look closely at ${label}: `),
      h("span", { className: `frame${isWaiting ? " waiting" : ""}` }, h("img", { src: url, alt: "", loading: "lazy", decoding: "async" })),
      h(
        "span",
        { className: "facts" },
        h("span", {}, pixels(width, height)),
        h("b", { title: `${number(shown.bytes)} bytes` }, bytes(shown.bytes)),
      ),
      bar,
      h(
        "span",
        { className: "facts soft" },
        h("span", {}, isCopy ? "copied" : shown.is_larger ? "not stored: no smaller" : `${percent(shown.bytes, picture.bytes)} of source`),
        edit && h("span", { className: `edit ${edit.startsWith("−") ? "better" : "worse"}`, title: `against ${baseline}` }, edit),
      ),
      h("span", { className: "facts soft", title: describe(column, shown) }, h("span", {}, describe(column, shown, true) || "\u00a0")),
    ),
  );
}
