"""Read and write the attribution of an image, the only metadata that renditions keep.

Copyright, artist and credit line are kept, as removing them can break the law (EU directive 2001/29/EC, article 7, on
rights-management information) and protects nobody's privacy.
"""

import re
import struct
from collections.abc import Mapping
from html import escape
from itertools import chain
from typing import Any, NamedTuple

MAX_LINE_LENGTH = 1000
"""A longer text, in characters, is not a credit line: it is dropped."""
MAX_XMP_BYTES = 256 * 1024
"""A larger packet is not parsed: XMP can hold the whole editing history of an image."""

_PROPERTIES = {
    "copyright": "{http://purl.org/dc/elements/1.1/}rights",
    "artist": "{http://purl.org/dc/elements/1.1/}creator",
    "credit": "{http://ns.adobe.com/photoshop/1.0/}Credit",
}


class Credits(NamedTuple):
    """The people to credit for an image; "" if the image does not name them."""

    copyright: str = ""
    artist: str = ""
    credit: str = ""

    def as_exif(self, orientation: int = 1) -> bytes:
        """Return an EXIF block with Artist, Copyright and any orientation but 1; b"" if it would be empty."""
        ascii_, short_ = 2, 3
        tags: list[tuple[int, int, int, bytes]] = []  # tag, type, count, value; EXIF requires ascending tags
        if orientation != 1:
            tags.append((0x0112, short_, 1, struct.pack("<H", orientation)))
        for tag, text in ((0x013B, self.artist), (0x8298, self.copyright)):
            if text:
                value = text.encode() + b"\0"
                tags.append((tag, ascii_, len(value), value))
        if not tags:
            return b""
        header = b"II*\0" + struct.pack("<IH", 8, len(tags))
        at = len(header) + 12 * len(tags) + 4
        entries, values = b"", b""
        for tag, type_, count, value in tags:
            # The entry holds a value of up to four bytes itself; longer values follow the directory.
            is_short = len(value) <= 4
            entries += struct.pack("<HHI", tag, type_, count)
            entries += value.ljust(4, b"\0") if is_short else struct.pack("<I", at + len(values))
            values += b"" if is_short else value + b"\0" * (len(value) % 2)
        return b"Exif\0\0" + header + entries + bytes(4) + values

    def as_xmp(self) -> bytes:
        """Return an XMP packet with these credits only; b"" if there are none."""
        if not any(self):
            return b""
        parts = ""
        if self.copyright:
            line = f'<rdf:li xml:lang="x-default">{escape(self.copyright)}</rdf:li>'
            parts += f"<dc:rights><rdf:Alt>{line}</rdf:Alt></dc:rights>"
        if self.artist:
            parts += f"<dc:creator><rdf:Seq><rdf:li>{escape(self.artist)}</rdf:li></rdf:Seq></dc:creator>"
        if self.credit:
            parts += f"<photoshop:Credit>{escape(self.credit)}</photoshop:Credit>"
        return (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
            f' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">{parts}</rdf:Description>'
            "</rdf:RDF></x:xmpmeta>"
        ).encode()


NO_CREDITS = Credits()


def read_credits(fields: Mapping[str, Any]) -> Credits:
    """Return an image's credits from its libvips metadata fields.

    EXIF takes precedence over XMP, and XMP over IPTC. The fields come from an upload: those that cannot be read are
    ignored.
    """
    found = {
        "copyright": _exif_text(fields.get("exif-ifd0-Copyright")),
        "artist": _exif_text(fields.get("exif-ifd0-Artist")),
    }
    others = (_from_xmp(fields.get("xmp-data")), _from_iptc(fields.get("iptc-data")))
    return Credits(
        *(
            next((text for source in (found, *others) if (text := _clean(source.get(name, "")))), "")
            for name in Credits._fields
        )
    )


def _clean(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_LINE_LENGTH else ""


def _exif_text(value: object) -> str:
    """Return the text of an EXIF field, which libvips formats as `text (text, ASCII, 5 components, 5 bytes)`."""
    match = re.fullmatch(r"(.*), ASCII, \d+ components, \d+ bytes\)", str(value or ""), re.DOTALL)
    if not match:
        return ""
    twice = match[1]
    cuts = [cut.start() for cut in re.finditer(re.escape(" ("), twice)]
    return next((twice[:cut] for cut in cuts if twice[:cut].strip() == twice[cut + 2 :].strip()), "")


def _from_xmp(packet: object) -> dict[str, str]:
    if not isinstance(packet, bytes) or len(packet) > MAX_XMP_BYTES:
        return {}
    start, end = packet.find(b"<x:xmpmeta"), packet.rfind(b"</x:xmpmeta>")
    if start < 0 or end < 0:
        return {}
    # Imported here to keep it out of the cold start: few sources have XMP.
    from xml.etree import ElementTree

    try:
        # Parse from the root element on: entities can only be declared before it, so none can expand.
        root = ElementTree.fromstring(packet[start : end + len(b"</x:xmpmeta>")])  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    found = {}
    for name, tag in _PROPERTIES.items():
        # Lazily, one element at a time: nested elements would repeat the same text, depth times in memory.
        texts = ("".join(element.itertext()) for element in root.iter(tag))
        attributes = (element.get(tag, "") for element in root.iter())
        found[name] = next((text for text in chain(texts, attributes) if text.strip()), "")
    return found


_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404


def _iptc_resource(block: bytes) -> bytes:
    """Return the IPTC-IIM among Photoshop's image resources, which is how JPEG has it; b"" if they have none.

    A resource is a signature, a number, a name and its content; name and content are padded to even lengths. Others are
    previews, whose pixels may contain the bytes of a credit.
    """
    at = len(_PHOTOSHOP)
    while at + 12 <= len(block):
        number, name_length = struct.unpack_from(">HB", block, at + 4)
        start = at + 6 + (name_length // 2 + 1) * 2 + 4
        length = int.from_bytes(block[start - 4 : start])
        if number == _IPTC_RESOURCE:
            return block[start : start + length]
        at = start + length + length % 2
    return b""


def _from_iptc(block: object) -> dict[str, str]:
    """Return By-line, Credit and Copyright Notice (2:80, 2:110, 2:116) from IPTC-IIM."""
    names = {80: "artist", 110: "credit", 116: "copyright"}
    found: dict[str, str] = {}
    if not isinstance(block, bytes):
        return found
    block = _iptc_resource(block) if block.startswith(_PHOTOSHOP) else block
    at = 0
    while at <= len(block) - 5 and block[at] == 0x1C:
        record, dataset, length = struct.unpack(">BBH", block[at + 1 : at + 5])
        if record == 2 and dataset in names:
            found.setdefault(names[dataset], block[at + 5 : at + 5 + length].decode("utf-8", "replace"))
        at += 5 + length
    return found
