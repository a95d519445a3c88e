"""The content of a manifest; test_scaler has when it is written."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_scaler.manifest import SIZES, Manifest, Source, build, fingerprint
from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import DroppedMap, MadeRendition
from image_scaler.renditions.recipe import PageOptions, PictureChoice
from image_scaler.renditions.toml import parse_recipe

UNKNOWN = {"quality": None, "score": None, "searched": None, "animated": False}
LADDER = PageOptions(ladders=(("web", ("web-640", "web-1280")),))
HOSTILE = [
    'a"onerror="alert(1).jpg',
    "a'><script>alert(1)</script>.jpg",
    "a&quot;&amp;.jpg",
    "a\nb\r\t.jpg",
    "a, b 640w.jpg",
    "été/日本/🖼.jpg",
    "100%/%2F+?#.jpg",
    "\x00\x1b[31m.jpg",
]


class Picture(HTMLParser):
    """The elements of a `<picture>` with their attributes; what it should not hold fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        raise AssertionError(f"text in a picture: {data!r}")

    handle_comment = handle_decl = handle_pi = handle_data


def of(*objects: MadeRendition, page: PageOptions = LADDER, **known: Any) -> dict[str, Any]:
    source = Source(
        key="a.jpg", etag="e", bytes=9000, **({"width": 1500, "height": 1000, "format": Format.JPEG} | known)
    )
    body = build(source, objects, page, fingerprint="r")
    assert msgspec.json.decode(body, type=Manifest, strict=True)
    content: dict[str, Any] = json.loads(body)
    return content


def step(width: int, type_: str, *, is_wide: bool = True, key: str = "a.jpg") -> MadeRendition:
    """A step of the ladder; otherwise one that came out no wider than 700 pixels, as the source was."""
    wide = width if is_wide else min(700, width)
    return written(f"web-{width}", f"web-{width}/{key}.{type_}", wide, wide // 2, 100, f"image/{type_}")


def written(name: str, key: str, width: int, height: int, size: int, type_: str) -> MadeRendition:
    return MadeRendition(name=name, key=key, bytes=size, width=width, height=height, type=type_)


def copy(key: str = "a.jpg") -> MadeRendition:
    return MadeRendition(name="resized", key=f"resized/{key}", bytes=9000)


def elements(content: dict[str, Any]) -> list[tuple[str, dict[str, str | None]]]:
    return Picture(content["picture"]).elements


def moving(made: MadeRendition) -> MadeRendition:
    return msgspec.structs.replace(made, animated=True)


BOTH = [step(640, "avif"), step(640, "webp"), step(1280, "avif"), step(1280, "webp")]


CARD = [written("card-300", f"card-300/a.jpg.{type_}", 300, 300, 1, f"image/{type_}") for type_ in ("avif", "jpeg")]


def test_a_manifest_describes_the_source_and_every_rendition() -> None:
    source = Source(
        key="a.jpg",
        etag="e",
        bytes=9000,
        width=1500,
        height=1000,
        format=Format.JPEG,
        has_alpha=False,
        animated=False,
        focal_point=(0.3, 0.7),
    )
    objects = [copy(), msgspec.structs.replace(step(640, "webp"), quality=64, score=70.4, searched=True)]
    content = json.loads(
        build(source, objects, LADDER, fingerprint="r", thumbhash=b"\x01\x02", dominant_colour="#102030")
    )
    assert content == {
        "version": 3,
        "base_url": None,
        "source": {
            "key": "a.jpg",
            "etag": "e",
            "bytes": 9000,
            "width": 1500,
            "height": 1000,
            "aspect_ratio": 1.5,
            "format": "jpeg",
            "has_alpha": False,
            "animated": False,
            "focal_point": [0.3, 0.7],
        },
        "recipe": "r",
        "renditions": [
            {
                "name": "resized",
                "key": "resized/a.jpg",
                "width": 1500,
                "height": 1000,
                "bytes": 9000,
                "type": "image/jpeg",
                **UNKNOWN,
                "url": "resized/a.jpg",
            },
            {
                "name": "web-640",
                "key": "web-640/a.jpg.webp",
                "width": 640,
                "height": 320,
                "bytes": 100,
                "type": "image/webp",
                "quality": 64,
                "score": 70.4,
                "searched": True,
                "animated": False,
                "url": "web-640/a.jpg.webp",
            },
        ],
        "ladders": {
            "web": {
                "srcset": {"webp": "web-640/a.jpg.webp 640w"},
                "picture": content["picture"],
                "sizes": SIZES,
                "width": 640,
                "height": 320,
                "aspect_ratio": 2.0,
            }
        },
        "srcset": {"webp": "web-640/a.jpg.webp 640w"},
        "picture": content["picture"],
        "pictures": [],
        "placeholder": None,
        "thumbhash": "AQI=",
        "dominant_colour": "#102030",
    }


def test_a_srcset_is_ordered_by_width_whatever_the_order_of_the_recipe() -> None:
    content = of(*reversed(BOTH))
    assert content["srcset"] == {
        "webp": "web-640/a.jpg.webp 640w, web-1280/a.jpg.webp 1280w",
        "avif": "web-640/a.jpg.avif 640w, web-1280/a.jpg.avif 1280w",
    }


def test_steps_of_equal_size_are_listed_once() -> None:
    page = PageOptions(ladders=(("web", ("web-640", "web-1280", "web-1920")),))
    content = of(*(step(width, "webp", is_wide=False) for width in (640, 1280, 1920)), page=page)
    assert content["srcset"] == {"webp": "web-640/a.jpg.webp 640w, web-1280/a.jpg.webp 700w"}


def test_renditions_outside_the_ladder_are_not_in_the_srcset() -> None:
    thumbnail = written("thumbnail", "thumbnail/a.jpg.webp", 320, 320, 100, "image/webp")
    assert "thumbnail" not in json.dumps(of(thumbnail, *BOTH)["srcset"])


def test_an_entry_says_whether_it_moves_also_one_of_an_earlier_version_that_said_so_only_then() -> None:
    still, animation = of(step(640, "avif"), moving(step(640, "webp")))["renditions"]
    assert (still.pop("animated"), animation["animated"]) == (False, True)
    assert MadeRendition.from_json(animation).animated
    assert not MadeRendition.from_json(still).animated


def test_an_animation_is_not_offered_as_a_still_picture() -> None:
    content = of(*(moving(made) if made.type == "image/webp" else made for made in BOTH), step(640, "jpeg"))
    assert content["srcset"] == {"webp": "web-640/a.jpg.webp 640w, web-1280/a.jpg.webp 1280w"}
    assert [(tag, attributes.get("type"), attributes.get("src")) for tag, attributes in elements(content)] == [
        ("picture", None, None),
        ("source", "image/webp", None),
        ("img", None, "web-1280/a.jpg.webp"),
    ]


def test_of_an_animation_in_two_formats_avif_comes_first() -> None:
    content = of(*map(moving, BOTH), step(640, "jpeg"))
    assert list(content["srcset"]) == ["avif", "webp"]
    assert [attributes.get("type") for _, attributes in elements(content)] == [None, "image/avif", "image/webp", None]


def test_browsers_without_avif_get_the_copy_of_an_animation_before_a_still_picture() -> None:
    ladder = [moving(step(640, "avif")), step(640, "jpeg")]
    assert elements(of(copy(), *ladder, format=Format.GIF))[-1][1]["src"] == "resized/a.jpg"
    assert elements(of(*ladder))[-1][1]["src"] == "web-640/a.jpg.jpeg"


def test_a_ladder_of_still_pictures_stays_one_next_to_a_rendition_that_moves() -> None:
    thumbnail = moving(written("thumbnail", "thumbnail/a.jpg.webp", 320, 320, 100, "image/webp"))
    content = of(thumbnail, *BOTH, step(1280, "jpeg"))
    assert list(content["srcset"]) == ["avif", "webp", "jpeg"]
    assert elements(content)[-1][1]["src"] == "web-1280/a.jpg.jpeg"


def test_a_picture_offers_avif_then_webp_then_a_format_of_every_browser() -> None:
    found = elements(of(copy(), *reversed(BOTH), step(640, "jpeg"), step(1280, "jpeg")))
    assert [(tag, attributes.get("type")) for tag, attributes in found] == [
        ("picture", None),
        ("source", "image/avif"),
        ("source", "image/webp"),
        ("img", None),
    ]
    assert found[1][1]["srcset"] == "web-640/a.jpg.avif 640w, web-1280/a.jpg.avif 1280w"
    assert {attributes["sizes"] for _, attributes in found[1:]} == {SIZES}
    assert found[3][1] == {
        "src": "web-1280/a.jpg.jpeg",
        "srcset": "web-640/a.jpg.jpeg 640w, web-1280/a.jpg.jpeg 1280w",
        "sizes": SIZES,
        "width": "1280",
        "height": "640",
        "loading": "lazy",
        "alt": "",
    }


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ([*BOTH, copy()], "web-1280/a.jpg.webp"),
        ([step(640, "png"), step(640, "webp"), copy()], "web-640/a.jpg.png"),
        ([step(640, "avif"), copy()], "resized/a.jpg"),
        ([step(640, "avif")], "web-640/a.jpg.avif"),
        ([written("small", "small/a.jpg", 10, 10, 1, "image/jpeg"), copy()], "resized/a.jpg"),
        ([written("s", "s/a.jpg", 10, 9, 1, "image/jpeg"), written("l", "l/a.jpg", 90, 90, 1, "image/png")], "l/a.jpg"),
    ],
)
def test_the_img_of_a_picture_has_the_most_widely_supported_format(written: list[MadeRendition], shown: str) -> None:
    assert elements(of(*written))[-1][1]["src"] == shown


def test_a_copy_that_browsers_do_not_show_is_in_no_picture() -> None:
    assert of(copy(), format=Format.HEIC)["picture"] is None
    small = written("small", "small/a.jpg.webp", 10, 10, 1, "image/webp")
    assert elements(of(copy(), small, format=Format.TIFF))[-1][1]["src"] == "small/a.jpg.webp"


def test_the_manifest_of_a_source_that_is_only_copied_lists_the_copies() -> None:
    content = of(copy(), width=None, height=None, format=None)
    assert content["renditions"] == [
        {
            "name": "resized",
            "key": "resized/a.jpg",
            "width": None,
            "height": None,
            "bytes": 9000,
            "type": None,
            **UNKNOWN,
            "url": "resized/a.jpg",
        }
    ]
    assert (content["srcset"], content["thumbhash"], content["dominant_colour"]) == ({}, None, None)
    assert elements(content)[-1] == ("img", {"src": "resized/a.jpg", "loading": "lazy", "alt": ""})


@given(st.text(min_size=1))
@pytest.mark.parametrize("base", ["", "https://images.example.com/"])
@example(HOSTILE[0])
@example(HOSTILE[1])
@example(HOSTILE[2])
@example(HOSTILE[3])
@example(HOSTILE[4])
@example(HOSTILE[5])
@example(HOSTILE[6])
@example(HOSTILE[7])
@example("../../x.png")
def test_any_key_gives_json_and_a_picture_with_that_key_and_no_other_markup(base: str, key: str) -> None:
    written = [copy(key), *(step(width, type_, key=key) for width in (640, 1280) for type_ in ("avif", "jpeg"))]
    source = Source(key=key, etag="e", bytes=1, width=9, height=9, format=Format.JPEG)
    page = replace(LADDER, base_url=base or None)
    content = json.loads(build(source, written, page, fingerprint="r"))
    assert content["source"]["key"] == key
    if {".", ".."} & set(key.split("/")):  # a browser would look for it elsewhere
        assert (content["picture"], content["srcset"], content["ladders"]) == (None, {}, {})
        assert {entry["url"] for entry in content["renditions"]} == {None}
        return
    assert {entry["url"] for entry in content["renditions"]} == {base + quote(entry.key) for entry in written}
    _, avif, image = Picture(content["picture"]).elements
    assert [tag for tag, _ in (avif, image)] == ["source", "img"]
    assert avif[1].keys() == {"type", "srcset", "sizes"}
    assert image[1].keys() == {"src", "srcset", "sizes", "width", "height", "loading", "alt"}
    for attributes, type_ in ((avif[1], "avif"), (image[1], "jpeg")):
        steps = [step.split(" ") for step in str(attributes["srcset"]).split(", ")]
        assert [(unquote(url.removeprefix(base)), width) for url, width in steps] == [
            (f"web-{width}/{key}.{type_}", f"{width}w") for width in (640, 1280)
        ]
    assert image[1]["src"] == base + quote(f"web-1280/{key}.jpeg")


def test_the_fingerprint_of_a_manifest_is_that_of_all_renditions_and_their_keys() -> None:
    def of_(toml: str) -> str:
        return fingerprint(parse_recipe(toml).plan_for("a.jpg"))

    fingerprints = [
        of_("[renditions.a]\nwidth = 1"),
        of_("[renditions.a]\nwidth = 2"),
        of_("[renditions.a]\nwidth = 1\nkey = 'b/{key}'"),
        of_("[renditions.a]\nwidth = 1\n[renditions.b]"),
        of_("[renditions.a]\nwidths = [1]"),
    ]
    assert len(set(fingerprints)) == len(fingerprints)
    assert of_("[renditions.a]\nwidth = 1") == fingerprints[0]


def test_the_fingerprint_of_a_manifest_is_also_that_of_what_it_tells_pages() -> None:
    ladders = "[renditions.a]\nwidths = [1]\n[renditions.b]\nwidths = [2]\n"
    fingerprints = {
        fingerprint(parse_recipe(toml).plan_for("a.jpg"))
        for toml in (
            ladders,
            "base_url = 'https://a.example/'\n" + ladders,
            "placeholder = true\n" + ladders,
            ladders + "[[pictures]]\nmedia = 'print'\nladder = 'b'\n",
            ladders + "format = 'jpeg'\nhdr = 'keep'\n[[pictures]]\nmedia = 'print'\nladder = 'b'\n",
            ladders + "format = 'jpeg'\nhdr = 'keep'\n[[pictures]]\nmedia = 'print'\nladder = 'b'\nhdr = true\n",
        )
    }
    assert len(fingerprints) == 6


def test_each_ladder_has_a_picture_of_its_own() -> None:
    page = PageOptions(ladders=(*LADDER.ladders, ("card", ("card-300",)), ("none", ("none-1",))))
    ladders = of(*BOTH, *CARD, page=page)["ladders"]
    assert list(ladders) == ["web", "card"]
    assert [(ladder["width"], ladder["height"], ladder["aspect_ratio"]) for ladder in ladders.values()] == [
        (1280, 640, 2.0),
        (300, 300, 1.0),
    ]
    assert elements(ladders["card"])[-1][1]["src"] == "card-300/a.jpg.jpeg"
    assert "web-" not in ladders["card"]["picture"]


def with_map(made: MadeRendition, *, is_kept: bool = True) -> MadeRendition:
    if is_kept:
        return msgspec.structs.replace(made, hdr=True)
    return msgspec.structs.replace(made, hdr=False, hdr_dropped=DroppedMap.MAX_BYTES)


JPEGS = [step(640, "jpeg"), step(1280, "jpeg")]
OFFERS_HDR = PageOptions(
    ladders=LADDER.ladders, pictures=(PictureChoice(media="(dynamic-range: high)", ladder="web", hdr=True),)
)


def test_an_entry_says_that_it_has_a_gain_map_or_why_not() -> None:
    content = of(*BOTH, with_map(JPEGS[0], is_kept=False), with_map(JPEGS[1]))
    found = [(entry.get("hdr"), entry.get("hdr_dropped")) for entry in content["renditions"]]
    assert found == [*[(None, None)] * 4, (False, "max_bytes"), (True, None)]
    assert "hdr" not in content["renditions"][0], "nothing is said of what nobody asked for"


def test_the_jpegs_with_a_gain_map_have_a_srcset_of_their_own() -> None:
    small, large = "web-640/a.jpg.jpeg 640w", "web-1280/a.jpg.jpeg 1280w"
    assert of(*BOTH, *map(with_map, JPEGS))["srcset"]["jpeg_hdr"] == f"{small}, {large}"
    assert "jpeg_hdr" not in of(*BOTH, *JPEGS)["srcset"]
    # A step whose map was dropped is listed too: without it the browser would take a wider image.
    partly = of(*BOTH, with_map(JPEGS[0], is_kept=False), with_map(JPEGS[1]))
    assert partly["srcset"]["jpeg_hdr"] == f"{small}, {large}"
    apart = written("web-640", "other/a.jpg", 640, 320, 100, "image/jpeg")
    assert of(JPEGS[0], with_map(apart))["srcset"] == {"jpeg": small, "jpeg_hdr": "other/a.jpg 640w"}


def test_a_picture_offers_gain_maps_to_hdr_displays_only_if_asked_and_if_there_are_any() -> None:
    content = of(*BOTH, *map(with_map, JPEGS), page=OFFERS_HDR)
    assert content["pictures"] == [{"media": "(dynamic-range: high)", "ladder": "web", "hdr": True}]
    _, *found = elements(content)
    assert [(one.get("media"), one.get("type")) for _, one in found] == [
        ("(dynamic-range: high)", "image/jpeg"),
        (None, "image/avif"),
        (None, "image/webp"),
        (None, None),
    ]
    assert found[0][1]["srcset"] == content["srcset"]["jpeg_hdr"]
    without = of(*BOTH, *JPEGS, page=OFFERS_HDR)
    assert (without["pictures"], without["picture"]) == ([], of(*BOTH, *JPEGS)["picture"])
    assert of(*BOTH, *map(with_map, JPEGS))["picture"] == of(*BOTH, *JPEGS)["picture"]


def test_art_direction_offers_another_ladder_first_with_its_own_size() -> None:
    page = PageOptions(
        ladders=(*LADDER.ladders, ("card", ("card-300",))),
        pictures=(PictureChoice(media='(max-width: 40rem) and (orientation: "x")', ladder="card"),),
    )
    content = of(*BOTH, *CARD, page=page)
    assert content["pictures"] == [{"media": '(max-width: 40rem) and (orientation: "x")', "ladder": "card"}]
    _, *found = elements(content)
    shown = [(tag, one.get("media"), one.get("type"), one.get("width"), one.get("height")) for tag, one in found]
    media = '(max-width: 40rem) and (orientation: "x")'
    assert shown == [
        ("source", media, "image/avif", "300", "300"),
        ("source", media, "image/jpeg", "300", "300"),
        ("source", None, "image/avif", None, None),
        ("source", None, "image/webp", None, None),
        ("img", None, None, "1280", "640"),
    ]


def test_a_width_that_was_left_out_in_a_format_is_there_in_the_next_one() -> None:
    content = of(step(640, "webp"), step(1280, "avif"), step(1280, "webp"))
    webp = "web-640/a.jpg.webp 640w, web-1280/a.jpg.webp 1280w"
    assert content["srcset"] == {"avif": "web-640/a.jpg.webp 640w, web-1280/a.jpg.avif 1280w", "webp": webp}
    assert 'type="image/avif" srcset="web-640/a.jpg.webp 640w, web-1280/a.jpg.avif 1280w"' in content["picture"]


def test_a_format_that_was_left_out_at_every_width_has_no_srcset() -> None:
    content = of(step(640, "webp"), step(1280, "webp"))
    assert content["srcset"].keys() == {"webp"}
    assert "avif" not in content["picture"]


def test_an_older_format_is_not_replaced_by_a_newer_one() -> None:
    content = of(step(640, "avif"), step(640, "webp"), step(1280, "avif"))
    assert content["srcset"]["webp"] == "web-640/a.jpg.webp 640w"
