/**
 * Pictures of the Serverless Image Scaler in a page: copy this file. docs/web.md explains it.
 *
 *   <scaled-image base="https://images.example.com/" source="dir/photo.jpg" alt="The harbour"></scaled-image>
 */

/** The source was rejected: there will be no renditions. `code` is for programs, `message` for people. */
export class Rejected extends Error {
  constructor({ code, text }) {
    super(text);
    this.name = "Rejected";
    this.code = code;
  }
}

/**
 * Wait until the renditions of a source exist; return its manifest. Throws Rejected, or a TimeoutError after `seconds`.
 *
 * `base` is the address of the destination bucket. `etag`, of the upload's response, tells it from earlier uploads with
 * this key. Without it any manifest will do, and a rejection counts only if there is none.
 */
export async function ready(base, key, { etag, signal, seconds = 180 } = {}) {
  const path = key.split("/").map(encodeURIComponent).join("/");
  const expected = etag?.replaceAll('"', "");
  const end = AbortSignal.any([AbortSignal.timeout(seconds * 1000), ...(signal ? [signal] : [])]);
  const read = async (folder) => {
    const url = new URL(`${folder}/${path}.json`, base);
    const response = await fetch(url, { cache: "no-cache", signal: end }).catch(() => ({})); // no network: try again
    const found = response.ok && (await response.json()); // 403 and 404: not yet
    return found && (!expected || found.source.etag === expected) ? found : null;
  };
  for (let pause = 500; ; pause = Math.min(pause * 1.5, 4000)) {
    const [manifest, rejection] = await Promise.all([read("manifests"), read("rejected")]);
    if (manifest) return { ...manifest, base_url: manifest.base_url ?? base };
    if (rejection) throw new Rejected(rejection.error);
    await new Promise((resolve) => setTimeout(resolve, pause));
    end.throwIfAborted();
  }
}

const CHOICES = ["avif", "webp"]; // of <source>, the smallest first
const FALLBACKS = ["jpeg", "png", "gif", "webp", "avif"]; // of <img>, the best known first

/**
 * Return what a <picture> needs: the attributes of each <source>, and of its <img>, with a style.
 *
 * `ladder` is the name of a ladder or of another rendition in renditions.toml; by default the first ladder, and those
 * of `[[pictures]]` for their media queries. `width` is the largest width in CSS pixels: the layout "constrained" is
 * narrower if the page is, "fixed" never, "full" as wide as the page. `sizes` replaces both. `priority` is for the one
 * picture that is seen first: it is not loaded lazily.
 */
export function attributes(manifest, { ladder, layout = "constrained", width, sizes, priority = false } = {}) {
  const { srcset, ...size } = candidates(manifest, ladder);
  const displayed = width ?? size.width;
  sizes ??= { fixed: `${displayed}px`, full: "100vw" }[layout] ?? `(min-width: ${displayed}px) ${displayed}px, 100vw`;
  if (!priority) sizes = `auto, ${sizes}`; // lazy images know their own width; older browsers skip the word
  const absolute = (list) => list.replace(/[^ ,]+(?= \d+w)/g, (url) => new URL(url, manifest.base_url));
  const choice = (list) => ({ srcset: absolute(list), sizes });
  const fallback = FALLBACKS.find((name) => srcset[name]);
  const sources = (of, names, more) =>
    names.filter((name) => of[name]).map((name) => ({ ...more, type: `image/${name}`, ...choice(of[name]) }));
  const others = (ladder ? [] : manifest.pictures).flatMap(({ media, ladder: name, hdr }) => {
    const { srcset, width, height } = candidates(manifest, name);
    const of = hdr ? { jpeg: srcset.jpeg_hdr } : srcset; // the JPEGs with a gain map
    return sources(of, [...CHOICES, "jpeg", "png", "gif"], { media, width, height });
  });
  return {
    sources: [...others, ...sources(srcset, CHOICES.filter((name) => name !== fallback))],
    img: {
      ...choice(srcset[fallback]),
      src: absolute(srcset[fallback]).match(/(\S+) \d+w$/)[1],
      width: size.width,
      height: size.height,
      loading: priority ? "eager" : "lazy",
      decoding: "async",
      ...(priority && { fetchpriority: "high" }),
      style: {
        width: layout === "fixed" ? `${displayed}px` : "100%",
        maxWidth: layout === "constrained" ? `${displayed}px` : "none",
        height: "auto", // from the attributes width and height, so the picture has its place before it is loaded
        ...(!manifest.source.has_alpha && background(manifest)),
      },
    },
  };
}

/** Return what an opaque picture covers when it has loaded. */
function background({ dominant_colour: colour, placeholder }) {
  const image = placeholder && { backgroundImage: `url("${placeholder}")`, backgroundSize: "100% 100%" };
  return { backgroundColor: colour ?? "", ...image };
}

/** Return the `srcset` of each format of a ladder, or of another rendition, and the size of its largest file. */
function candidates({ ladders, renditions }, name = Object.keys(ladders)[0]) {
  if (ladders[name]) return ladders[name];
  const shown = renditions.filter((one) => one.name === name && one.url && FALLBACKS.includes(one.type?.slice(6)));
  if (!shown.length) throw new Error(`the manifest has no ladder ${name ?? ""}`);
  const srcset = Object.fromEntries(shown.map(({ type, url, width }) => [type.slice(6), `${url} ${width}w`]));
  return { srcset, width: shown[0].width, height: shown[0].height };
}

/** Return the pixels of a ThumbHash in Base64 (https://evanw.github.io/thumbhash/): about 32 x 32, RGBA. */
export function decodeThumbHash(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const bits = (from, count) => {
    let value = 0;
    for (let bit = from + count - 1; bit >= from; bit--) value = value * 2 + ((bytes[bit >> 3] >> (bit & 7)) & 1);
    return value;
  };
  const hasAlpha = bits(23, 1);
  const long = hasAlpha ? 5 : 7;
  const [nx, ny] = bits(39, 1) ? [long, bits(24, 3)] : [bits(24, 3), long];
  let next = hasAlpha ? 48 : 40;
  const channel = (columns, rows, average, scale) => {
    const waves = [];
    for (let cy = 0; cy < rows; cy++)
      for (let cx = cy ? 0 : 1; cx * rows < columns * (rows - cy); cx++, next += 4)
        waves.push([cx, cy, (bits(next, 4) / 7.5 - 1) * scale * 2]);
    const wave = (at, times) => Math.cos(Math.PI * at * times);
    return (x, y) => waves.reduce((sum, [cx, cy, size]) => sum + size * wave(x, cx) * wave(y, cy), average);
  };
  const l = channel(Math.max(3, nx), Math.max(3, ny), bits(0, 6) / 63, bits(18, 5) / 31);
  const p = channel(3, 3, bits(6, 6) / 31.5 - 1, (bits(27, 6) / 63) * 1.25);
  const q = channel(3, 3, bits(12, 6) / 31.5 - 1, (bits(33, 6) / 63) * 1.25);
  const a = hasAlpha ? channel(5, 5, bits(40, 4) / 15, bits(44, 4) / 15) : () => 1;
  const [width, height] = [nx, ny].map((side) => Math.round((32 * side) / Math.max(nx, ny)));
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let at = 0; at < width * height; at++) {
    const [x, y] = [((at % width) + 0.5) / width, (Math.floor(at / width) + 0.5) / height];
    const [light, yellow, red] = [l(x, y), p(x, y), q(x, y)];
    const blue = light - (2 / 3) * yellow;
    const r = (3 * light - blue + red) / 2;
    pixels.set([r, r - red, blue, a(x, y)].map((value) => Math.floor(255 * value)), at * 4); // clamped
  }
  return { width, height, pixels };
}

/** Return a ThumbHash in Base64 as an image: a data URL, so a Content-Security-Policy needs `img-src data:`. */
export function thumbHashURL(base64) {
  const { width, height, pixels } = decodeThumbHash(base64);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.toDataURL();
}

/**
 * A picture in the light DOM, so that the page's CSS applies: its colour and its ThumbHash first, then itself.
 *
 * Attributes: `base`, `source` (the key) and `alt` (empty for a decoration); `etag`, `ladder`, `layout`, `width`,
 * `sizes`, `priority` as above. Its attribute `state` is waiting, shown, rejected or failed. At each change it sends an
 * event `scaled-image`, whose `detail` is the manifest or the error.
 */
export class ScaledImage extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["source", "etag"];
  #end;

  connectedCallback() {
    if (this.#end?.signal.aborted !== false) this.#show(); // else it was moved within the page
  }

  attributeChangedCallback(name, old) {
    if (name === "source" && old) this.replaceChildren(); // another picture, not a newer version of this one
    this.#show();
  }

  async disconnectedCallback() {
    await null; // it may be moved
    if (!this.isConnected) this.#end.abort();
  }

  async #show() {
    this.#end?.abort();
    const { signal } = (this.#end = new AbortController());
    await null; // for attributes that are set one after the other
    if (!this.isConnected) this.#end.abort();
    if (signal.aborted) return;
    const option = (name) => this.getAttribute(name) ?? undefined;
    if (!this.hasAttribute("alt")) console.error('<scaled-image> needs alt: alt="" if it is a decoration', this);
    this.#tell("waiting");
    try {
      const manifest = await ready(option("base"), option("source"), { etag: option("etag"), signal });
      const [ladder, layout, width, sizes] = ["ladder", "layout", "width", "sizes"].map(option);
      const priority = this.hasAttribute("priority");
      this.replaceChildren(picture(manifest, { ladder, layout, width, sizes, priority }, option("alt") ?? ""));
      this.#tell("shown", manifest);
    } catch (error) {
      if (!signal.aborted) this.#tell(error instanceof Rejected ? "rejected" : "failed", error);
    }
  }

  #tell(state, detail) {
    this.setAttribute("state", state);
    this.dispatchEvent(new CustomEvent("scaled-image", { detail, bubbles: true }));
  }
}

/** Return a <picture> that shows its placeholder until it has loaded. */
function picture(manifest, options, alt) {
  const { sources, img } = attributes(manifest, options);
  const { style, ...own } = img;
  const image = element("img", { ...own, alt });
  const placeholder = manifest.placeholder ?? (manifest.thumbhash && thumbHashURL(manifest.thumbhash));
  Object.assign(image.style, background({ ...manifest, placeholder }), style);
  image.addEventListener("load", () => Object.assign(image.style, { background: "none" }), { once: true });
  const made = document.createElement("picture");
  made.append(...sources.map((source) => element("source", source)), image);
  return made;
}

function element(tag, given) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  return made;
}

globalThis.customElements?.define("scaled-image", ScaledImage);
