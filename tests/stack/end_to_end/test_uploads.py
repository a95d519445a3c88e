"""An upload becomes renditions: the real stack, from the S3 event to the stored objects."""

from io import BytesIO
from urllib.parse import quote, unquote

import pytest
from PIL import Image

from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import BLUE, RED, decoded, is_near, jpeg, photo, png, quadrants

SUFFIXES = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "avif"),
    *("tif", "tiff", "heic", "heif", "hif", "bmp", "Jpg"),
)


@pytest.fixture(scope="module")
def small() -> bytes:
    return png(quadrants(40, 30))


def plain(colour: tuple[int, int, int]) -> bytes:
    return png(quadrants(90, 60).new_from_image(colour).cast("uchar").copy(interpretation="srgb"))


def test_the_source_is_stored_unprocessed_with_its_metadata_and_its_true_type(stack: Stack) -> None:
    body = jpeg(photo(600, 400))
    stack.upload(
        "copied/my photo+1.jpg",
        body,
        ContentType="text/html",
        ContentDisposition="inline",
        Metadata={"author": "me", "title": "a-b c"},
    )
    copy = stack.renditions("copied/my photo+1.jpg")["resized/copied/my photo+1.jpg"]
    assert copy["Body"] == body
    assert copy["ContentType"] == "image/jpeg"
    assert copy["ContentDisposition"] == "inline"
    assert {"author": "me", "title": "a-b c"}.items() <= copy["Metadata"].items()


def test_every_rendition_has_its_size_its_format_and_its_type(stack: Stack) -> None:
    stack.upload("sizes/a.jpg", jpeg(photo(2400, 1600)), ContentType="image/jpeg")
    found = stack.renditions("sizes/a.jpg")
    assert stack.keys_of("sizes/a.jpg") == stack.expected_keys("sizes/a.jpg")
    kinds = {}
    for key, rendition in found.items():
        image = Image.open(BytesIO(rendition["Body"]))
        kinds[key] = (image.size, image.format, rendition["ContentType"])
    ladder = {
        f"web-{width}/sizes/a.jpg.{format.lower()}": ((width, height), format, f"image/{format.lower()}")
        for width, height in ((640, 427), (1280, 853), (1920, 1280))
        for format in ("AVIF", "WEBP")
    }
    assert kinds == ladder | {
        "resized/sizes/a.jpg": ((2400, 1600), "JPEG", "image/jpeg"),
        "thumbnail/sizes/a.jpg.webp": ((320, 320), "WEBP", "image/webp"),
    }


def test_the_manifest_lists_the_renditions(stack: Stack) -> None:
    stack.upload("manifest/my photo+1.jpg", jpeg(photo(900, 600)))
    manifest = stack.manifest("manifest/my photo+1.jpg")
    there = stack.renditions("manifest/my photo+1.jpg")
    listed = {entry["key"]: (entry["bytes"], entry["type"]) for entry in manifest["renditions"]}
    del listed["resized/manifest/my photo+1.jpg"]  # a copy has the type that it was uploaded with
    del there["resized/manifest/my photo+1.jpg"]
    assert listed == {key: (len(stored["Body"]), stored["ContentType"]) for key, stored in there.items()}
    shown = manifest["srcset"]["webp"].split(" ")[0]
    assert unquote(shown) in there
    assert (manifest["source"]["width"], manifest["source"]["height"]) == (900, 600)


def test_renditions_are_cached_for_a_day_and_the_copy_as_its_source(stack: Stack, small: bytes) -> None:
    stack.upload("cache/day.png", small)
    found = {key: rendition.get("CacheControl") for key, rendition in stack.renditions("cache/day.png").items()}
    assert found.pop("resized/cache/day.png") is None
    assert set(found.values()) == {"public, max-age=86400"}


def test_renditions_inherit_the_cache_control_of_the_source(stack: Stack, small: bytes) -> None:
    stack.upload("cache/minute.png", small, CacheControl="private, max-age=60")
    found = stack.renditions("cache/minute.png")
    assert {rendition["CacheControl"] for rendition in found.values()} == {"private, max-age=60"}


def test_every_suffix_invokes_the_function(stack: Stack, small: bytes) -> None:
    # S3 looks at the suffix alone, and the function at the content alone: one PNG serves for all.
    spellings = [case for suffix in SUFFIXES for case in (suffix, suffix.upper())]
    keys = [f"suffix/{spelling}.{spelling}" for spelling in sorted({*spellings, "Jpg", "Jpeg", "Png"})]
    for key in keys:
        stack.upload(key, small)
    for key in keys:
        assert stack.renditions(key)[f"resized/{key}"]["Body"] == small


def test_other_suffixes_do_not_invoke_the_function(stack: Stack, small: bytes) -> None:
    others = ["other/notes.txt", "other/a.jpg.bak", "other/ajpg", "other/png", "other/a.JPg"]
    for key in others:
        stack.upload(key, small)
    for last in ("other/1.png", "other/2.png", "other/3.png"):  # one after the other: by then the others were made
        stack.upload(last, small)
        stack.renditions(last)
    assert {key: stack.keys_of(key) for key in others} == {key: set() for key in others}


@pytest.mark.parametrize(
    "key",
    [
        "keys/été/日本/🖼.png",
        "keys/cafe\u0301.png",
        "keys/100%.png",
        "keys/a b  c.png",
        "keys/a+b.png",
        "keys/a%2Fb.png",
        "keys/a%20b+c d.png",
        "keys/a&b=c?d#e;f:g@h.png",
        'keys/it\'s "quoted" (1) [2] {3}.png',
        "keys/a//b.png",
        "keys/.png.png",
    ],
    ids=lambda key: quote(key, safe=" +()[]{}"),
)
def test_any_key_is_kept_unchanged(stack: Stack, small: bytes, key: str) -> None:
    stack.upload(key, small)
    assert stack.renditions(key)[f"resized/{key}"]["Body"] == small
    assert stack.keys_of(key) == stack.expected_keys(key)


def test_a_large_upload_in_parts_makes_one_set_of_renditions(stack: Stack, small: bytes) -> None:
    body = bytes(photo(3300, 3100).pngsave_buffer(compression=0))
    assert len(body) > 30_000_000
    stack.s3.upload_fileobj(BytesIO(body), stack.source, "parts/large.png")
    assert "-" in stack.s3.head_object(Bucket=stack.source, Key="parts/large.png")["ETag"]
    found = stack.renditions("parts/large.png")
    assert found["resized/parts/large.png"]["Body"] == body
    for last in ("parts/1.png", "parts/2.png"):
        stack.upload(last, small)
        stack.renditions(last)
    assert {key: stack.versions(key) for key in found} == dict.fromkeys(found, 1)


def test_an_image_that_is_replaced_ends_as_the_newer_one(stack: Stack) -> None:
    stack.upload("replaced/a.png", plain(RED))
    stack.renditions("replaced/a.png")
    stack.upload("replaced/a.png", plain(BLUE))
    stack.eventually(lambda: {colour(body) for body in bodies(stack, "replaced/a.png")} == {BLUE}, "the newer image")


def test_of_many_simultaneous_uploads_of_one_key_the_last_one_remains(stack: Stack) -> None:
    shades = [(20 * step, 20 * step, 20 * step) for step in range(8)]
    for shade in [*shades, BLUE]:
        stack.upload("burst/a.png", plain(shade))
    stack.eventually(lambda: {colour(body) for body in bodies(stack, "burst/a.png")} == {BLUE}, "the last image")


def bodies(stack: Stack, key: str) -> list[bytes]:
    return [rendition["Body"] for rendition in stack.renditions(key).values()]


def colour(body: bytes) -> tuple[int, ...]:
    """The colour of an image in one colour: BLUE if it is nearly that."""
    image = decoded(body)
    pixel = tuple(round(band) for band in image(image.width // 2, image.height // 2))
    return BLUE if is_near(pixel, BLUE) else pixel
