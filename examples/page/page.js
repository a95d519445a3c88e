import "./scaled-image.js";

const TYPES = { heic: "image/heic", heif: "image/heic", tif: "image/tiff", bmp: "image/bmp" }; // browsers differ
const REASONS = {
  not_an_image: "This is not an image.",
  damaged: "This image is damaged.",
  too_large: "This image has too many bytes.",
  too_many_pixels: "This image has too many pixels.",
  too_complex: "This image has too many pixels.",
  unsupported: "Images of this kind cannot be read.",
};
const STATES = {
  waiting: () => "Making smaller versions …",
  shown: ({ source, renditions }) => `${source.width} × ${source.height}, ${renditions.length} versions`,
  rejected: ({ code, message }) => REASONS[code] ?? message,
  failed: () => "It takes too long. Try again later.",
};
const images = fetch("images.json").then((response) => response.json());

/** Upload a file with a form that the backend signs; return its key and the ETag. */
async function upload(file) {
  const type = TYPES[file.name.split(".").pop().toLowerCase()] ?? file.type;
  const signed = await fetch("uploads", { method: "POST", body: JSON.stringify({ type }) });
  if (!signed.ok) throw new Error("Only images can be uploaded.");
  const { url, fields } = await signed.json();
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file); // the last field
  const response = await fetch(url, { method: "POST", body: form });
  if (response.status === 400) throw new Error("This file is empty or larger than 20 MB.");
  if (!response.ok) throw new Error(`The upload failed (${response.status}).`);
  return { key: fields.key, etag: response.headers.get("ETag") };
}

async function add(file) {
  const item = document.querySelector("template").content.cloneNode(true).firstElementChild;
  const say = (text, state) => {
    item.querySelector(".state").textContent = text;
    item.dataset.state = state;
  };
  item.querySelector(".name").textContent = file.name;
  document.querySelector("#pictures").prepend(item);
  say("Uploading …", "waiting");
  try {
    const { key, etag } = await upload(file);
    const picture = document.createElement("scaled-image");
    const alt = file.name.replace(/\.\w+$/, ""); // yours asks the user what it shows
    for (const [name, value] of Object.entries({ base: await images, source: key, etag, alt, sizes: "18rem" }))
      picture.setAttribute(name, value);
    picture.addEventListener("scaled-image", ({ detail }) => {
      const state = picture.getAttribute("state");
      say(STATES[state](detail), state);
    });
    item.prepend(picture);
  } catch (error) {
    say(error.message, "failed");
  }
}

const drop = document.querySelector("#drop");
drop.querySelector("input").addEventListener("change", ({ target }) => {
  [...target.files].forEach(add);
  target.value = "";
});
for (const name of ["dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") [...event.dataTransfer.files].forEach(add);
  });
