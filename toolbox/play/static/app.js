/** Starts the page, and connects its parts. */

import { $, copy, shell, toast } from "play/dom";
import { isLive, listen, send, start, state } from "play/store";
import { showTotals } from "play/totals";
import { updatePicture, updateSheet } from "play/sheet";
import { updateCompare } from "play/compare";
import { updateDetails } from "play/details";

const MAX_UPLOADS = 4;

document.body.classList.toggle("report", !isLive);

// Light or dark: as the system says, until somebody chooses.

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

function showTheme(theme) {
  root.dataset.theme = theme ?? (system.matches ? "dark" : "light");
}

function storedTheme() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // a page without storage, as a sandboxed file is
  }
}

showTheme(storedTheme());
system.addEventListener("change", () => showTheme(storedTheme()));
$("theme").onclick = () => {
  const theme = root.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // it is not remembered
  }
  showTheme(theme);
};

// On a narrow window one pane is shown at a time.

function showPane(name) {
  $("panes").dataset.shown = name;
  $("show-sheet").setAttribute("aria-pressed", name === "sheet");
  $("show-recipe").setAttribute("aria-pressed", name === "recipe");
}
showPane("sheet");
$("show-sheet").onclick = () => showPane("sheet");
$("show-recipe").onclick = () => showPane("recipe");

// Pictures: from a dialog, or dropped, with their folders.

async function upload(entries) {
  const waiting = [...entries];
  let refused = 0;
  const work = async () => {
    while (waiting.length) {
      const { key, file } = waiting.shift();
      try {
        await send("PUT", `/pictures?key=${encodeURIComponent(key)}`, file);
      } catch {
        refused += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_UPLOADS }, work));
  if (refused > 1) toast(`${refused} files were refused`, true);
}

const isHidden = (path) => path.split("/").some((part) => part.startsWith("."));
const chosen = (list) =>
  [...list]
    .map((file) => ({ file, key: file.webkitRelativePath.split("/").slice(1).join("/") || file.name }))
    .filter(({ key }) => !isHidden(key));

for (const [button, input] of [
  ["add", "files"],
  ["add-folder", "folder"],
]) {
  $(button).onclick = () => $(input).click();
  $(input).onchange = () => {
    upload(chosen($(input).files));
    $(input).value = "";
  };
}

async function* walk(entry, path = "") {
  if (isHidden(entry.name)) return;
  if (entry.isFile) {
    yield { key: path + entry.name, file: await new Promise((done, failed) => entry.file(done, failed)) };
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!batch.length) return;
    for (const child of batch) yield* walk(child, `${path}${entry.name}/`);
  }
}

async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.length) return chosen(transfer.files);
  const found = [];
  for (const entry of roots) {
    if (entry.isFile) for await (const item of walk(entry)) found.push(item);
    else for await (const item of walk(entry)) found.push({ ...item, key: item.key.split("/").slice(1).join("/") });
  }
  return found;
}

if (isLive) {
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (hasFiles(event)) $("drop").hidden = ++depth === 0;
  });
  addEventListener("dragleave", (event) => {
    if (hasFiles(event)) $("drop").hidden = --depth <= 0;
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    $("drop").hidden = true;
    upload(await dropped(event.dataTransfer));
  });
}

// The recipe.

async function save(force = false) {
  try {
    await send("PUT", "/recipe/saved", { force });
    toast(`Saved ${state.recipe.file}`);
  } catch (error) {
    if (!force && /changed by another program/.test(error.message)) $("save").dataset.force = "true";
  }
}
$("save").onclick = () => {
  const force = $("save").dataset.force === "true";
  delete $("save").dataset.force;
  save(force);
};
$("revert").onclick = () => send("DELETE", "/recipe").catch(() => {});
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s" && isLive) {
    event.preventDefault();
    if (!$("save").disabled) $("save").click();
  }
});

$("copy-toml").onclick = () => copy(state.recipe.text, "the recipe");
$("copy-command").onclick = () => {
  const keys = [...state.pictures.values()].map((picture) => shell(picture.key));
  const sources = keys.length > 5 || !keys.length ? "photos/" : keys.join(" ");
  copy(`image-scaler scale ${sources} --out renditions/ --renditions ${shell(state.recipe.file)}`, "the command");
};

function showRecipe() {
  const { text, saved_text: saved, mistakes, file } = state.recipe;
  const isEdited = text !== saved;
  $("file-name").textContent = file;
  $("dirty").hidden = !isEdited;
  $("revert").disabled = !isEdited;
  $("copy-toml").disabled = $("copy-command").disabled = false;
  $("save").disabled = !isEdited || mistakes.length > 0;
  $("verdict").textContent = mistakes.length
    ? mistakes.length === 1
      ? "1 mistake: the sheet shows the last valid recipe"
      : `${mistakes.length} mistakes: the sheet shows the last valid recipe`
    : isEdited
      ? "Valid, not saved"
      : "Valid";
  $("verdict").classList.toggle("bad", mistakes.length > 0);
}

// The page follows the events.

let editor = null;

async function showText() {
  if (!isLive) {
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.textContent = state.recipe.text;
    $("editor").replaceChildren(pre);
    return;
  }
  editor ??= import("play/editor").then(({ createEditor }) => createEditor($("editor"), state.recipe));
  (await editor).update(state.recipe);
}

let scheduled = false;

function soon() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    showTotals();
    updateCompare();
    updateDetails();
  });
}

listen((event) => {
  if (event.event === "recipe") {
    showRecipe();
    showText();
    updateSheet();
  } else if (event.event === "picture") updatePicture(event.id);
  else updateSheet();
  soon();
});

start();
