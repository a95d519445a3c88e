"""The pictures of the bench: the samples, and files of the corpus that IMAGE_CORPUS names."""

import os
from dataclasses import dataclass
from pathlib import Path

from image_scaler.images.rendering import SourceImage

ROOT = Path(__file__).parent.parent

_FITTED = (
    *("perf/Canon EOS 5D.jpg", "perf/medium_no_samp_2500x1786.jpg", "jpeg/2569067123_aca715a2ee_o.jpg"),
    *("jpeg/orientation/Landscape_1.jpg", "avif/hato.profile0.8bpc.yuv420.avif", "avif/fox.profile0.10bpc.yuv420.avif"),
    *("webp/4.webp", "jpeg/gps/DSCN0010.jpg", "perf/speed_bench_prog.jpg", "png/gopher-exif-orientation-cw90.png"),
    *("avif/pitm.avif", "tiff/G31D_MULTI.TIF"),
)
"""Pictures to which the constants of the engine were fitted."""
_JUDGED = (
    *("perf/iphone_hdr_NO.jpg", "perf/vertical.jpg", "jpeg/flower.png.im_q85_420_progr.jpg", "jpeg/flowers.jpeg"),
    *("avif/avif-orientation-6.avif", "jpeg/icc/ultra-hdr.jpg", "jpeg/icc/test_icc_prophoto.jpg"),
    *("jpeg/icc/Canon EOS 7D.jpg", "perf/Exoplanet_Phase_Curve_(Diagram).png"),
    *("png/alpha-premultiply-1024x768-paper.png", "bad/wrong-ext/ruby.gif"),
)
"""Pictures on which the engine is judged: it was not fitted to them."""
_SAMPLES = ("Lighthouse at dusk.JPG", "owl.jpg", "badge.png")
"""Those that sharp can read."""


@dataclass(frozen=True)
class Picture:
    """One picture."""

    path: Path
    body: bytes
    width: int

    def steps(self, widths: tuple[int, ...]) -> list[int]:
        """Return those of the widths that the picture has pixels for."""
        return [width for width in widths if width <= self.width]


def judged_pictures() -> list[Picture]:
    """Return the pictures to judge; without a corpus, the samples."""
    return _found(_JUDGED) + _samples()


def fitted_pictures() -> list[Picture]:
    """Return the pictures to fit constants to; without a corpus, the samples."""
    return _found(_FITTED) or _samples()


def _found(names: tuple[str, ...]) -> list[Picture]:
    corpus = os.environ.get("IMAGE_CORPUS")
    return [_picture(Path(corpus) / name) for name in names if (Path(corpus) / name).exists()] if corpus else []


def _samples() -> list[Picture]:
    return [_picture(ROOT / "samples" / name) for name in _SAMPLES]


def _picture(path: Path) -> Picture:
    body = path.read_bytes()
    return Picture(path, body, SourceImage(body).size.width)
