"""What a browser shows of an image, and what the engine makes of it, so that the two can be compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyvips
from playwright.sync_api import Browser, Page, Route

from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.toml import parse_recipe

GRID = 12
"""Pictures are compared by the means of so many rows and columns of blocks, in which an encoder's grain is lost."""
MAX_FRAMES = 8
MAX_PNG_PIXELS = 1_000_000
"""The pixels of larger pictures are taken before they are encoded: a PNG of 12 megapixels takes 4 seconds."""
ORIGIN = "http://127.0.0.1"

_SCRIPT = """
window.blocks = (source, width, height) => {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(source, 0, 0);
  const data = context.getImageData(0, 0, width, height).data;
  const columns = Math.min(GRID, width), rows = Math.min(GRID, height);
  const sums = new Float64Array(columns * rows * 4), counts = new Float64Array(columns * rows);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor(y * rows / height) * columns;
    for (let x = 0; x < width; x++, at += 4) {
      const block = row + Math.floor(x * columns / width), alpha = data[at + 3] / 255;
      const sum = block * 4;
      sums[sum] += data[at] * alpha;
      sums[sum + 1] += data[at + 1] * alpha;
      sums[sum + 2] += data[at + 2] * alpha;
      sums[sum + 3] += data[at + 3];
      counts[block]++;
    }
  }
  return Array.from(sums, (sum, at) => sum / counts[at >> 2]);
};
window.still = async () => {
  const image = new Image();
  image.src = URL.createObjectURL(await (await fetch("/picture")).blob());
  try { await image.decode(); } catch { return null; }
  const {naturalWidth: width, naturalHeight: height} = image;
  return {width, height, blocks: blocks(image, width, height)};
};
window.frames_of = async (type, most) => {
  const decoder = new ImageDecoder({data: (await fetch("/picture")).body, type});
  await decoder.tracks.ready;
  await decoder.completed;
  const delays = [], frames = [];
  for (let index = 0; index < decoder.tracks.selectedTrack.frameCount; index++) {
    const {image} = await decoder.decode({frameIndex: index});
    delays.push(image.duration / 1000);
    if (index < most) frames.push(blocks(image, image.displayWidth, image.displayHeight));
    image.close();
  }
  return {delays, frames, repetitions: decoder.tracks.selectedTrack.repetitionCount};
};
""".replace("GRID", str(GRID))

_PAGE = f"<!doctype html><title>pictures</title><script>{_SCRIPT}</script>"


class Still(NamedTuple):
    """A picture, by its size and the means of its blocks: red, green and blue multiplied by alpha, and alpha."""

    size: Size
    blocks: np.ndarray


class Animation(NamedTuple):
    """How long each frame is shown in milliseconds, the first frames by their blocks, and how often it is repeated."""

    delays: list[float]
    frames: list[np.ndarray]
    repetitions: float = float("inf")

    def at(self, time: float) -> np.ndarray:
        """The frame that is shown after so many milliseconds."""
        ends = np.cumsum(self.delays)
        return self.frames[int(np.searchsorted(ends, time, side="right"))]


class Viewer:
    """A page on which pictures are drawn."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._body = b""
        page.route("**/*", self._respond)
        page.goto(f"{ORIGIN}/")

    def _respond(self, route: Route) -> None:
        if route.request.url.endswith("/picture"):
            route.fulfill(body=self._body, content_type="application/octet-stream")
        else:
            route.fulfill(body=_PAGE, content_type="text/html")

    def still(self, body: bytes) -> Still | None:
        """The picture as it is drawn; None if the browser cannot read it."""
        self._body = body
        seen: dict[str, Any] | None = self._page.evaluate("still()")
        return Still(Size(seen["width"], seen["height"]), _grid(seen["blocks"])) if seen else None

    def animation(self, body: bytes, media_type: str) -> Animation:
        self._body = body
        seen = self._page.evaluate(f"frames_of('{media_type}', {MAX_FRAMES})")
        # On a page a frame that is shown for no longer than 10 milliseconds is shown for 100.
        delays = [delay if delay > 10 else 100 for delay in seen["delays"]]
        return Animation(delays, [_grid(frame) for frame in seen["frames"]], seen["repetitions"])


@contextmanager
def viewer(browser: Browser) -> Iterator[Viewer]:
    page = browser.new_page()
    yield Viewer(page)
    page.close()


def _grid(blocks: list[float]) -> np.ndarray:
    return np.array(blocks).reshape(-1, 4)


def made(body: bytes) -> Still:
    """What the engine makes of a source: a lossless PNG in full size."""
    source = SourceImage(body)
    targets = parse_recipe('[renditions.x]\nformat = "png"').plan_for("a.png").renditions
    rendering = source.render(targets)
    if source.size.width * source.size.height > MAX_PNG_PIXELS:
        image = rendering.original(targets[0])
    else:
        image = pyvips.Image.new_from_buffer(next(iter(rendering)).body, "")
    return Still(Size(image.width, image.height), _blocks(image))


def made_animation(body: bytes) -> Animation:
    """What the engine makes of an animation: a lossless WebP. Frames that are equal may have become one."""
    targets = parse_recipe('[renditions.x]\nformat = "webp"\nlossless = true').plan_for("a.gif").renditions
    (rendition,) = SourceImage(body).render(targets)
    roll = pyvips.Image.new_from_buffer(rendition.body, "", n=-1)
    height = roll.get("page-height") if roll.get_typeof("page-height") else roll.height
    frames = [_blocks(roll.crop(0, top, roll.width, height)) for top in range(0, roll.height, height)]
    delays = roll.get("delay") if roll.get_typeof("delay") else [0]
    return Animation(list(delays), frames)


def _blocks(image: pyvips.Image) -> np.ndarray:
    if image.bands < 3:
        image = image.colourspace("srgb")
    pixels = image.numpy()
    if image.hasalpha():
        pixels = pixels.astype(np.float32)
        pixels[..., :3] *= pixels[..., 3:] / 255
    for axis in (0, 1):
        length = pixels.shape[axis]
        count = min(GRID, length)
        places = np.arange(length) * count // length
        starts = np.searchsorted(places, np.arange(count))
        sums = np.add.reduceat(pixels, starts, axis, dtype=np.float64)
        pixels = sums / np.bincount(places).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    blocks = pixels.reshape(-1, pixels.shape[2])
    return blocks if image.hasalpha() else np.column_stack([blocks, np.full(len(blocks), 255)])
