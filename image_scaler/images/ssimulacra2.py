"""Score how much of a picture is left after encoding, as people see it: SSIMULACRA 2 with libvips' operations.

The metric, its constants and its weights are those of https://github.com/cloudinary/ssimulacra2 (Jon Sneyers,
Cloudinary; BSD-3-Clause): 100 is identical, 90 visually lossless, 80 not noticed side by side, 70 high, 50 medium
quality. It compares two pictures in XYB at several scales: where structure was lost, where edges appeared (ringing,
banding, blocks), and where edges were smoothed.

To save time, the sixth scale and 88 of the 108 weights are skipped, which hardly change a score, and large pictures are
scored by a sample of their rows: scoring all of them would cost as much as encoding. Over 352 encodings of 34 pictures
the difference from the author's program is 0.25 points on average and 0.95 at the 95th percentile. Documents and
drawings that score above 80 have up to 2.6 points too many.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
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
_HALF_BLUR = [0.00941436780965374, 0.0360111146583644, 0.1093353727774603, 0.2129285920104222, 0.2646211054881985]
"""Half of the Gaussian of sigma 1.5: the impulse response of the public program's recursive filter."""
_MARGIN = len(_HALF_BLUR) - 1
"""How far a pixel has an influence, in pixels."""
_MIN_SIDE = 8
"""A picture with a side below this many pixels is not halved again."""
_SAMPLED_ROWS = 16
"""Rows of each tile that are looked at, at the scales at which a tile has twice as many or more."""
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
_SHELVES = ((0,), (1, 2), (3, 4))
"""The scales next to each other in the one image in which all are compared, row by row."""


class Reference:
    """A picture to compare encodings of it with; what depends on it alone is computed once."""

    def __init__(self, image: pyvips.Image) -> None:
        """`image`: in memory, in 8-bit sRGB or grey, with or without alpha."""
        self._size = image.width, image.height
        self._layout = _Layout(image.width, image.height)
        # Without transparency any background would do.
        self._backgrounds: tuple[int, ...] = (_DARK, _BRIGHT) if image.hasalpha() else (_DARK,)
        self._sides = [
            _Side(self._layout, self._layout.arrange(_opaque(image, background))) for background in self._backgrounds
        ]

    def score(self, image: pyvips.Image) -> Score:
        """Return the score of the picture after encoding; raises ValueError if its size has changed."""
        if (image.width, image.height) != self._size:
            raise ValueError(f"expected {self._size} pixels but received {image.width} x {image.height}")
        scores = [
            self._score(side, _opaque(image, background))
            for side, background in zip(self._sides, self._backgrounds, strict=True)
        ]
        return Score(min(score.overall for score in scores), min(score.worst for score in scores))

    def _score(self, side: "_Side", image: pyvips.Image) -> Score:
        total, tiles = 0.0, [0.0] * self._layout.tiles
        for weight, exponent, errors, shares in side.errors(self._layout.arrange(image)):
            total += weight * (sum(errors) / sum(shares)) ** exponent
            for tile, (error, share) in enumerate(zip(errors, shares, strict=True)):
                if share:
                    tiles[tile] += weight * (error / share) ** exponent
        worst = sorted(tiles)[-max(MIN_WORST_TILES, round(len(tiles) * WORST_SHARE)) :]
        return Score(_on_scale(total), sum(map(_on_scale, worst)) / len(worst))


class _Area(NamedTuple):
    """The place of one scale of a picture; its channels are next to each other, with a tile's width between them."""

    left: int
    top: int
    across: int
    """Tiles of a channel in a row."""
    down: int
    tile: tuple[int, int]
    """Width and height of a tile at this scale."""
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
        self.areas = self._place(len(sizes))
        marks = [self._mark(scale, *size) for scale, size in enumerate(sizes)]
        joined = self._join_channels(marks).copy_memory()
        self._outline, self.mask, self.signs = (band.cast("float").copy_memory() for band in joined.bandsplit())
        """1 at the pixels of the picture; at those that count; the same, but -1 if the edges that count are those that
        were smoothed. 0 elsewhere."""
        self.shares = [channels[0][0] for channels in (_tile_averages(self.mask, area) for area in self.areas)]
        """By area: the share of pixels that count, for each tile."""

    def arrange(self, image: pyvips.Image) -> pyvips.Image:
        """Return the rows that are looked at of all scales and channels, in one image with zeros between them."""
        scales = self._scales(image)
        luma = self._join(scales).recomb(_LUMA_CONE_OF_LIGHT).cast("ushort").maplut(_TO_CUBE_ROOT)
        for light, area in zip(scales, self.areas, strict=True):
            if len(area.scale.channels) > 1:
                cones = light.recomb(_CONES_OF_LIGHT).cast("ushort").maplut(_TO_CUBE_ROOT)
                colours = cones.recomb(_XB_OF_CONES).linear([1, 1], _XB_OFFSETS)
                for channel, name in enumerate(area.scale.channels[1:], 1):
                    luma = luma.insert(colours["XB".index(name)], area.channel_left(channel), area.top)
        # Outside the picture is nothing, also for the blur.
        return (luma * self._outline).copy_memory()

    def _place(self, count: int) -> list[_Area]:
        """Return the areas of so many scales."""
        areas = []
        top = 0
        for shelf in _SHELVES:
            left, height = 0, 0
            for number in shelf:
                if number < count:
                    tile = self._tile >> number, self._rows(number)
                    area = _Area(left, top, self._across, self._down, tile, _SCALES[number])
                    areas.append(area)
                    left, height = left + area.width + _MARGIN, max(height, area.height)
            top += height + _MARGIN
        return areas

    def _join(self, images: Sequence[pyvips.Image]) -> pyvips.Image:
        """Return the images in one, each at the first channel of its area, black elsewhere."""
        width = max(area.left + area.width for area in self.areas)
        height = max(area.top + area.height for area in self.areas)
        joined = images[0].embed(0, 0, width, height)
        for image, area in zip(images[1:], self.areas[1:], strict=True):
            joined = joined.insert(image, area.left, area.top)
        return joined

    def _join_channels(self, images: Sequence[pyvips.Image]) -> pyvips.Image:
        """Return the images in one, each at every channel of its area, black elsewhere."""
        joined = self._join(images)
        for image, area in zip(images, self.areas, strict=True):
            for channel in range(1, len(area.scale.channels)):
                joined = joined.insert(image, area.channel_left(channel), area.top)
        return joined

    def _mark(self, scale: int, width: int, height: int) -> pyvips.Image:
        """Return outline, mask and signs of one scale, as bands."""
        tile, rows = self._tile >> scale, self._rows(scale)
        margin = 0 if rows == tile else _MARGIN
        whole, rest = divmod(height, tile)
        seen = whole * rows + min(max(0, rest - (tile - rows) // 2), rows)
        outline = _ones(width, seen)
        counting = _ones(width, rows - 2 * margin).embed(0, margin, width, rows)
        mask = counting.replicate(1, self._down).crop(0, 0, width, seen)
        signs = mask.linear(-1, 0) if _SCALES[scale].smoothing else mask
        return outline.bandjoin([mask, signs]).cast("char").copy_memory()

    def _scales(self, image: pyvips.Image) -> list[pyvips.Image]:
        """Return the rows that are looked at of each scale, in linear light."""
        if self._rows(1) == self._tile >> 1:
            light = image.maplut(_TO_LIGHT).copy_memory()
            return [self._sample(one, scale) for scale, one in enumerate((light, *_halve(light)))]
        # A large picture: most of it is needed at a quarter only, so that is made in one step.
        full, pairs = self._sample(image, 0), self._sample(image, 0, 2 * self._rows(1))
        half, quarter = _shrink(pairs.maplut(_TO_LIGHT), 2), _shrink(image.maplut(_TO_LIGHT), 4)
        smaller = (quarter, *_halve(quarter))[:3]
        return [full.maplut(_TO_LIGHT), half, *(self._sample(one, 2 + scale) for scale, one in enumerate(smaller))]

    def _rows(self, scale: int) -> int:
        """Return how many rows of a tile are looked at, with those around them that have an influence."""
        sampled, all_rows = _SAMPLED_ROWS + 2 * _MARGIN, self._tile >> scale
        return sampled if self._height >= _MIN_SAMPLED_HEIGHT and all_rows >= 2 * _SAMPLED_ROWS + _MARGIN else all_rows

    def _sample(self, image: pyvips.Image, scale: int, rows: int = 0) -> pyvips.Image:
        """Return the rows of each tile that are looked at, or so many, one strip below the other."""
        tile, rows, width = self._tile >> scale, rows or self._rows(scale), image.width
        padded = image.embed(0, 0, width, tile * self._down)
        if rows == tile:
            return padded
        # With all rows of a tile side by side in one, the strips are a single crop.
        tall = _reshape(padded, width * tile, self._down)
        return _reshape(tall.crop(width * ((tile - rows) // 2), 0, width * rows, self._down), width, rows * self._down)


class _Side:
    """The source's side of a comparison."""

    def __init__(self, layout: _Layout, pixels: pyvips.Image) -> None:
        self._layout = layout
        self._pixels = pixels
        self._mean = _blur(pixels).copy_memory()
        self._variance = (_mean_square(pixels) - self._mean * self._mean).linear(1, _C2).copy_memory()
        self._flatness = (1 / (pixels - self._mean).abs().linear(1, 1)).cast("float").copy_memory()

    def errors(self, pixels: pyvips.Image) -> Iterator[tuple[float, float, Sequence[float], Sequence[float]]]:
        """Yield weight, exponent, averages of each tile, and the tiles' shares, for each error map that counts."""
        mean = _blur(pixels).copy_memory()
        change = (pixels - self._pixels).copy_memory()
        shift = mean - self._mean
        shift = shift * shift
        # SSIM's fraction, with the variance of the change instead of the covariance of the two.
        variance = _mean_square(pixels) - mean * mean + self._variance
        kept = ((_mean_square(change) - shift) / variance).linear(-1, 1) * shift.linear(-1, 1)
        structure = (kept.linear(-1, 1) * self._layout.mask).copy_memory()
        edges = ((pixels - mean).abs().linear(1, 1) * self._flatness).linear(1, -1) * self._layout.signs
        edges = edges.clamp(min=0, max=100).copy_memory()
        maps = structure.bandjoin([_fourth_power(structure), _fourth_power(edges)])
        for area, shares in zip(self._layout.areas, self._layout.shares, strict=True):
            for weights, averages in zip(area.scale.weights, _tile_averages(maps, area), strict=True):
                for weight, exponent, values in zip(weights, (1, 0.25, 0.25), averages, strict=True):
                    if weight:
                        # Rounding may have left an average a trifle below zero.
                        yield weight, exponent, [max(0.0, value) for value in values], shares


def _opaque(image: pyvips.Image, background: int) -> pyvips.Image:
    """Return the picture in RGB, on a grey background if it has alpha."""
    if image.hasalpha():
        image = image.flatten(background=background)
    return image if image.bands == 3 else image.colourspace("srgb")


def _ones(width: int, height: int) -> pyvips.Image:
    return (pyvips.Image.black(width, height) + 1).cast("char")


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return the size of a picture at each scale, as long as it is not too small."""
    found = [(width, height)]
    while len(found) < len(_SCALES) and min(found[-1]) >= _MIN_SIDE:
        found.append((math.ceil(found[-1][0] / 2), math.ceil(found[-1][1] / 2)))
    return found


def _halve(image: pyvips.Image) -> Iterator[pyvips.Image]:
    """Yield the picture at a half, a quarter, an eighth and a sixteenth, as long as it is not too small."""
    for _ in _sizes(image.width, image.height)[1:]:
        image = _shrink(image, 2)
        yield image


def _shrink(image: pyvips.Image, factor: int) -> pyvips.Image:
    """Return the picture in memory, smaller by a factor; its last column and row are repeated if that is necessary."""
    width, height = (math.ceil(side / factor) * factor for side in (image.width, image.height))
    if (width, height) != (image.width, image.height):
        image = image.embed(0, 0, width, height, extend="copy")
    return image.shrink(factor, factor).copy_memory()


def _blur(image: pyvips.Image) -> pyvips.Image:
    """Return the image blurred, with zeros around it."""
    padded = image.embed(_MARGIN, _MARGIN, image.width + 2 * _MARGIN, image.height + 2 * _MARGIN)
    # What convsep does, without its half a millisecond before the first pixel.
    return padded.convf(_GAUSSIAN).convf(_GAUSSIAN_DOWN).crop(_MARGIN, _MARGIN, image.width, image.height)


def _mean_square(image: pyvips.Image) -> pyvips.Image:
    # In memory: for each row the blur asks for nine, and all of them would be squared again.
    return _blur((image * image).copy_memory()).copy_memory()


def _fourth_power(image: pyvips.Image) -> pyvips.Image:
    square = image * image
    return square * square


def _tile_averages(image: pyvips.Image, area: _Area) -> list[list[Sequence[float]]]:
    """Return the average of each tile of an area, row by row, by channel and band."""
    tiles = image.crop(area.left, area.top, area.width, area.height).shrink(*area.tile).cast("float")
    values = array("f")
    values.frombytes(bytes(tiles.write_to_memory()))
    bands = [values[band :: image.bands] for band in range(image.bands)]
    starts = range(0, tiles.width, area.across + 1)
    rows = range(0, tiles.width * area.down, tiles.width)
    return [
        [[value for row in rows for value in band[row + start : row + start + area.across]] for band in bands]
        for start in starts
    ]


def _reshape(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """Return the same values in rows of another length."""
    values = pyvips.Image.new_from_memory(image.write_to_memory(), width, height, image.bands, image.format)
    return values.copy(interpretation=image.interpretation)


def _on_scale(error: float) -> float:
    """Return the score of a weighted sum of errors."""
    error *= 0.9562382616834844
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return float(100 - 10 * max(0.0, error) ** 0.6276336467831387)


def _light(level: int) -> float:
    """Return the linear light of an 8-bit sRGB level, from 0 to 65535."""
    value = level / 255
    return float(65535 * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4))


def _cube_roots() -> Any:
    """Return the cube root of every light from 0 to 65535, as XYB has it."""
    return (pyvips.Image.identity(ushort=True) / 65535 + _BIAS) ** (1 / 3) + (0.01 - _BIAS ** (1 / 3))


_TO_LIGHT = pyvips.Image.new_from_list([[round(_light(level)) for level in range(256)]]).cast("ushort").copy_memory()
_TO_CUBE_ROOT = _cube_roots().cast("float").copy_memory()
_CONES_OF_LIGHT = pyvips.Image.new_from_list(_TO_CONES)
_LUMA_CONE_OF_LIGHT = pyvips.Image.new_from_list(
    [[(red + green) / 2 for red, green in zip(*_TO_CONES[:2], strict=True)]]
)
_XB_OF_CONES = pyvips.Image.new_from_list(_TO_XB)
_GAUSSIAN = pyvips.Image.new_from_list([[*_HALF_BLUR, *_HALF_BLUR[-2::-1]]])
_GAUSSIAN_DOWN = _GAUSSIAN.rot90().copy_memory()
