"""Score how much of a picture is left after encoding, as people see it: SSIMULACRA 2 with libvips' operations.

The metric, its constants and its weights are those of https://github.com/cloudinary/ssimulacra2 (Jon Sneyers,
Cloudinary; BSD-3-Clause): 100 is identical, 90 visually lossless, 80 not noticed side by side, 70 high, 50 medium
quality. It compares two pictures in XYB at several scales: where structure was lost, where edges appeared (ringing,
banding, blocks), and where edges were smoothed.

What hardly changes a score is left out: the sixth scale, 88 of the 108 weights, and at full size, which costs most of
the time, five rows of eight. Over 352 encodings of 34 pictures the difference from the public program is 0.2 points on
average and 0.8 at the 95th percentile; it is largest, up to 2.5, at scores above 90.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyvips

METRIC_VERSION = 1
"""Increment when the same two pictures get another score, so that renditions with a searched quality are replaced."""

TILE = 64
"""The side in pixels of the regions that have scores of their own: 4 at the smallest scale."""
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
"""Rows of each tile that are looked at in full size."""
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
        self._layout = _Layout(*self._size)
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
        self._width = width
        self._across, self._down = math.ceil(width / TILE), math.ceil(height / TILE)
        self.tiles = self._across * self._down
        self._rows = _SAMPLED_ROWS + 2 * _MARGIN if height >= _MIN_SAMPLED_HEIGHT else TILE
        white = (pyvips.Image.black(width, height) + 255).cast("uchar")
        scales = list(_halve(white))
        full = self._sample_rows(white)
        if self._rows < TILE:
            pattern = (pyvips.Image.black(1, _SAMPLED_ROWS) + 1).embed(0, _MARGIN, 1, self._rows)
            full *= pattern.replicate(width, self._down)
        self._layers = [
            self._layer(full, [self._area(0, 0, 0, _Y_FULL, self._rows)], smoothing=True),
        ]
        if scales:
            self._layers.append(self._layer(scales[0], [self._area(0, 0, 1, _Y_HALF)], smoothing=True))
        if len(scales) > 1:
            below = (TILE >> 2) * self._down + _MARGIN
            beside = (TILE >> 3) * self._across + _MARGIN
            areas = [
                self._area(0, 0, 2, _XYB_QUARTER),
                self._area(0, below, 3, _XYB_EIGHTH),
                self._area(beside, below, 4, _XYB_SIXTEENTH),
            ][: len(scales) - 1]
            self._layers.append(self._layer(_join(scales[1:], areas), areas, smoothing=False))

    def _area(self, left: int, top: int, scale: int, weights: Sequence[_Weights], rows: int = 0) -> _Area:
        tile = TILE >> scale, rows or TILE >> scale
        return _Area(left, top, tile[0] * self._across, tile[1] * self._down, tile, weights)

    def _layer(self, white: pyvips.Image, areas: Sequence[_Area], *, smoothing: bool) -> _Layer:
        mask = (white > 0).linear(1 / 255, 0).copy_memory()
        return _Layer(areas, mask, [_averages(mask, area)[0] for area in areas], smoothing)

    def split(self, image: pyvips.Image) -> Iterator[tuple[_Layer, pyvips.Image]]:
        """Yield each layer with its pixels: Y at the two larger scales, and XYB at the smaller ones."""
        light = image.maplut(_TO_LIGHT).copy_memory()
        scales = list(_halve(light))
        yield self._layers[0], _luma(self._sample_rows(light))
        if scales:
            yield self._layers[1], _luma(scales[0])
        if len(scales) > 1:
            layer = self._layers[2]
            cones = _join(scales[1:], layer.areas).recomb(_CONES_OF_LIGHT).cast("ushort").maplut(_TO_CUBE_ROOT)
            # Outside the picture is nothing, also for the blur.
            yield layer, (cones.recomb(_XYB_OF_CONES).linear([1] * 3, _XYB_OFFSETS) * layer.mask).copy_memory()

    def _sample_rows(self, image: pyvips.Image) -> pyvips.Image:
        """Return some rows of each tile, one strip below the other; all rows of a picture that is not high."""
        padded = image.embed(0, 0, self._width, TILE * self._down)
        if self._rows == TILE:
            return padded
        # With all rows of a tile side by side in one, the strips are a single crop.
        width, first = self._width, (TILE - self._rows) // 2
        tall = _reshape(padded, width * TILE, self._down).crop(width * first, 0, width * self._rows, self._down)
        return _reshape(tall, width, self._rows * self._down)


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
        width, height = image.width, image.height
        if min(width, height) < _MIN_SIDE:
            return
        if width % 2 or height % 2:
            image = image.embed(0, 0, width + width % 2, height + height % 2, extend="copy")
        image = image.shrink(2, 2).copy_memory()
        yield image


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
    return pyvips.Image.new_from_memory(image.write_to_memory(), width, height, image.bands, image.format)


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
