"""Score how much of a picture is left after encoding, as people see it: SSIMULACRA 2 with libvips' operations.

The metric, its constants and its weights are those of https://github.com/cloudinary/ssimulacra2 (Jon Sneyers,
Cloudinary; BSD-3-Clause): 100 is identical, 90 visually lossless, 80 not noticed side by side, 70 high, 50 medium
quality. It compares two pictures in XYB at several scales: where structure was lost, where edges appeared (ringing,
banding, blocks), and where edges were smoothed.

What hardly changes a score is left out: the sixth scale, 88 of the 108 weights, and in large pictures, which would cost
as much as encoding them, rows of the larger scales. Over 352 encodings of 34 pictures the difference from the author's
program is 0.25 points on average and 0.95 at the 95th percentile; it is largest, up to 2.5, at scores above 90.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyvips

from image_scaler.renditions.quality import METRIC_VERSION

__all__ = ["METRIC_VERSION", "TILE", "Reference", "Score"]

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
_TO_XYB = [[7, -7, 0], [0.5, 0.5, 0], [-0.5, -0.5, 1]]
_XYB_OFFSETS = [0.42, 0, 0.55]
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


_Y_FULL = [_Weights(structure4=7.466890328078848, edges4=17.445833984131262)]
# Structure of X has 1.104 at half and 1.842 at quarter size. The former is left out: it is 2.6 times the latter.
_Y_HALF = [_Weights(structure4=6.683678146179332, edges4=1.027889937768264)]
_XYB_QUARTER = [
    _Weights(structure4=4.72, edges4=11.441172603757666),
    _Weights(structure=225.20515300849274, structure4=19.213238186143016),
    _Weights(),
]
_XYB_EIGHTH = [
    _Weights(structure4=1.8787594979546387, edges4=10.94906990605142),
    _Weights(structure=176.39317598450694, structure4=24.43300999870476),
    _Weights(structure4=8.826982764996862, edges4=23.19243343998926),
]
_XYB_SIXTEENTH = [
    _Weights(),
    _Weights(structure4=34.77906344483772, edges4=44.835625328877896),
    _Weights(structure=95.1080498811086, edges4=171.2667255897307),
]


class Reference:
    """A picture to compare encodings of it with; what depends on it alone is computed once."""

    def __init__(self, image: pyvips.Image) -> None:
        """`image`: in memory, in 8-bit sRGB or grey, with or without alpha."""
        self._size = image.width, image.height
        self._layout = _Layout(image.width, image.height)
        # Without transparency any background would do.
        self._backgrounds: tuple[int, ...] = (_DARK, _BRIGHT) if image.hasalpha() else (_DARK,)
        self._sides = [
            [_Side(layer, pixels) for layer, pixels in self._layout.split(_opaque(image, background))]
            for background in self._backgrounds
        ]

    def score(self, image: pyvips.Image) -> Score:
        """Return the score of the picture after encoding; raises ValueError if its size has changed."""
        if (image.width, image.height) != self._size:
            raise ValueError(f"expected {self._size} pixels but received {image.width} x {image.height}")
        scores = [
            self._score(sides, _opaque(image, background))
            for sides, background in zip(self._sides, self._backgrounds, strict=True)
        ]
        return Score(min(score.overall for score in scores), min(score.worst for score in scores))

    def _score(self, sides: Sequence["_Side"], image: pyvips.Image) -> Score:
        total, tiles = 0.0, [0.0] * self._layout.tiles
        for side, (_, pixels) in zip(sides, self._layout.split(image), strict=True):
            for weight, exponent, errors, shares in side.errors(pixels):
                total += weight * (sum(errors) / sum(shares)) ** exponent
                for tile, (error, share) in enumerate(zip(errors, shares, strict=True)):
                    if share:
                        tiles[tile] += weight * (error / share) ** exponent
        worst = sorted(tiles)[-max(MIN_WORST_TILES, round(len(tiles) * WORST_SHARE)) :]
        return Score(_on_scale(total), sum(map(_on_scale, worst)) / len(worst))


class _Area(NamedTuple):
    """One scale of a picture, as a part of a layer."""

    left: int
    top: int
    width: int
    height: int
    tile: tuple[int, int]
    """Width and height of a tile at this scale."""
    weights: Sequence[_Weights]
    """By channel."""


class _Layer(NamedTuple):
    """Scales that are compared in one image, with space between them: each operation costs as much as 30,000 pixels."""

    areas: Sequence[_Area]
    mask: pyvips.Image
    """1 at the pixels that count, and 0 elsewhere."""
    shares: Sequence[Sequence[float]]
    """By area: the share of pixels that count, for each tile."""
    smoothing: bool
    """Whether the edges that count are those that were smoothed, and not those that appeared."""


class _Layout:
    """How pictures of one size are split into layers."""

    def __init__(self, width: int, height: int) -> None:
        self._height = height
        self._tile = TILE * max(1, round(math.sqrt(width * height / _TILED_PIXELS)))
        self._across, self._down = math.ceil(width / self._tile), math.ceil(height / self._tile)
        self.tiles = self._across * self._down
        white = (pyvips.Image.black(width, height) + 255).cast("uchar")
        scales = [white, *_halve(white)]
        outlines = [self._sample(image, scale) for scale, image in enumerate(scales)]
        masks = [outline * self._pattern(scale, outline.width) for scale, outline in enumerate(outlines)]
        weights = (_Y_FULL, _Y_HALF, _XYB_QUARTER, _XYB_EIGHTH, _XYB_SIXTEENTH)
        # The three smaller scales are next to each other: the first, and below it the others.
        below = self._rows(2) * self._down + _MARGIN
        beside = (self._tile >> 3) * self._across + _MARGIN
        places = ((0, 0), (0, 0), (0, 0), (0, below), (beside, below))
        areas = [self._area(*place, scale, weights[scale]) for scale, place in enumerate(places[: len(scales)])]
        self._layers = [_layer(mask, [area], smoothing=True) for mask, area in zip(masks[:2], areas, strict=False)]
        if areas[2:]:
            self._layers.append(_layer(_join(masks[2:], areas[2:]), areas[2:], smoothing=False))
            self._outline = _ones(_join(outlines[2:], areas[2:]))

    def split(self, image: pyvips.Image) -> Iterator[tuple[_Layer, pyvips.Image]]:
        """Yield each layer with its pixels: Y at the two larger scales, and XYB at the smaller ones."""
        scales = self._scales(image)
        for layer, one in zip(self._layers, scales[:2], strict=False):
            yield layer, _luma(one)
        if scales[2:]:
            layer = self._layers[2]
            cones = _join(scales[2:], layer.areas).recomb(_CONES_OF_LIGHT).cast("ushort").maplut(_TO_CUBE_ROOT)
            # Outside the picture is nothing, also for the blur.
            yield layer, (cones.recomb(_XYB_OF_CONES).linear([1] * 3, _XYB_OFFSETS) * self._outline).copy_memory()

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

    def _area(self, left: int, top: int, scale: int, weights: Sequence[_Weights]) -> _Area:
        tile = self._tile >> scale, self._rows(scale)
        return _Area(left, top, tile[0] * self._across, tile[1] * self._down, tile, weights)

    def _pattern(self, scale: int, width: int) -> pyvips.Image:
        """Return 1 at the rows that count and 0 at those that only have an influence."""
        rows = self._rows(scale)
        margin = 0 if rows == self._tile >> scale else _MARGIN
        return (pyvips.Image.black(1, rows - 2 * margin) + 1).embed(0, margin, 1, rows).replicate(width, self._down)

    def _sample(self, image: pyvips.Image, scale: int, rows: int = 0) -> pyvips.Image:
        """Return the rows of each tile that are looked at, or so many, one strip below the other."""
        tile, rows, width = self._tile >> scale, rows or self._rows(scale), image.width
        padded = image.embed(0, 0, width, tile * self._down)
        if rows == tile:
            return padded
        # With all rows of a tile side by side in one, the strips are a single crop.
        tall = _reshape(padded, width * tile, self._down)
        return _reshape(tall.crop(width * ((tile - rows) // 2), 0, width * rows, self._down), width, rows * self._down)


def _layer(white: pyvips.Image, areas: Sequence[_Area], *, smoothing: bool) -> _Layer:
    mask = _ones(white)
    return _Layer(areas, mask, [_averages(mask, area)[0] for area in areas], smoothing)


def _ones(white: pyvips.Image) -> pyvips.Image:
    """Return 1 at pixels that are not black, and 0 elsewhere."""
    return (white > 0).linear(1 / 255, 0).copy_memory()


class _Side:
    """The source's side of the comparison of one layer."""

    def __init__(self, layer: _Layer, pixels: pyvips.Image) -> None:
        self._layer = layer
        self._pixels = pixels
        self._mean = _blur(pixels).copy_memory()
        self._variance = (_mean_square(pixels) - self._mean * self._mean).linear(1, _C2).copy_memory()
        self._flatness = (1 / (pixels - self._mean).abs().linear(1, 1)).cast("float").copy_memory()

    def errors(self, pixels: pyvips.Image) -> Iterator[tuple[float, float, Sequence[float], Sequence[float]]]:
        """Yield weight, exponent, averages of each tile, and the tiles' shares, for each error map that counts."""
        layer, mean = self._layer, _blur(pixels).copy_memory()
        change = (pixels - self._pixels).copy_memory()
        shift = mean - self._mean
        shift = shift * shift
        # SSIM's fraction, with the variance of the change instead of the covariance of the two.
        variance = _mean_square(pixels) - mean * mean + self._variance
        kept = ((_mean_square(change) - shift) / variance).linear(-1, 1) * shift.linear(-1, 1)
        structure = (kept.linear(-1, 1) * layer.mask).copy_memory()
        edges = (pixels - mean).abs().linear(1, 1) * self._flatness
        edges = edges.linear(-1, 1) if layer.smoothing else edges.linear(1, -1)
        edges = (edges.clamp(min=0, max=100) * layer.mask).copy_memory()
        maps = structure.bandjoin([_fourth_power(structure), _fourth_power(edges)])
        for area, shares in zip(layer.areas, layer.shares, strict=True):
            averages = _averages(maps, area)
            channels = len(area.weights)
            for channel, weights in enumerate(area.weights):
                for kind, (weight, exponent) in enumerate(zip(weights, (1, 0.25, 0.25), strict=True)):
                    if weight:
                        # Rounding may have left an average a trifle below zero.
                        errors = [max(0.0, error) for error in averages[kind * channels + channel]]
                        yield weight, exponent, errors, shares


def _opaque(image: pyvips.Image, background: int) -> pyvips.Image:
    """Return the picture in RGB, on a grey background if it has alpha."""
    if image.hasalpha():
        image = image.flatten(background=background)
    return image if image.bands == 3 else image.colourspace("srgb")


def _halve(image: pyvips.Image) -> Iterator[pyvips.Image]:
    """Yield the picture at a half, a quarter, an eighth and a sixteenth, as long as it is not too small."""
    for _ in range(4):
        if min(image.width, image.height) < _MIN_SIDE:
            return
        image = _shrink(image, 2)
        yield image


def _shrink(image: pyvips.Image, factor: int) -> pyvips.Image:
    """Return the picture in memory, smaller by a factor; its last column and row are repeated if that is necessary."""
    width, height = (math.ceil(side / factor) * factor for side in (image.width, image.height))
    if (width, height) != (image.width, image.height):
        image = image.embed(0, 0, width, height, extend="copy")
    return image.shrink(factor, factor).copy_memory()


def _join(images: Sequence[pyvips.Image], areas: Sequence[_Area]) -> pyvips.Image:
    """Return the images in one, black between them."""
    width = max(area.left + area.width for area in areas)
    height = max(area.top + area.height for area in areas)
    joined = images[0].embed(0, 0, width, height)
    for image, area in zip(images[1:], areas[1:], strict=True):
        joined = joined.insert(image, area.left, area.top)
    return joined


def _luma(light: pyvips.Image) -> pyvips.Image:
    return light.recomb(_LUMA_CONES_OF_LIGHT).cast("ushort").maplut(_TO_CUBE_ROOT).bandmean().copy_memory()


def _blur(image: pyvips.Image) -> pyvips.Image:
    """Return the image blurred, with zeros around it."""
    padded = image.embed(_MARGIN, _MARGIN, image.width + 2 * _MARGIN, image.height + 2 * _MARGIN)
    return padded.convsep(_GAUSSIAN, precision="float").crop(_MARGIN, _MARGIN, image.width, image.height)


def _mean_square(image: pyvips.Image) -> pyvips.Image:
    # In memory: for each row the blur asks for nine, and all of them would be squared again.
    return _blur((image * image).copy_memory()).copy_memory()


def _fourth_power(image: pyvips.Image) -> pyvips.Image:
    square = image * image
    return square * square


def _averages(image: pyvips.Image, area: _Area) -> list[Sequence[float]]:
    """Return the average of each tile of an area, row by row, for each band."""
    right, bottom = area.left + area.width, area.top + area.height
    if right > image.width or bottom > image.height:
        image = image.embed(0, 0, max(right, image.width), max(bottom, image.height))
    tiles = image.crop(area.left, area.top, area.width, area.height).shrink(*area.tile).cast("float")
    values = array("f")
    values.frombytes(bytes(tiles.write_to_memory()))
    return [values[band :: image.bands] for band in range(image.bands)]


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
_LUMA_CONES_OF_LIGHT = pyvips.Image.new_from_list(_TO_CONES[:2])
_XYB_OF_CONES = pyvips.Image.new_from_list(_TO_XYB)
_GAUSSIAN = pyvips.Image.new_from_list([[*_HALF_BLUR, *_HALF_BLUR[-2::-1]]])
