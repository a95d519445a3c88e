/** Bytes and dollars for 1,000 uploads like these: before and after the edit. */

import { $, bytes, change, dollars, h, milliseconds, percent } from "play/dom";
import { baseline, isLive, prices, state } from "play/store";

const UPLOADS = 1000;

/** Return the sums of one recipe for one average upload; null if no picture has all renditions of both. */
function average(cellsOf, objectsOf) {
  const pictures = [...state.pictures.values()].filter(
    (picture) => isComplete(picture.cells) && isComplete(picture.saved_cells),
  );
  if (!pictures.length) return null;
  const sum = (value) => pictures.reduce((total, picture) => total + value(picture), 0) / pictures.length;
  const cells = (picture) => Object.values(cellsOf(picture));
  return {
    source: sum((picture) => picture.bytes),
    bytes: sum((picture) => cells(picture).reduce((total, cell) => total + (cell.is_larger ? 0 : cell.bytes), 0)),
    ms: sum((picture) => cells(picture).reduce((total, cell) => total + (cell.ms ?? 0), picture.decoding)),
    functionMs: sum((picture) => cells(picture).reduce((total, cell) => total + (cell.function_ms ?? 0), picture.function_decoding)),
    objects: sum((picture) => objectsOf(picture) - cells(picture).filter((cell) => cell.is_larger).length),
  };
}

const isComplete = (cells) =>
  Object.values(cells).length > 0 && Object.values(cells).every((cell) => cell.status === "made" || cell.status === "copy");

const cost = (sums) => (sums.functionMs / 1000) * prices.second + prices.request + sums.objects * prices.write;
const storage = (sums) => (sums.bytes / 1e9) * prices.gigabyte_month;

function tile(label, before, after, text, note) {
  const difference = before === null ? "" : change(before, after);
  const shown = difference ? [h("s", { title: `with ${baseline}` }, text(before)), " "] : [];
  return h(
    "div",
    { className: "tile" },
    h("span", { className: "label" }, label),
    h("span", { className: "value" }, ...shown, after === null ? "–" : text(after)),
    h(
      "span",
      { className: `note ${difference.startsWith("−") ? "better" : difference ? "worse" : ""}` },
      difference ? `${difference} ${isLive ? "by the edit" : `against ${baseline}`}` : note,
    ),
  );
}

export function showTotals() {
  const after = average((picture) => picture.cells, (picture) => picture.objects);
  const before = average((picture) => picture.saved_cells, (picture) => picture.saved_objects);
  const value = (sums, of) => (sums ? of(sums) * UPLOADS : null);
  const pair = (of) => [value(before, of), value(after, of)];
  const share = after ? `${percent(after.bytes, after.source)} of the sources` : "of sources like these";
  $("totals").replaceChildren(
    h("p", { className: "lead" }, h("strong", {}, "1,000 uploads"), " like these"),
    tile("Renditions", ...pair((sums) => sums.bytes), bytes, share),
    tile("Function and writes", ...pair(cost), dollars, `${prices.region}, ${prices.as_of}`),
    tile("Storage a month", ...pair(storage), dollars, "without the sources"),
    tile("Rendering one", before?.ms ?? null, after?.ms ?? null, milliseconds, "of CPU on this machine"),
  );
}
