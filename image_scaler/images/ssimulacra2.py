"""Score how much of a picture is left after encoding, as people see it: SSIMULACRA 2 with libvips' operations.

The metric, its constants and its weights are those of https://github.com/cloudinary/ssimulacra2 (Jon Sneyers,
Cloudinary; BSD-3-Clause): 100 is identical, 90 visually lossless, 80 not noticed side by side, 70 high, 50 medium
quality. It compares two pictures in XYB at several scales: where structure was lost, where edges appeared (ringing,
banding, blocks), and where edges were smoothed.

To save time, 90 of the 108 weights are skipped, which hardly change a score, and with them the sixth scale; errors are
computed for squares of two by two pixels, as each comes from the pixels around it; and large pictures are scored by a
sample of their rows: scoring all of them would cost as much as encoding. Over 471 encodings of 25 pictures, 640 to 1920
pixels wide, the difference from the package `ssimulacra2` is 0.5 points on average and 1.5 at the 95th percentile. A
diagram of thin lines has up to 3 points too few.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import pyvips

TILE = 64
"""The side in pixels of the regions that have scores of their own; a multiple of it in larger pictures."""
_TILED_PIXELS = 360_000
"""A picture of this many pixels has tiles of TILE. Larger pictures do not have more tiles: in all steps of a ladder a
region is about the same part of the picture."""
WORST_SHARE = 0.02
MIN_WORST_TILES = 2
"""The worst region: this share of the tiles, and at least this many. One tile alone may be a fluke."""

_C2 = 0.0009
"""SSIM's constant: below this variance, differences count as in a flat area."""
_BIAS = 0.0037930732552754493
_TO_CONES = [
    [0.3, 0.622, 0.078],
    [0.23, 0.692, 0.078],
    [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
]
"""Linear red, green and blue -> the light that long, middle and short cones absorb."""
_TO_XB = [[7, -7, 0], [-0.5, -0.5, 1]]
"""The cones' response -> X, red against green, and B, blue. Y, the luma, is the response to the mean of the light that
the first two absorb: that of a mean instead of a mean of two responses, which differs by less than 0.02 points."""
_XB_OFFSETS = [0.42, 0.55]
_STEP = 2
"""Errors are computed for each square of so many pixels a side."""
_BLUR = [0.0264, 0.3215, 0.5300, 0.1186, 0.0035]
"""A Gaussian of sigma 1.5 pixels around the first pixel of a square, as weights of the means of five squares: its
centre is a quarter of a square to the left, and above."""
_REACH = len(_BLUR) // 2
_MARGIN = _STEP * _REACH
"""How far a pixel has an influence, in pixels."""
_FLOAT_BYTES = 4
_MIN_SIDE = 8
"""A picture with a side below this many pixels is not halved again."""
_SAMPLED_ROWS = 16
"""Rows of each tile that are looked at, at the scales at which a tile has more than twice as many."""
_MIN_SAMPLED_HEIGHT = 4 * TILE
"""All rows of a picture that is less high are looked at."""
_DARK, _BRIGHT = 26, 230
"""The levels behind transparency: 10 and 90 %. The lower of the two scores counts."""


class Score(NamedTuple):
    """How much of a picture is left: 100 if it is identical; it may be below 0."""

    overall: float
    """SSIMULACRA 2's score of the picture."""
    worst: float
    """The same of its worst region, which large flat areas cannot hide: mostly 2 to 15 points lower."""
    background: int | None
    """The level behind transparency on which both are lower; None if there is none."""


class _Weights(NamedTuple):
    """The weights of the error maps of one channel."""

    structure: float = 0.0
    """Of the mean; the other two: of the fourth root of the mean of fourth powers."""
    structure4: float = 0.0
    edges4: float = 0.0
    """Of edges that were smoothed at the two larger scales, and of edges that appeared at the smaller ones."""


class _Scale(NamedTuple):
    """What counts at one scale."""

    channels: str
    """Of X, Y and B; Y is first and always counts."""
    weights: Sequence[_Weights]
    """By channel."""
    smoothing: bool
    """Whether the edges that count are those that were smoothed, and not those that appeared."""


_FIRST_WITH_COLOURS = 2
"""The first scale that compares colours; those before it compare luma alone."""

# Structure of X has 1.104 at half size and 1.842 at a quarter, 2.6 times larger there: only the latter counts.
_SCALES = (
    _Scale("Y", [_Weights(structure4=7.466890328078848, edges4=17.445833984131262)], smoothing=True),
    _Scale("Y", [_Weights(structure4=6.683678146179332, edges4=1.027889937768264)], smoothing=True),
    _Scale(
        "YX",
        [
            _Weights(structure=225.20515300849274, structure4=19.213238186143016),
            _Weights(structure4=4.72, edges4=11.441172603757666),
        ],
        smoothing=False,
    ),
    _Scale(
        "YXB",
        [
            _Weights(structure=176.39317598450694, structure4=24.43300999870476),
            _Weights(structure4=1.8787594979546387, edges4=10.94906990605142),
            _Weights(structure4=8.826982764996862, edges4=23.19243343998926),
        ],
        smoothing=False,
    ),
    _Scale(
        "YB",
        [
            _Weights(structure4=34.77906344483772, edges4=44.835625328877896),
            _Weights(structure=95.1080498811086, edges4=171.2667255897307),
        ],
        smoothing=False,
    ),
)
"""Full size, a half, a quarter, an eighth, a sixteenth."""
_EXPONENTS = (1, 0.25, 0.25)
"""Of the mean of each error map, in the order of the weights."""
_SHELVES = ((0,), (1, 2), (3, 4))
"""The scales next to each other in the one image in which all are compared, row by row."""


class Reference:
    """A picture to compare encodings of it with; what depends on it alone is computed once."""

    def __init__(self, image: pyvips.Image) -> None:
        """`image`: in memory, in 8-bit sRGB or grey, with or without alpha."""
        self._image = image
        self._layout = _layout(image.width, image.height)
        self._sides: dict[int, _Side] = {}

    def score(self, image: pyvips.Image, background: int | None = None) -> Score:
        """Return the score of the picture after encoding; raises ValueError if its size has changed.

        `background`: the only level to look at behind transparency, which the score at a similar quality has named;
        None: a dark and a bright one.
        """
        size = self._image.width, self._image.height
        if (image.width, image.height) != size:
            raise ValueError(f"expected {size} pixels but received {image.width} x {image.height}")
        if background is not None or not self._image.hasalpha():  # without transparency any background would do
            return self._score(image, background or _DARK)
        dark, bright = self._score(image, _DARK), self._score(image, _BRIGHT)
        overall, worst = min(dark.overall, bright.overall), min(dark.worst, bright.worst)
        lower = next((one for one in (dark, bright) if (one.overall, one.worst) == (overall, worst)), None)
        return Score(overall, worst, lower and lower.background)

    def _score(self, image: pyvips.Image, background: int) -> Score:
        if background not in self._sides:
            self._sides[background] = _Side(self._layout, self._layout.arrange(_opaque(self._image, background)))
        total, tiles = 0.0, [0.0] * self._layout.tiles
        errors_of_maps = self._sides[background].errors(self._layout.arrange(_opaque(image, background)))
        for weight, exponent, errors, shares in errors_of_maps:
            total += weight * (sum(errors) / sum(shares)) ** exponent
            for tile, (error, share) in enumerate(zip(errors, shares, strict=True)):
                if share:
                    tiles[tile] += weight * (error / share) ** exponent
        worst = sorted(tiles)[-max(MIN_WORST_TILES, round(len(tiles) * WORST_SHARE)) :]
        return Score(_on_scale(total), sum(map(_on_scale, worst)) / len(worst), background)


class _Area(NamedTuple):
    """The place of one scale of a picture; its channels are next to each other, with a tile's width between them."""

    left: int
    top: int
    across: int
    """Tiles of a channel in a row."""
    down: int
    tile: tuple[int, int]
    """Width and height of a tile at this scale."""
    size: tuple[int, int]
    """Width and height of what is looked at of a channel; less than all tiles if the picture ends within one."""
    scale: _Scale

    @property
    def width(self) -> int:
        """The width of all channels."""
        return self.tile[0] * (len(self.scale.channels) * (self.across + 1) - 1)

    @property
    def height(self) -> int:
        """The height of the rows that are looked at."""
        return self.tile[1] * self.down

    def channel_left(self, channel: int) -> int:
        """Return where a channel begins."""
        return self.left + channel * (self.across + 1) * self.tile[0]


class _Canvas:
    """An image of floats for what is placed in the areas; 0 elsewhere.

    Its rows are written one by one: libvips' insert() would copy the whole image each time.
    """

    def __init__(self, areas: Sequence[_Area]) -> None:
        self._width = max(area.left + area.width for area in areas)
        self._height = max(area.top + area.height for area in areas)
        self._pixels = bytearray(self._width * self._height * _FLOAT_BYTES)

    def place(self, values: Any, area: _Area, channel: int = 0) -> None:
        """Write rows of floats where a channel of an area begins."""
        rows, (width, height) = memoryview(values).cast("B"), area.size
        length, stride = width * _FLOAT_BYTES, self._width * _FLOAT_BYTES
        left = area.top * stride + area.channel_left(channel) * _FLOAT_BYTES
        for row in range(height):
            start = left + row * stride
            self._pixels[start : start + length] = rows[row * length : (row + 1) * length]

    def image(self) -> pyvips.Image:
        """Return what was placed.

        Keep it, or what is computed of it: copy_memory() of it would neither copy the pixels nor keep them.
        """
        return pyvips.Image.new_from_memory(self._pixels, self._width, self._height, 1, "float")


class _Layout:
    """How pictures of one size are arranged: all scales and channels in one image.

    An operation costs as much as 30,000 pixels. One image takes three quarters of the time of one for each scale if the
    picture is small, and the same time if it is large.
    """

    def __init__(self, width: int, height: int) -> None:
        self._height = height
        self._tile = TILE * max(1, round(math.sqrt(width * height / _TILED_PIXELS)))
        self._across, self._down = math.ceil(width / self._tile), math.ceil(height / self._tile)
        self.tiles = self._across * self._down
        sizes = _sizes(width, height)
        self.areas = self._place(sizes)
        self.mask = self._mark()
        """1 where the errors count, 0 elsewhere, and less than 1 in a square that the picture fills in part."""
        self.signs = self._mark(smoothing=-1)
        """The same, but negative if the edges that count are those that were smoothed."""
        self.shares = [channels[0][0] for channels in (_tile_averages(self.mask, area) for area in self.areas)]
        """By area: the share of pixels that count, for each tile."""

    def arrange(self, image: pyvips.Image) -> pyvips.Image:
        """Return the rows that are looked at of all scales and channels, in one image.

        Pixels outside the picture are 0, as the blur has them.
        """
        canvas = _Canvas(self.areas)
        for luma, area in zip(self._large_scales(image), self.areas, strict=False):
            canvas.place(luma.maplut(_TO_CUBE_ROOT).write_to_memory(), area)
        small = self.areas[_FIRST_WITH_COLOURS:]
        for light, area in zip(self._small_scales(image), small, strict=True):
            luma = light.recomb(_LUMA_OF_LIGHT).cast("ushort")
            canvas.place(luma.maplut(_TO_CUBE_ROOT).write_to_memory(), area)
            cones = light.recomb(_CONES_OF_LIGHT).cast("ushort").maplut(_TO_CUBE_ROOT)
            colours = cones.recomb(_XB_OF_CONES).linear([1, 1], _XB_OFFSETS).copy_memory()
            for channel, name in enumerate(area.scale.channels[1:], 1):
                canvas.place(colours["XB".index(name)].write_to_memory(), area, channel)
        return canvas.image()

    def _place(self, sizes: Sequence[tuple[int, int]]) -> list[_Area]:
        """Return the areas of scales of these sizes."""
        areas = []
        top = 0
        for shelf in _SHELVES:
            left, height = 0, 0
            for number in shelf:
                if number < len(sizes):
                    tile, rows = self._tile >> number, self._rows(number)
                    width, (whole, rest) = sizes[number][0], divmod(sizes[number][1], tile)
                    seen = whole * rows + min(max(0, rest - (tile - rows) // 2), rows)
                    area = _Area(left, top, self._across, self._down, (tile, rows), (width, seen), _SCALES[number])
                    areas.append(area)
                    left, height = left + area.width + _MARGIN, max(height, area.height)
            top += height + _MARGIN
        return areas

    def _mark(self, smoothing: int = 1) -> pyvips.Image:
        """Return 1 where the errors count, or `smoothing` at the scales at which smoothed edges count."""
        canvas = _Canvas(self.areas)
        for area in self.areas:
            width, (tile, rows) = area.size[0], area.tile
            margin = 0 if rows == tile else _MARGIN
            value = smoothing if area.scale.smoothing else 1
            around = array("f", [0]) * (margin * width)
            strip = around + array("f", [value]) * ((rows - 2 * margin) * width) + around
            for channel in range(len(area.scale.channels)):
                canvas.place(strip * self._down, area, channel)
        return canvas.image().shrink(_STEP, _STEP).copy_memory()

    def _large_scales(self, image: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image]:
        """Return the luma of the rows that are looked at, at full size and at a half."""
        full = _luma(self._sample(image, 0)).copy_memory()
        if self._rows(1) == self._tile >> 1:
            return full, self._sample(_shrink(_luma(image), 2), 1)
        return full, _shrink(_luma(self._sample(image, 0, 2 * self._rows(1))), 2)

    def _small_scales(self, image: pyvips.Image) -> list[pyvips.Image]:
        """Return the rows that are looked at of the scales from a quarter on, in linear light."""
        count = len(self.areas) - _FIRST_WITH_COLOURS
        lights = [_shrink(image.maplut(_TO_LIGHT), 4)] if count > 0 else []
        while len(lights) < count:
            lights.append(_shrink(lights[-1], 2))
        return [self._sample(light, scale).copy_memory() for scale, light in enumerate(lights, _FIRST_WITH_COLOURS)]

    def _rows(self, scale: int) -> int:
        """Return how many rows of a tile are looked at, with those around them that have an influence."""
        sampled, all_rows = _SAMPLED_ROWS + 2 * _MARGIN, self._tile >> scale
        return sampled if self._height >= _MIN_SAMPLED_HEIGHT and all_rows > 2 * _SAMPLED_ROWS else all_rows

    def _sample(self, image: pyvips.Image, scale: int, rows: int = 0) -> pyvips.Image:
        """Return the rows of each tile that are looked at, or so many, one strip below the other."""
        tile, rows, width = self._tile >> scale, rows or self._rows(scale), image.width
        padded = image.embed(0, 0, width, tile * self._down)
        if rows == tile:
            return padded
        top = (tile - rows) // 2
        strips = [padded.crop(0, top + tile * number, width, rows) for number in range(self._down)]
        return pyvips.Image.arrayjoin(strips, across=1)


@lru_cache(maxsize=8)
def _layout(width: int, height: int) -> _Layout:
    """Return the layout of a size, which takes a tenth to a fifth of a reference: a function sees sizes again."""
    return _Layout(width, height)


class _Side:
    """The source's side of a comparison."""

    def __init__(self, layout: _Layout, pixels: pyvips.Image) -> None:
        self._layout = layout
        self._pixels = pixels
        blurred = _blur(pixels, pixels * pixels).copy_memory()
        self._mean, mean_square = (band.copy_memory() for band in blurred.bandsplit())
        self._variance = (mean_square - self._mean * self._mean).linear(1, _C2).copy_memory()
        flatness = 0.5 / (pixels.subsample(_STEP, _STEP) - self._mean).abs().linear(1, 1)
        self._edge_gain = (flatness * layout.signs).cast("float").copy_memory()
        self._edge_offset = (flatness.linear(1, -0.5) * layout.signs).cast("float").copy_memory()
        """Half of what the two are in the formula of the edges: see errors()."""

    def errors(self, pixels: pyvips.Image) -> Iterator[tuple[float, float, Sequence[float], Sequence[float]]]:
        """Yield weight, exponent, averages of each tile, and the tiles' shares, for each error map that counts."""
        change = pixels - self._pixels
        mean, mean_square, mean_change = _blur(pixels, pixels * pixels, change * change).copy_memory().bandsplit()
        shift = mean - self._mean
        shift = shift * shift
        # What SSIM's fraction is less than 1, with the variance of the change instead of the covariance of the two, and
        # without the product of its two parts, which is a ten thousandth.
        variance = mean_square - mean * mean + self._variance
        structure = ((mean_change - shift) / variance + shift) * self._layout.mask
        edges = (pixels.subsample(_STEP, _STEP) - mean).abs() * self._edge_gain + self._edge_offset
        # Of the edges what is above zero: twice their half, in a quarter of the time that clamp() takes.
        errors = structure.bandjoin(edges + edges.abs()).copy_memory()
        squares = errors * errors
        maps = errors[0].bandjoin(squares * squares).copy_memory()
        for area, shares in zip(self._layout.areas, self._layout.shares, strict=True):
            for weights, averages in zip(area.scale.weights, _tile_averages(maps, area), strict=True):
                for weight, exponent, values in zip(weights, _EXPONENTS, averages, strict=True):
                    if weight:
                        # Rounding may have left an average a trifle below zero.
                        yield weight, exponent, [max(0.0, value) for value in values], shares


def _opaque(image: pyvips.Image, background: int) -> pyvips.Image:
    """Return the picture in RGB, on a grey background if it has alpha."""
    if image.hasalpha():
        image = image.flatten(background=background)
    return image if image.bands == 3 else image.colourspace("srgb")


def _luma(image: pyvips.Image) -> pyvips.Image:
    """Return the linear luma of a picture in RGB."""
    return image.maplut(_TO_LUMA).bandmean()


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return the size of a picture at each scale, as long as it is not too small."""
    found = [(width, height)]
    while len(found) < len(_SCALES) and min(found[-1]) >= _MIN_SIDE:
        found.append((math.ceil(found[-1][0] / 2), math.ceil(found[-1][1] / 2)))
    return found


def _shrink(image: pyvips.Image, factor: int) -> pyvips.Image:
    """Return the picture in memory, smaller by a factor; its last column and row are repeated if that is necessary."""
    width, height = (math.ceil(side / factor) * factor for side in (image.width, image.height))
    if (width, height) != (image.width, image.height):
        image = image.embed(0, 0, width, height, extend="copy")
    return image.shrink(factor, factor).copy_memory()


def _blur(*images: pyvips.Image) -> pyvips.Image:
    """Return the images blurred, in steps of _STEP pixels, with zeros around them: one band for each."""
    means = [image.shrink(_STEP, _STEP) for image in images]
    joined = means[0].bandjoin(means[1:]).copy_memory()
    padded = joined.embed(_REACH, _REACH, joined.width + 2 * _REACH, joined.height + 2 * _REACH)
    # What convsep does, without its half a millisecond before the first pixel.
    return padded.convf(_GAUSSIAN).convf(_GAUSSIAN_DOWN).crop(_REACH, _REACH, joined.width, joined.height)


def _tile_averages(image: pyvips.Image, area: _Area) -> list[list[Sequence[float]]]:
    """Return the average of each tile of an area, row by row, by channel and band.

    `image` is in steps of _STEP pixels.
    """
    left, top, width, height = (side // _STEP for side in (area.left, area.top, area.width, area.height))
    tiles = image.crop(left, top, width, height).shrink(*(side // _STEP for side in area.tile))
    values = array("f")
    values.frombytes(bytes(tiles.write_to_memory()))
    bands = [values[band :: image.bands] for band in range(image.bands)]
    starts = range(0, tiles.width, area.across + 1)
    rows = range(0, tiles.width * area.down, tiles.width)
    return [
        [[value for row in rows for value in band[row + start : row + start + area.across]] for band in bands]
        for start in starts
    ]


def _on_scale(error: float) -> float:
    """Return the score of a weighted sum of errors."""
    error *= 0.9562382616834844
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return float(100 - 10 * max(0.0, error) ** 0.6276336467831387)


def _light(level: int) -> float:
    """Return the linear light of an 8-bit sRGB level, from 0 to _WHITE."""
    value = level / 255
    return float(_WHITE * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4))


def _light_table(weights: Sequence[float]) -> pyvips.Image:
    """Return the light of each level in 16 bits, times the weight of each band."""
    bands = [
        pyvips.Image.new_from_list([[round(weight * _light(level)) for level in range(256)]]) for weight in weights
    ]
    return bands[0].bandjoin(bands[1:]).cast("ushort").copy_memory()


def _cube_roots() -> Any:
    """Return the cube root of every light from 0 to _WHITE, as XYB has it."""
    return (pyvips.Image.identity(ushort=True, size=_WHITE + 1) / _WHITE + _BIAS) ** (1 / 3) + (0.01 - _BIAS ** (1 / 3))


_WHITE = 65535 // 3
"""The light of white: a band that is weighted for a mean of three fits into 16 bits."""
_LUMA_WEIGHTS = [(red + green) / 2 for red, green in zip(*_TO_CONES[:2], strict=True)]
_TO_LIGHT = _light_table([1])
_TO_LUMA = _light_table([3 * weight for weight in _LUMA_WEIGHTS])
"""The luma is the mean of the three bands."""
_TO_CUBE_ROOT = _cube_roots().cast("float").copy_memory()
_CONES_OF_LIGHT = pyvips.Image.new_from_list(_TO_CONES)
_LUMA_OF_LIGHT = pyvips.Image.new_from_list([_LUMA_WEIGHTS])
_XB_OF_CONES = pyvips.Image.new_from_list(_TO_XB)
_GAUSSIAN = pyvips.Image.new_from_list([_BLUR])
_GAUSSIAN_DOWN = _GAUSSIAN.rot90().copy_memory()
