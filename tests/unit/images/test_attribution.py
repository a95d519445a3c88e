"""Attribution: the credits that renditions keep, read from any metadata that an upload may hold."""

import json
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
import pyvips
from hypothesis import example, given
from hypothesis import strategies as st

from image_scaler.images.attribution import NO_CREDITS, Credits, read_credits
from image_scaler.images.containers import GIF_XMP, gif_blocks, gif_header, gif_with_xmp
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.examples import examples
from tests.unit.images.test_animation import animation

GIF = bytes(drawing.quadrants(24, 16).gifsave_buffer())
lines = st.text(st.characters(codec="utf-8"), max_size=60).map(
    lambda text: " ".join("".join(c if c.isprintable() else " " for c in text).split())
)
people = lines.map(lambda text: "; ".join(name.strip() for name in text.split(";") if name.strip()))
urls = st.sampled_from(["", "https://example.com/licence?a=1&b='2'", "HTTP://example.com/\u5b57"])
source_types = st.sampled_from(["", "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"])
any_credits = st.builds(Credits, lines, people, lines, lines, urls, urls, source_types)
packets = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=300).map(lambda middle: b"<x:xmpmeta>" + middle + b"</x:xmpmeta>"),
    any_credits.map(Credits.as_xmp),
    st.tuples(any_credits.map(Credits.as_xmp), st.integers(0, 400), st.binary(max_size=6)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    ),
)
blocks = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.tuples(st.sampled_from([80, 110, 116, 5]), st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=4
    ).map(lambda sets: b"".join(b"\x1c\x02" + bytes([n]) + size.to_bytes(2, "big") + text for n, size, text in sets)),
    st.lists(
        st.tuples(st.sampled_from([0x0404, 0x040C]), st.binary(max_size=3), st.binary(max_size=40)), max_size=3
    ).map(lambda parts: b"Photoshop 3.0\0" + b"".join(image_resource(n, body, name) for n, name, body in parts)),
)
exif_blocks = st.one_of(
    st.binary(max_size=200).map(lambda rest: b"II*\0" + rest),
    st.tuples(any_credits.map(Credits.as_exif), st.integers(0, 200), st.binary(max_size=6)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    ),
)
png_texts = st.tuples(st.sampled_from([b"tEXt", b"zTXt", b"iTXt"]), st.binary(max_size=40)).map(
    lambda chunk: png_with(chunk[0], b"Author\0" + chunk[1])
)
anything = st.none() | st.integers() | st.binary(max_size=20) | st.text(max_size=20)


@examples(120)
@given(xmp=packets | anything, iptc=blocks | anything, exif=exif_blocks | anything, body=exif_blocks | png_texts)
@example(xmp=b"<x:xmpmeta>" * 90_000 + b"</x:xmpmeta>", iptc=b"\x1c\x02", exif=b"Exif\0\0MM\0*", body=b"")
@example(xmp=b"", iptc=b"", exif=b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x013B, 2, 2**32 - 1, 0), body=b"")
def test_no_metadata_can_make_reading_fail(xmp: object, iptc: object, exif: object, body: bytes) -> None:
    found = read_credits({"xmp-data": xmp, "iptc-data": iptc, "exif-data": exif}, body)
    for text in found:
        assert text.isprintable()
        assert len(text) <= 1000
        assert text == text.strip()


def png_with(name: bytes, content: bytes) -> bytes:
    body = drawing.png(drawing.quadrants(16, 12))
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return body[:33] + chunk + body[33:]


def test_nested_elements_do_not_multiply_their_text() -> None:
    inner, depth = b"a" * 100_000, 7000
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:d="http://purl.org/dc/elements/1.1/">'
        + b"<d:rights>" * depth
        + inner
        + b"</d:rights>" * depth
        + b"</x:xmpmeta>"
    )
    assert read_credits({"xmp-data": packet}) == Credits()  # 100,000 characters are too long for a credit line


@examples(40)
@given(credits=any_credits)
def test_credits_survive_being_written_as_xmp(credits: Credits) -> None:
    assert read_credits({"xmp-data": credits.as_xmp()}) == credits


def dataset(record: int, number: int, text: bytes) -> bytes:
    return b"\x1c" + struct.pack(">BBH", record, number, len(text)) + text


def image_resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    """Return one of Photoshop's image resources; name and content are padded to even lengths."""
    head = b"8BIM" + struct.pack(">HB", number, len(name)) + name + bytes((len(name) + 1) % 2)
    return head + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)


IPTC = dataset(1, 90, b"\x1b%G") + dataset(2, 80, b"Ann") + dataset(2, 110, b"Agency") + dataset(2, 116, b"(c) Ann")
PREVIEW = b"\x1c\x02" * 50 + dataset(2, 80, b"Eve") + bytes(201)
"""A preview in whose pixels the bytes of a credit occur."""


@pytest.mark.parametrize(
    "resources",
    [
        image_resource(0x0404, IPTC),
        image_resource(0x0404, IPTC) + image_resource(0x040C, PREVIEW),
        image_resource(0x040C, PREVIEW) + image_resource(0x0404, IPTC),
        image_resource(0x03ED, PREVIEW, b"odd")
        + image_resource(0x0409, PREVIEW, b"even")
        + image_resource(0x0404, IPTC),
    ],
    ids=["alone", "before a preview", "after a preview", "after named resources"],
)
def test_credits_from_iptc_are_those_of_its_own_resource_whatever_a_preview_contains(resources: bytes) -> None:
    payload = b"Photoshop 3.0\0" + resources
    body = drawing.jpeg()
    body = body[:2] + b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload + body[2:]
    targets = parse_recipe('[renditions.x]\nwidth = 8\nformat = "png"').plan_for("a").renditions
    (rendition,) = SourceImage(body).render(targets)
    out = decoded(rendition.body)
    assert read_credits({name: out.get(name) for name in out.get_fields()}) == Credits("(c) Ann", "Ann", "Agency")


def test_credits_from_iptc_without_photoshops_resources_are_read() -> None:
    assert read_credits({"iptc-data": IPTC}) == Credits("(c) Ann", "Ann", "Agency")


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
@examples(8)
@given(credits=any_credits)
@example(credits=Credits("\u00a9 2026 (a) (b)", "Zoe \u5b57 & <Co>", "'\"&amp;"))
@example(credits=Credits(*['"' * 1000] * 4, *["https://" + "&" * 992] * 2))
@example(credits=Credits("a" * 1000, "\u00e9" * 1000, "&" * 1000))
def test_credits_of_a_source_are_in_its_renditions(format: str, credits: Credits) -> None:
    image = drawing.quadrants(16, 12).copy()
    if packet := credits.as_xmp():
        image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    targets = parse_recipe(f'[renditions.x]\nwidth = 8\nformat = "{format}"').plan_for("a").renditions
    (rendition,) = SourceImage(drawing.jpeg(image)).render(targets)
    out = decoded(rendition.body)
    assert read_credits({name: out.get(name) for name in out.get_fields()}) == credits


def exif(order: str, **values: bytes) -> bytes:
    """Return an EXIF block with text of any encoding, as a camera may write it."""
    tags = {"artist": 0x013B, "copyright": 0x8298}
    entries, data, at = b"", b"", 10 + 12 * len(values) + 4
    for name, value in values.items():
        inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", at + len(data))
        entries += struct.pack(f"{order}HHI", tags[name], 2, len(value)) + inline
        data += b"" if len(value) <= 4 else value
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IH", 8, len(values)) + entries + bytes(4) + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("J\u00fcrgen".encode("latin-1"), "J\u00fcrgen"),
        ("Andr\u00e9".encode("latin-1"), "Andr\u00e9"),
        ("\u017dofie".encode(), "\u017dofie"),
        ("\u017dofie".encode("cp1252"), "\u017dofie"),
        (b"\x81 Ann", "Ann"),
        ("J\u00fcrgen M\u00fc".encode()[:-1], "J\u00fcrgen M"),
        (b"Ann", "Ann"),
    ],
    ids=["Latin-1", "an odd end", "UTF-8", "Windows-1252", "undefined", "cut in a character", "ASCII"],
)
def test_text_in_exif_is_utf_8_or_else_windows_1252(order: str, raw: bytes, text: str) -> None:
    block = exif(order, artist=raw + b"\0")
    assert read_credits({"exif-data": b"Exif\0\0" + block}) == Credits(artist=text)
    assert read_credits({}, block) == Credits(artist=text), "a TIFF has the same tags"


@pytest.mark.parametrize(
    ("parts", "text"),
    [(b"Photo\0Editor\0", "Photo; Editor"), (b" \0Editor\0", "Editor"), (b"Photo\0", "Photo"), (b"Photo", "Photo")],
)
def test_a_copyright_in_exif_has_the_parts_of_the_photographer_and_of_the_editor(parts: bytes, text: str) -> None:
    assert read_credits({"exif-data": exif("<", copyright=parts)}) == Credits(text)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        (b"\x1b%G", "utf-8"),
        (None, "utf-8"),
        (None, "latin-1"),
        (b"\x1b-A", "latin-1"),
        (b"\x1b.B", "iso8859-2"),
        (b"\x1b%G", "latin-1"),
    ],
)
def test_iptc_is_read_in_the_character_set_that_it_names(charset: bytes | None, encoding: str) -> None:
    block = dataset(1, 90, charset) if charset else b""
    block += dataset(2, 80, "J\u00fcrgen".encode(encoding)) + dataset(2, 80, "Zo\u00eb".encode(encoding))
    assert read_credits({"iptc-data": block}) == Credits(artist="J\u00fcrgen; Zo\u00eb")


def xmp(inner: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def test_several_creators_in_xmp_are_all_kept_and_written_as_several() -> None:
    items = "<rdf:Seq><rdf:li>Ann</rdf:li>\n<rdf:li>Ben</rdf:li></rdf:Seq>"
    credits = read_credits({"xmp-data": xmp(f"<dc:creator>\n{items}</dc:creator>")})
    assert credits == Credits(artist="Ann; Ben")
    assert b"<rdf:li>Ann</rdf:li><rdf:li>Ben</rdf:li>" in credits.as_xmp()


@pytest.mark.parametrize(
    ("languages", "text"),
    [(["de", "x-default"], "in x-default"), (["de", "fr"], "in de"), (["x-default"], "in x-default")],
)
def test_of_several_languages_in_xmp_the_default_one_counts(languages: list[str], text: str) -> None:
    items = "".join(f'<rdf:li xml:lang="{language}">in {language}</rdf:li>' for language in languages)
    assert read_credits({"xmp-data": xmp(f"<dc:rights><rdf:Alt>{items}</rdf:Alt></dc:rights>")}).copyright == text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"tEXt", "Author\0Zo\u00eb".encode("latin-1")),
        (b"tEXt", "Author\0Zo\u00eb".encode()),
        (b"zTXt", b"Author\0\0" + zlib.compress("Zo\u00eb".encode("latin-1"))),
        (b"iTXt", "Author\0\0\0fr\0Auteur\0Zo\u00eb".encode()),
        (b"iTXt", b"Author\0\1\0\0\0" + zlib.compress("Zo\u00eb".encode())),
    ],
)
def test_the_texts_of_a_png_are_credits(name: bytes, content: bytes) -> None:
    targets = parse_recipe('[renditions.x]\nwidth = 8\nformat = "webp"').plan_for("a").renditions
    (rendition,) = SourceImage(png_with(name, content)).render(targets)
    out = decoded(rendition.body)
    assert read_credits({name: out.get(name) for name in out.get_fields()}) == Credits(artist="Zo\u00eb")


RIGHTS = {
    "UsageTerms": "Editorial use only",
    "WebStatement": "https://example.com/licence",
    "LicensorURL": "https://example.com/buy",
    "DigitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
}
RIGHTS_TAGS = {
    "UsageTerms": "XMP-xmpRights:UsageTerms",
    "WebStatement": "XMP-xmpRights:WebStatement",
    "LicensorURL": "XMP-plus:LicensorURL",
    "DigitalSourceType": "XMP-iptcExt:DigitalSourceType",
}
LICENCE = Credits("", "", "", *RIGHTS.values())


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "gif"])
def test_exiftool_reads_in_a_rendition_the_rights_that_it_wrote_in_the_source(format: str, tmp_path: Path) -> None:
    source, output = tmp_path / "source.jpg", tmp_path / f"rendition.{format}"
    source.write_bytes(drawing.jpeg())
    written = [f"-{RIGHTS_TAGS[name]}={value}" for name, value in RIGHTS.items()]
    subprocess.run(["exiftool", "-q", "-n", *written, source], check=True)
    targets = parse_recipe(f'[renditions.x]\nwidth = 8\nformat = "{format}"').plan_for("a").renditions
    (rendition,) = SourceImage(source.read_bytes()).render(targets)
    output.write_bytes(rendition.body)
    asked = [f"-{tag}" for tag in RIGHTS_TAGS.values()]
    report = subprocess.run(["exiftool", "-j", "-n", *asked, output], check=True, capture_output=True).stdout
    assert json.loads(report)[0] == RIGHTS | {"SourceFile": str(output)}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("table", ["width = 8", ""])  # "": of the size of the source, whose own frames are smaller
def test_an_animated_gif_keeps_the_rights_that_exiftool_wrote_in_the_source(table: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animation("gif", 40, 30))
    written = [f"-{RIGHTS_TAGS[name]}={value}" for name, value in RIGHTS.items()]
    subprocess.run(["exiftool", "-q", "-n", "-overwrite_original", *written, path], check=True)
    targets = parse_recipe(f'[renditions.x]\n{table}\nformat = "gif"').plan_for("a").renditions
    (rendition,) = SourceImage(path.read_bytes()).render(targets)
    assert read_credits({}, rendition.body) == LICENCE
    assert decoded(rendition.body).get("n-pages") == 4
    path.write_bytes(rendition.body)
    report = subprocess.run(["exiftool", "-j", "-n", "-validate", "-XMP:all", path], check=True, capture_output=True)
    assert json.loads(report.stdout)[0] == RIGHTS | {"SourceFile": str(path), "Validate": "0 0 0"}


@examples(60)
@given(credits=any_credits)
def test_credits_survive_in_a_gif_and_every_reader_finds_the_end_of_it(credits: Credits) -> None:
    body = gif_with_xmp(GIF, credits.as_xmp())
    assert read_credits({}, body) == credits
    assert b"".join([gif_header(body), *gif_blocks(body), b";"]) == body
    assert (decoded(body).numpy() == decoded(GIF).numpy()).all()


@examples(60)
@given(packet=packets, at=st.integers(0, 200), end=st.binary(max_size=3))
def test_no_extension_of_a_gif_can_make_reading_fail(packet: bytes, at: int, end: bytes) -> None:
    body = GIF[:-1] + GIF_XMP + packet[:at] + end
    for text in read_credits({}, body):
        assert text.isprintable()


def test_a_gif_without_credits_is_as_libvips_writes_it() -> None:
    targets = parse_recipe('[renditions.x]\nwidth = 8\nformat = "gif"\neffort = 3').plan_for("a").renditions
    (rendition,) = SourceImage(drawing.jpeg()).render(targets)
    assert GIF_XMP not in rendition.body


def test_a_gif_without_keep_copyright_has_no_credits() -> None:
    source = gif_with_xmp(GIF, LICENCE.as_xmp())
    for table in ("width = 8", "quality = 90"):
        toml = f"[renditions.x]\n{table}\nkeep_copyright = false"
        (rendition,) = SourceImage(source).render(parse_recipe(toml).plan_for("a.gif").renditions)
        assert read_credits({}, rendition.body) == NO_CREDITS


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://example.com", "example.com", "https://a b", "https://"])
def test_a_licence_link_that_is_no_http_url_is_dropped(url: str) -> None:
    packet = Credits(rights_url=url, licensor_url=url).as_xmp()
    assert read_credits({"xmp-data": packet}) == NO_CREDITS


@pytest.mark.parametrize(
    "text", ["trainedAlgorithmicMedia", "http://cv.iptc.org.example.com/x", "https://example.com/ai"]
)
def test_a_digital_source_type_outside_of_iptcs_vocabulary_is_dropped(text: str) -> None:
    assert read_credits({"xmp-data": Credits(source_type=text).as_xmp()}) == NO_CREDITS


def test_links_in_xmp_may_be_resources() -> None:
    packet = LICENCE.as_xmp().decode()
    for tag, value in (("xmpRights:WebStatement", LICENCE.rights_url), ("plus:LicensorURL", LICENCE.licensor_url)):
        packet = re.sub(f"<{tag}([^>]*)>[^<]*</{tag}>", rf'<{tag}\1 rdf:resource="{value}"/>', packet)
    assert packet.count("rdf:resource") == 2
    assert read_credits({"xmp-data": packet.encode()}) == LICENCE
