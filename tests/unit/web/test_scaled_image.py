"""The module of web/ in Node.js: what it makes of manifests. The page of the example tests it in a browser."""

import gzip
import json
import subprocess
import xml.etree.ElementTree as ET
from typing import Any

import msgspec
import pytest

from image_scaler.manifest import Source, build
from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.recipe import PageOptions, PictureChoice
from tests import ROOT
from tests.repository.test_docs import PAGES, code

BASE = "https://images.example.com/"
PLACEHOLDER = "data:image/png;base64,AA=="
KEY = "a b/it's (50 %), &c.jpg"


def node(script: str, given: object = None) -> Any:
    """Run a module whose `given` is a value; return what it prints as JSON."""
    command = ["node", "--no-warnings", "--input-type=module", "-e", f"const given = {json.dumps(given)};\n{script}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def made_rendition(name: str, key: str, width: int, height: int, type_: str) -> MadeRendition:
    return MadeRendition(name=name, key=key, width=width, height=height, bytes=9, type=f"image/{type_}")


LADDER = ("web", ("web-640", "web-1280"))


def manifest(*types: str, has_alpha: bool = False, page: PageOptions | None = None) -> dict[str, Any]:
    """Return the manifest of a ladder in some formats, and of a square, as ready() returns it."""
    made = [made_rendition("square-320", f"square/{KEY}", 320, 320, "webp")]
    made += [
        made_rendition(f"web-{width}", f"web-{width}/{KEY}.{type_}", width, width // 2, type_)
        for width in (640, 1280)
        for type_ in types
    ]
    source = Source(key=KEY, etag="e", bytes=1, width=4000, height=2000, format=Format.JPEG, has_alpha=has_alpha)
    page = page or PageOptions(ladders=(LADDER,))
    body = build(source, made, page, fingerprint="r", dominant_colour="#123456", placeholder=PLACEHOLDER)
    content = json.loads(body)
    return content | {"base_url": content["base_url"] or BASE}


def attributes(given: dict[str, Any], **options: Any) -> Any:
    script = """
        import { attributes } from "./web/scaled-image.js";
        console.log(JSON.stringify(attributes(given[0], given[1])));
    """
    return node(script, [given, options])


def test_each_format_is_a_choice_and_the_best_known_one_is_the_image() -> None:
    found = attributes(manifest("avif", "webp", "jpeg"))
    assert [source["type"] for source in found["sources"]] == ["image/avif", "image/webp"]
    image = found["img"]
    assert image["src"].startswith(f"{BASE}web-1280/a%20b/it")
    assert image["src"].endswith(".jpeg")
    assert (image["width"], image["height"]) == (1280, 640)
    for one in (*found["sources"], image):
        for candidate, width in zip(one["srcset"].split(", "), ("640w", "1280w"), strict=True):
            url, written = candidate.split(" ")
            assert url.startswith(BASE)
            assert written == width


def test_an_opaque_picture_has_its_colour_and_its_placeholder_behind_it() -> None:
    style = attributes(manifest("webp"))["img"]["style"]
    assert (style["backgroundColor"], style["backgroundImage"]) == ("#123456", f'url("{PLACEHOLDER}")')
    assert (
        not {"backgroundColor", "backgroundImage"} & attributes(manifest("webp", has_alpha=True))["img"]["style"].keys()
    )


def test_complete_urls_stay() -> None:
    page = PageOptions(ladders=(LADDER,), base_url="https://other.example/x/")
    image = attributes(manifest("webp", page=page) | {"base_url": BASE})["img"]
    assert image["src"].startswith("https://other.example/x/web-1280/")
    assert image["srcset"].startswith("https://other.example/x/web-640/")


def test_art_direction_offers_the_other_ladder_first_with_its_own_size() -> None:
    choice = PictureChoice(media="(max-width: 40rem)", ladder="square")
    given = manifest(
        "avif", "webp", page=PageOptions(ladders=(LADDER, ("square", ("square-320",))), pictures=(choice,))
    )
    first, *others = attributes(given)["sources"]
    assert (first["media"], first["type"]) == ("(max-width: 40rem)", "image/webp")
    assert (first["width"], first["height"]) == (320, 320)
    assert first["srcset"].endswith(" 320w")
    assert [(one["type"], "media" in one) for one in others] == [("image/avif", False)]
    assert "media" not in attributes(given, ladder="web")["sources"][0]


def test_the_jpegs_with_a_gain_map_are_offered_if_the_manifest_says_so() -> None:
    choice = PictureChoice(media="(dynamic-range: high)", ladder="web", hdr=True)
    made = [
        msgspec.structs.replace(made_rendition(f"web-{width}", f"{type_}/{KEY}", width, width, type_), hdr=hdr)
        for width in (640, 1280)
        for type_, hdr in (("avif", msgspec.UNSET), ("jpeg", True))
    ]
    source = Source(key=KEY, etag="e", bytes=1, width=2000, height=2000, format=Format.JPEG)
    body = build(source, made, PageOptions(ladders=(LADDER,), pictures=(choice,)), fingerprint="r")
    first, *others = attributes(json.loads(body) | {"base_url": BASE})["sources"]
    assert (first["media"], first["type"]) == ("(dynamic-range: high)", "image/jpeg")
    assert first["srcset"].count(f"{BASE}jpeg/") == 2
    assert [one["type"] for one in others] == ["image/avif"]


def test_the_image_itself_has_the_last_format_if_there_is_no_older_one() -> None:
    found = attributes(manifest("avif", "webp"))
    assert [source["type"] for source in found["sources"]] == ["image/avif"]
    assert found["img"]["src"].endswith(".webp")
    assert found["img"]["srcset"].count(".webp ") == 2


@pytest.mark.parametrize(
    ("options", "sizes", "width", "max_width"),
    [
        ({}, "auto, (min-width: 1280px) 1280px, 100vw", "100%", "1280px"),
        ({"width": 500}, "auto, (min-width: 500px) 500px, 100vw", "100%", "500px"),
        ({"layout": "fixed", "width": 320}, "auto, 320px", "320px", "none"),
        ({"layout": "full"}, "auto, 100vw", "100%", "none"),
        ({"layout": "full", "priority": True}, "100vw", "100%", "none"),
        ({"sizes": "50vw"}, "auto, 50vw", "100%", "1280px"),
    ],
)
def test_the_layout_says_how_wide_it_is(options: dict[str, Any], sizes: str, width: str, max_width: str) -> None:
    image = attributes(manifest("webp"), **options)["img"]
    assert (image["sizes"], image["style"]["width"], image["style"]["maxWidth"]) == (sizes, width, max_width)


def test_only_the_first_picture_of_a_page_is_not_loaded_lazily() -> None:
    assert attributes(manifest("webp"))["img"]["loading"] == "lazy"
    first = attributes(manifest("webp"), priority=True)["img"]
    assert (first["loading"], first["fetchpriority"]) == ("eager", "high")


def test_a_single_rendition_is_shown_by_its_name_and_an_unknown_one_is_an_error() -> None:
    image = attributes(manifest("avif"), ladder="square-320")["img"]
    assert image["src"].startswith(f"{BASE}square/")
    assert (image["width"], image["height"]) == (320, 320)
    with pytest.raises(AssertionError, match="the manifest has no ladder large"):
        attributes(manifest("avif"), ladder="large")


def test_a_thumbhash_is_decoded_as_by_its_author() -> None:
    script = """
        import { decodeThumbHash } from "./web/scaled-image.js";
        import { rgbaToThumbHash, thumbHashToRGBA } from "thumbhash";
        let state = 7;
        const random = (below) => (state = (state * 48271) % 2147483647) % below;
        const differences = [];
        for (let number = 0; number < 100; number++) {
            const [width, height, opaque] = [1 + random(100), 1 + random(100), number % 2];
            const pixel = (_, index) => (opaque && index % 4 === 3 ? 255 : random(256));
            const hash = rgbaToThumbHash(width, height, Uint8Array.from({ length: width * height * 4 }, pixel));
            const [theirs, ours] = [thumbHashToRGBA(hash), decodeThumbHash(Buffer.from(hash).toString("base64"))];
            if (theirs.w !== ours.width || theirs.h !== ours.height) differences.push([width, height]);
            differences.push(...theirs.rgba.filter((value, index) => value !== ours.pixels[index]));
        }
        console.log(JSON.stringify(differences));
    """
    assert node(script) == []


def test_the_react_component_of_the_docs_renders_on_a_server() -> None:
    (component,) = code("docs/web.md", "jsx")
    script = """
        import { createElement } from "react";
        import { renderToStaticMarkup } from "react-dom/server";
        import { transformSync } from "esbuild";
        const [component, manifest] = given;
        const errors = [];
        console.error = (...all) => errors.push(all);
        const local = component.replace("./scaled-image.js", `file://${process.cwd()}/web/scaled-image.js`);
        const { code } = transformSync(local, { loader: "jsx", jsx: "automatic" });
        const runnable = code.replace(/"react\\/jsx-runtime"/, `"${import.meta.resolve("react/jsx-runtime")}"`);
        const { Picture } = await import(`data:text/javascript,${encodeURIComponent(runnable)}`);
        const markup = renderToStaticMarkup(createElement(Picture, { manifest, alt: "A ship", width: 500 }));
        console.log(JSON.stringify([markup, errors]));
    """
    markup, errors = node(script, [component, manifest("avif", "webp", "jpeg")])
    assert errors == []
    *sources, image = ET.fromstring(markup)  # noqa: S314 - our own
    assert [source.get("type") for source in sources] == ["image/avif", "image/webp"]
    assert (image.get("alt"), image.get("loading")) == ("A ship", "lazy")
    assert "640w" in image.attrib["srcSet"]
    assert "max-width:500px" in image.attrib["style"]


@pytest.mark.parametrize("key", ["dir/photo.jpg", "a b+ü.PNG", "already.webp", "UPPER.WEBP"])
def test_the_loader_for_nextjs_in_the_docs_asks_for_renditions_that_exist(key: str) -> None:
    loader = next(block for block in code("docs/web.md", "js") if "function loader" in block)
    plan = load_recipe(ROOT / "renditions.toml").plan_for(key)
    script = f"""
        const {{ default: loader }} = await import(`data:text/javascript,${{encodeURIComponent(given[0])}}`);
        const urls = [640, 1280, 1920].map((width) => loader({{ src: given[1], width }}));
        console.log(JSON.stringify(urls.map((url) => decodeURIComponent(url.slice({len(BASE)})))));
    """
    assert set(node(script, [loader, key])) <= set(plan.keys)


def test_the_docs_say_its_size() -> None:
    minify = """
        import { readFileSync } from "node:fs";
        import { transformSync } from "esbuild";
        const source = readFileSync("web/scaled-image.js", "utf8");
        console.log(JSON.stringify(transformSync(source, { minify: true, format: "esm" }).code));
    """
    size = len(gzip.compress(node(minify).encode(), 9))
    assert f"of {size / 1000:.1f} kB when minified and compressed" in PAGES["docs/web.md"]
