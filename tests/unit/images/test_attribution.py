"""Attribution: the credits that renditions keep, read from any metadata that an upload may hold."""

import struct

import pytest
import pyvips
from hypothesis import example, given
from hypothesis import strategies as st

from image_scaler.images.attribution import Credits, read_credits
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.examples import examples

lines = st.text(st.characters(codec="utf-8"), max_size=60).map(
    lambda text: " ".join("".join(c if c.isprintable() else " " for c in text).split())
)
any_credits = st.builds(Credits, lines, lines, lines)
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
fields_of_exif = st.one_of(
    st.text(max_size=80),
    st.tuples(st.text(max_size=30), st.text(max_size=30)).map(
        lambda two: f"{two[0]} ({two[1]}, ASCII, 5 components, 5 bytes)"
    ),
)
anything = st.none() | st.integers() | st.binary(max_size=20) | st.text(max_size=20)


@examples(120)
@given(xmp=packets | anything, iptc=blocks | anything, owner=fields_of_exif | anything, artist=fields_of_exif)
@example(xmp=b"<x:xmpmeta>" * 90_000 + b"</x:xmpmeta>", iptc=b"\x1c\x02", owner=" (" * 9000, artist="")
def test_no_metadata_can_make_reading_fail(xmp: object, iptc: object, owner: object, artist: str) -> None:
    found = read_credits({"xmp-data": xmp, "iptc-data": iptc, "exif-ifd0-Copyright": owner, "exif-ifd0-Artist": artist})
    for text in found:
        assert text.isprintable()
        assert len(text) <= 1000
        assert text == text.strip()


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
@example(credits=Credits("a" * 1000, "\u00e9" * 1000, "&" * 1000))
def test_credits_of_a_source_are_in_its_renditions(format: str, credits: Credits) -> None:
    image = drawing.quadrants(16, 12).copy()
    if packet := credits.as_xmp():
        image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    targets = parse_recipe(f'[renditions.x]\nwidth = 8\nformat = "{format}"').plan_for("a").renditions
    (rendition,) = SourceImage(drawing.jpeg(image)).render(targets)
    out = decoded(rendition.body)
    assert read_credits({name: out.get(name) for name in out.get_fields()}) == credits
