"""What an image says besides its pixels, in words: camera, place, time, credits."""

import re
from typing import Any

import pyvips

from image_scaler.images.attribution import read_credits
from image_scaler.images.vips import VIPS_ERRORS

MAX_VALUE_LENGTH = 200
MAX_ENTRIES = 60

_SUBJECTS = (
    ("Place", r"exif-ifd3-GPS"),
    ("Credits", r"exif-ifd0-(Artist|Copyright)$"),
    ("Camera", r"exif-ifd\d-(Make|Model|Software|Lens\w*|\w*SerialNumber|CameraOwnerName|HostComputer)$"),
    ("Time", r"exif-ifd\d-(DateTime\w*|OffsetTime\w*|SubSecTime\w*)$"),
    ("Embedded thumbnail", r"exif-ifd1-|jpeg-thumbnail-data$"),
    ("Exposure", r"exif-ifd2-(ExposureTime|FNumber|ISOSpeedRatings|PhotographicSensitivity|FocalLength\w*|Flash)$"),
)
_BLOCKS = {
    "xmp-data": "XMP packet",
    "iptc-data": "IPTC block",
    "icc-profile-data": "Colour profile",
    "photoshop-data": "Photoshop block",
}
_CREDITS = {
    "copyright": "Copyright",
    "artist": "Artist",
    "credit": "Credit line",
    "usage_terms": "Usage terms",
    "rights_url": "Web Statement of Rights",
    "licensor_url": "Licensor URL",
    "source_type": "Digital source type",
}


def read_metadata(body: bytes) -> list[dict[str, str]]:
    """Return what an image says besides its pixels: subject, name and value of each entry; empty if it is damaged.

    The bytes are those of an image that `SourceImage` accepted. Values are cut, and are not trusted.
    """
    try:
        image = pyvips.Image.new_from_buffer(body, "", access="sequential")
        fields = {name: image.get(name) for name in image.get_fields() if _is_read(name)}
        exif = {name: image.get(name) for name in ("exif-data",) if image.get_typeof(name)}
    except VIPS_ERRORS:
        return []
    found = [_entry(name, value) for name, value in fields.items()]
    credits = read_credits(fields | exif, body)
    found += [
        {"subject": "Credits", "name": title, "value": _cut(getattr(credits, name))}
        for name, title in _CREDITS.items()
        if getattr(credits, name)
    ]
    order = [subject for subject, _ in _SUBJECTS]
    known = [entry for entry in found if entry is not None]
    known.sort(key=lambda entry: order.index(entry["subject"]) if entry["subject"] in order else len(order))
    return known[:MAX_ENTRIES]


def _is_read(name: str) -> bool:
    return name in _BLOCKS or name == "jpeg-thumbnail-data" or re.fullmatch(r"exif-ifd\d-\w+", name) is not None


def _entry(name: str, value: Any) -> dict[str, str] | None:
    if name in _BLOCKS:
        text = f"{len(value):,} bytes"
        if name == "icc-profile-data":
            text = f"{_profile_name(value)}, {text}".removeprefix(", ")
        return {"subject": _BLOCKS[name], "name": _BLOCKS[name], "value": text}
    if name == "jpeg-thumbnail-data":
        return {"subject": "Embedded thumbnail", "name": "Thumbnail", "value": f"{len(value):,} bytes"}
    subject = next((subject for subject, pattern in _SUBJECTS if re.match(pattern, name)), None)
    if subject in (None, "Credits"):  # credits are added in the engine's own words
        return None
    text = re.sub(r" \((?:.*), \w+(?: \w+)?, \d+ components?, \d+ bytes\)$", "", str(value), flags=re.DOTALL)
    return {"subject": subject or "", "name": name.split("-", 2)[2], "value": _cut(text)}


def _profile_name(profile: bytes) -> str:
    """Return the description in a colour profile; empty if it has none that can be read."""
    at = profile.find(b"desc", 128 + 4)
    if at < 0:
        return ""
    offset, size = (int.from_bytes(profile[at + n : at + n + 4], "big") for n in (4, 8))
    tag = profile[offset : offset + min(size, 400)]
    if tag[:4] == b"mluc":
        length, start = int.from_bytes(tag[20:24], "big"), int.from_bytes(tag[24:28], "big")
        return _cut(tag[start : start + length].decode("utf-16-be", "ignore"))
    return _cut(tag[12:].split(b"\0")[0].decode("ascii", "ignore"))


def _cut(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_VALUE_LENGTH else text[:MAX_VALUE_LENGTH] + "…"
