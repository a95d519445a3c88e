/** What the page knows: from the server as it happens, or embedded in a page without a server. */

import { toast } from "play/dom";

const embedded = document.getElementById("state");

export const isLive = !embedded;
const content = isLive ? null : JSON.parse(embedded.textContent);
export const prices = JSON.parse(document.getElementById("prices").textContent);

const uploads = JSON.parse(document.getElementById("uploads").textContent);

/** Return why an upload under a key invokes nothing; an empty text if it invokes the function. */
export function whyNothing(key) {
  if (uploads.is_any_suffix) return "";
  const spelling = uploads.is_any_case ? key.toLowerCase() : key;
  return uploads.suffixes.some((suffix) => spelling.endsWith(suffix)) ? "" : uploads.sentence;
}

/** What the edited recipe is compared with. */
export const baseline = isLive ? "the saved recipe" : content.baseline;

/** The recipe, and the pictures by their ids, in their order. */
export const state = { recipe: null, pictures: new Map() };

const listeners = [];
let files = {};
let aliases = {};
let references = {};

/** Call a function with each event after it was applied: `recipe`, `picture`, `removed`, `pictures`. */
export function listen(listener) {
  listeners.push(listener);
}

function apply(event) {
  if (event.event === "recipe") state.recipe = event;
  else if (event.event === "picture") state.pictures.set(event.id, event);
  else if (event.event === "removed") state.pictures.delete(event.id);
  else if (event.event === "pictures") {
    for (const id of [...state.pictures.keys()]) if (!event.ids.includes(id)) state.pictures.delete(id);
  }
  for (const listener of listeners) listener(event);
}

export function start() {
  if (!isLive) {
    files = content.files;
    aliases = content.aliases;
    references = content.references;
    for (const event of content.events) apply(event);
    return;
  }
  const source = new EventSource("/events");
  source.onmessage = (message) => apply(JSON.parse(message.data));
  source.onerror = () => document.body.classList.add("offline");
  source.onopen = () => document.body.classList.remove("offline");
}

export const fileUrl = (name) => (isLive ? `/files/${name}` : files[aliases[name]]);

/** The URL of the source itself, or of its small view if browsers do not show it. */
export function sourceUrl(picture) {
  if (isLive && picture.is_shown && !picture.error) return `/sources/${picture.id}`;
  return picture.view ? fileUrl(picture.view) : "";
}

const requested = new Map();

/** Return the URL of the source with the size and the crop of a rendition. */
export async function referenceUrl(picture, recipe, column) {
  if (!isLive) return fileUrl(references[`${picture.id}/${recipe}/${column}`]) ?? fileUrl(picture.view);
  const cell = (recipe === "saved" ? picture.saved_cells : picture.cells)[column];
  const key = `${picture.id}/${recipe}/${column}/${cell?.file}`;
  if (!requested.has(key)) {
    const path = ["references", picture.id, recipe, column].map(encodeURIComponent).join("/");
    const pending = send("GET", `/${path}`).then((found) => fileUrl(found.file));
    pending.catch(() => requested.delete(key));
    requested.set(key, pending);
  }
  return requested.get(key);
}

/** Send a request; show the sentence of a refusal, and throw it. */
export async function send(method, path, body) {
  let response;
  try {
    const isJson = body !== undefined && !(body instanceof Blob);
    response = await fetch(path, { method, body: isJson ? JSON.stringify(body) : body });
  } catch {
    toast("The server has ended: start image-scaler play again", true);
    throw new Error("the server has ended");
  }
  if (response.ok) return response.json();
  const text = response.headers.get("content-type")?.includes("json") ? (await response.json()).error : await response.text();
  toast(text, true);
  throw new Error(text);
}
