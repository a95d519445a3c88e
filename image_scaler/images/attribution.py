"""Read and write the attribution of an image, the only metadata that renditions keep.

Copyright, artist, credit line and licence are kept, as removing them can break the law (EU directive 2001/29/EC,
article 7, on rights-management information) and protects nobody's privacy. So is the mark of AI pictures (EU regulation
2024/1689, article 50).
"""

import codecs
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from image_scaler.images.containers import GIF_XMP, png_chunks

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_LINE_LENGTH = 1000
"""A longer text, in characters, is not a credit line: it is dropped."""
SEPARATOR = "; "
"""Between several artists, as the Metadata Working Group asks for, and between the parts of a copyright."""
_MAX_TEXT_BYTES = 8 * MAX_LINE_LENGTH
"""A longer value is not read: no credit line of so many bytes is short enough."""
MAX_XMP_BYTES = 256 * 1024
"""A larger packet is not parsed: XMP can hold the whole editing history of an image."""

_PROPERTIES = {
    "copyright": "{http://purl.org/dc/elements/1.1/}rights",
    "artist": "{http://purl.org/dc/elements/1.1/}creator",
    "credit": "{http://ns.adobe.com/photoshop/1.0/}Credit",
    "usage_terms": "{http://ns.adobe.com/xap/1.0/rights/}UsageTerms",
    "rights_url": "{http://ns.adobe.com/xap/1.0/rights/}WebStatement",
    "licensor_url": "{http://ns.useplus.org/ldf/xmp/1.0/}LicensorURL",
    "source_type": "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType",
}
_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_PATTERNS = {
    "rights_url": _URL,
    "licensor_url": _URL,
    "source_type": re.compile(r"https?://cv\.iptc\.org/newscodes/digitalsourcetype/[A-Za-z]{1,64}"),
}
"""What a value that is a link or a term of IPTC's vocabulary has to match; other values are dropped."""


_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


class Credits(NamedTuple):
    """The people to credit for an image; "" if the image does not name them."""

    copyright: str = ""
    artist: str = ""
    credit: str = ""
    usage_terms: str = ""
    rights_url: str = ""
    licensor_url: str = ""
    source_type: str = ""

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
            artists = self.artist.split(SEPARATOR)
            items = "".join(
                f"<rdf:li>{escape(artist)}</rdf:li>" for artist in (artists if all(artists) else [self.artist])
            )
            parts += f"<dc:creator><rdf:Seq>{items}</rdf:Seq></dc:creator>"
        if self.credit:
            parts += f"<photoshop:Credit>{escape(self.credit)}</photoshop:Credit>"
        parts += self._licence_as_xmp()
        return (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
            f' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">{parts}</rdf:Description>'
            "</rdf:RDF></x:xmpmeta>"
        ).encode()

    def _licence_as_xmp(self) -> str:
        """Return the properties of the licence and the digital source type, each with the namespaces that it needs."""
        parts = ""
        rights = 'xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"'
        if self.usage_terms:
            line = f'<rdf:li xml:lang="x-default">{escape(self.usage_terms)}</rdf:li>'
            parts += f"<xmpRights:UsageTerms {rights}><rdf:Alt>{line}</rdf:Alt></xmpRights:UsageTerms>"
        if self.rights_url:
            parts += f"<xmpRights:WebStatement {rights}>{escape(self.rights_url)}</xmpRights:WebStatement>"
        if self.licensor_url:
            url = f"<plus:LicensorURL>{escape(self.licensor_url)}</plus:LicensorURL>"
            parts += (
                '<plus:Licensor xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/">'
                f'<rdf:Seq><rdf:li rdf:parseType="Resource">{url}</rdf:li></rdf:Seq></plus:Licensor>'
            )
        if self.source_type:
            parts += (
                '<Iptc4xmpExt:DigitalSourceType xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
                f"{escape(self.source_type)}</Iptc4xmpExt:DigitalSourceType>"
            )
        return parts


NO_CREDITS = Credits()


def read_credits(fields: Mapping[str, Any], body: bytes = b"") -> Credits:
    """Return an image's credits from its libvips metadata fields, and from what only the file itself has.

    EXIF takes precedence over XMP, XMP over IPTC, and IPTC over the texts of a PNG. A TIFF has EXIF's tags itself, and
    a GIF only XMP. All this comes from an upload: what cannot be read is ignored.
    """
    sources = (
        _from_exif(fields.get("exif-data")),
        _from_exif(body),
        _from_xmp(fields.get("xmp-data")),
        _from_iptc(fields.get("iptc-data")),
        _from_png(body),
        _from_xmp(_gif_xmp(body)),
    )
    return Credits(
        *(
            next((text for source in sources if (text := _clean(name, source.get(name, "")))), "")
            for name in Credits._fields
        )
    )


def _clean(name: str, text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    pattern = _PATTERNS.get(name)
    is_valid = len(text) <= MAX_LINE_LENGTH and (pattern is None or pattern.fullmatch(text) is not None)
    return text if is_valid else ""


def _join(parts: Iterable[str]) -> str:
    return SEPARATOR.join(part.strip() for part in parts if part.strip())


def _decode(raw: bytes, encoding: str | None = None) -> str:
    """Return text in an encoding; without one, in UTF-8 if it is valid, else in Windows-1252, as old programs wrote."""
    if encoding:
        return raw.decode(encoding, "ignore")
    try:
        # A field of a fixed length may end within a character, which is left out.
        text = codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return raw.decode("cp1252", "ignore")
    has_odd_end_only = text.isascii() and len(text) < len(raw)
    return raw.decode("cp1252", "ignore") if has_odd_end_only else text


_EXIF_TAGS = {0x013B: "artist", 0x8298: "copyright"}
_EXIF_ASCII = 2


def _from_exif(block: object) -> dict[str, str]:
    """Return Artist and Copyright from a TIFF or an EXIF block, which has the structure of a TIFF.

    Copyright has up to two parts: the photographer's and the editor's.
    """
    if not isinstance(block, bytes) or not re.match(rb"(?:Exif\0\0)?(?:II\*\0|MM\0\*)", block):
        return {}
    tiff = memoryview(block)[6 if block.startswith(b"Exif") else 0 :]
    order = "<" if tiff[0] == ord("I") else ">"
    found: dict[str, str] = {}
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, type_, length, offset = struct.unpack_from(f"{order}HHII", tiff, entry)
            if tag in _EXIF_TAGS and type_ == _EXIF_ASCII and length <= _MAX_TEXT_BYTES:
                value = bytes(tiff[entry + 8 : entry + 8 + length] if length <= 4 else tiff[offset : offset + length])
                parts = value.split(b"\0")[: 2 if _EXIF_TAGS[tag] == "copyright" else 1]
                found[_EXIF_TAGS[tag]] = _join(map(_decode, parts))
    except struct.error:
        pass  # what was before the damage counts
    return found


_PNG_KEYWORDS = {b"Author": "artist", b"Artist": "artist", b"Copyright": "copyright"}


def _from_png(body: bytes) -> dict[str, str]:
    """Return Author and Copyright from a PNG's text chunks: tEXt, zTXt and iTXt."""
    found: dict[str, str] = {}
    if not body.startswith(b"\x89PNG") or not any(name in body for name in (b"tEXt", b"zTXt", b"iTXt")):
        return found
    try:
        for name, content in png_chunks(body):
            if name in (b"tEXt", b"zTXt", b"iTXt"):
                keyword, _, rest = content[: _MAX_TEXT_BYTES * 2].partition(b"\0")
                if keyword in _PNG_KEYWORDS:
                    found.setdefault(_PNG_KEYWORDS[keyword], _png_text(name, rest))
    except (ValueError, LookupError, struct.error):
        pass  # what was before the damage counts
    return found


def _png_text(name: bytes, content: bytes) -> str:
    is_compressed = name == b"zTXt" or (name == b"iTXt" and content[:1] == b"\1")
    raw = content[1:] if name == b"zTXt" else content
    if name == b"iTXt":  # a flag, the method of compression, the language and the translated keyword come before it
        raw = content[2:].split(b"\0", 2)[2]
    if is_compressed:
        try:
            raw = zlib.decompressobj().decompress(raw, _MAX_TEXT_BYTES)
        except zlib.error:
            return ""
    # tEXt and zTXt are Latin-1 in the specification, and UTF-8 in many files.
    return _decode(raw)


def parse_xmp(packet: bytes) -> "Element | None":
    """Return the root element of an XMP packet; None if it cannot be read."""
    if len(packet) > MAX_XMP_BYTES:
        return None
    start, end = packet.find(b"<x:xmpmeta"), packet.rfind(b"</x:xmpmeta>")
    if start < 0 or end < 0:
        return None
    # Imported here to keep it out of the cold start: few sources have XMP.
    from xml.etree import ElementTree

    try:
        # Parse from the root element on: entities can only be declared before it, so none can expand.
        return ElementTree.fromstring(packet[start : end + len(b"</x:xmpmeta>")])  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):
        return None


def _from_xmp(packet: object) -> dict[str, str]:
    root = parse_xmp(packet) if isinstance(packet, bytes) else None
    if root is None:
        return {}
    found = {}
    for name, tag in _PROPERTIES.items():
        texts = (_xmp_text(element) for element in root.iter(tag))
        attributes = (element.get(tag, "") for element in root.iter())
        found[name] = next((text for text in chain(texts, attributes) if text.strip()), "")
    return found


def _gif_xmp(body: bytes) -> bytes:
    """Return the XMP packet of a GIF, which libvips does not read; b"" without one.

    It is searched for and not reached block by block: a hostile GIF has a hundred million blocks.
    """
    start = body.find(GIF_XMP) if body.startswith(b"GIF8") else -1
    packet, end, _ = body[start : start + MAX_XMP_BYTES].partition(b"</x:xmpmeta>") if start >= 0 else (b"", b"", b"")
    return packet + end


def _xmp_text(element: "Element") -> str:
    """Return the text of a property: of several languages the default one, else all items.

    Only the text of the element and of its items: that of deeper elements would be read once for each level.
    """
    items = element.findall(f"*/{_RDF}li")
    by_language = {item.get(_XML_LANGUAGE): item.text or "" for item in items}
    if any(by_language):
        return by_language.get("x-default") or next(iter(by_language.values()))
    return _join(item.text or "" for item in items) or element.text or element.get(f"{_RDF}resource") or ""


_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
_IPTC_DATASETS = {80: "artist", 110: "credit", 116: "copyright"}
_IPTC_ENCODINGS = {
    b"\x1b" + designation + final: encoding
    for designation in (b"-", b".")
    for final, encoding in (
        (b"A", "cp1252"),  # Latin-1, which Windows-1252 extends
        (b"B", "iso8859-2"),
        (b"C", "iso8859-3"),
        (b"D", "iso8859-4"),
        (b"F", "iso8859-7"),
        (b"L", "iso8859-5"),
        (b"M", "iso8859-9"),
    )
}
"""The coded character sets (1:90) other than UTF-8, by their escape sequences (ISO 2022)."""


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
    """Return By-line, Credit and Copyright Notice from IPTC-IIM; a picture may have several by-lines."""
    if not isinstance(block, bytes):
        return {}
    block = _iptc_resource(block) if block.startswith(_PHOTOSHOP) else block
    encoding = None
    lines: dict[str, list[bytes]] = {}
    at = 0
    while at <= len(block) - 5 and block[at] == 0x1C:
        record, dataset, length = struct.unpack(">BBH", block[at + 1 : at + 5])
        content = block[at + 5 : at + 5 + length]
        if (record, dataset) == (1, 90):
            encoding = _IPTC_ENCODINGS.get(content)
        if record == 2 and dataset in _IPTC_DATASETS:
            lines.setdefault(_IPTC_DATASETS[dataset], []).append(content)
        at += 5 + length
    return {name: _join(_decode(line, encoding) for line in several) for name, several in lines.items()}
