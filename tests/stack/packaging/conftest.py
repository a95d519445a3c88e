import platform
from pathlib import Path

import pytest

from tests.stack.packaging.packages import ROOT, Package, package
from toolbox.local.package_cache import local_package

ALARM_TOPIC = "arn:aws:sns:us-east-1:123456789012:my.topic"
SOURCE_KEY, DESTINATION_KEY = (f"arn:aws:kms:us-east-1:123456789012:key/{name}" for name in ("sources", "renditions"))
DISTRIBUTION = "arn:aws:cloudfront::123456789012:distribution/EXAMPLE"
ORIGINS = "https://www.example.com,https://example.com"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/EXAMPLE"
OWN_RENDITIONS = """
[renditions.parts]
widths = [200, 400]
key = "{dir}thumbs/{stem}_{width}{source_ext}"
[renditions.original]
key = "originals/{key}"
tags = { project = "shop" }
[renditions.web]
widths = [640, 1280]
formats = ["avif", "webp"]
key = "img/{width}/{key}.{ext}"
[renditions.card]
widths = [300]
tags = { project = "shop" }
[renditions.card-2x]
width = 600
format = "jpeg"
key = "cards/large-{name}/{format}/{key}"
"""
READER_RENDITIONS = """
[renditions.everywhere]
width = 100
key = "{dir}{stem}{source_ext}"
[renditions.original]
key = "img/copies/{key}"
[renditions.web]
widths = [640, 1280]
formats = ["avif", "jpg"]
key = "img/{width}/{format}/{key}/{hash}.{ext}"
[renditions.card]
widths = [300]
key = "{width}/{key}"
"""
HASHES_AND_EVENTS = """
events = true
superseded_days = 7
[renditions.plain]
[renditions.web]
widths = [640, 1280]
key = "img/{width}/{key}/{hash}"
[renditions.card]
width = 300
key = "cards/{key}.{hash}.{ext}"
format = "webp"
"""


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def arm64(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Package:
    """The package with the default parameters."""
    return package(tmp_path_factory.mktemp("arm64"), cache=downloads)


@pytest.fixture(scope="session")
def arm64_again(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The same package, downloaded and built again in another folder."""
    return package(tmp_path_factory.mktemp("arm64-again"))


@pytest.fixture(scope="session")
def x86_64(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Package:
    return package(tmp_path_factory.mktemp("x86_64"), "--param=architecture=x86_64", cache=downloads)


@pytest.fixture(scope="session")
def python314(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Package:
    return package(tmp_path_factory.mktemp("python314"), "--param=python=3.14", cache=downloads)


@pytest.fixture(scope="session")
def local() -> Package:
    """The package for the local AWS, with wheels for this Python and machine."""
    return Package(local_package())


@pytest.fixture(scope="session")
def runnable_here(request: pytest.FixtureRequest) -> Package:
    """The package for Lambda on a machine like this one."""
    machine = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}.get(platform.machine())
    if platform.system() != "Linux" or not machine:
        pytest.skip(f"Lambda runs on Linux, and this is {platform.system()} on {platform.machine()}")
    found: Package = request.getfixturevalue(machine)
    return found


@pytest.fixture(scope="session")
def with_existing_bucket(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(tmp_path_factory.mktemp("existing"), "--param=existingSourceBucket=my-uploads", wheels=False)


@pytest.fixture(scope="session")
def with_existing_buckets(tmp_path_factory: pytest.TempPathFactory) -> Package:
    parameters = (
        *("existingSourceBucket=hardened", "existingDestinationBucket=readers"),
        *(f"sourceKmsKey={SOURCE_KEY}", f"destinationKmsKey={DESTINATION_KEY}", "cdn=true"),
    )
    folder = tmp_path_factory.mktemp("existing-buckets")
    return package(folder, *(f"--param={parameter}" for parameter in parameters), wheels=False)


@pytest.fixture(scope="session")
def with_event_bridge(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(tmp_path_factory.mktemp("event-bridge"), "--param=delivery=eventbridge", wheels=False)


@pytest.fixture(scope="session")
def with_buffer(tmp_path_factory: pytest.TempPathFactory) -> Package:
    parameters = ("--param=buffer=sqs", "--param=maxConcurrency=5", "--param=timeout=90")
    return package(tmp_path_factory.mktemp("buffer"), *parameters, wheels=False)


@pytest.fixture(scope="session")
def with_any_suffix(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(tmp_path_factory.mktemp("any-suffix"), "--param=anySuffix=true", wheels=False)


@pytest.fixture(scope="session")
def with_any_suffix_by_rule(tmp_path_factory: pytest.TempPathFactory) -> Package:
    parameters = ("--param=anySuffix=true", "--param=delivery=eventbridge")
    return package(tmp_path_factory.mktemp("any-suffix-rule"), *parameters, wheels=False)


@pytest.fixture(scope="session")
def with_any_suffix_and_buffer(tmp_path_factory: pytest.TempPathFactory) -> Package:
    parameters = ("--param=anySuffix=true", "--param=buffer=sqs")
    return package(tmp_path_factory.mktemp("any-suffix-buffer"), *parameters, wheels=False)


@pytest.fixture(scope="session")
def with_everything_between(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """An existing bucket of another account, whose uploads come by EventBridge and wait in a buffer."""
    parameters = (
        *("delivery=eventbridge", "buffer=sqs", "existingSourceBucket=my-uploads", "sourceAccount=111122223333"),
        f"alarmTopic={ALARM_TOPIC}",
    )
    folder = tmp_path_factory.mktemp("everything-between")
    return package(folder, *(f"--param={parameter}" for parameter in parameters), wheels=False)


@pytest.fixture(scope="session")
def with_removals(tmp_path_factory: pytest.TempPathFactory) -> Package:
    shipped = (ROOT / "renditions.toml").read_text(encoding="utf-8")
    recipe = 'on_source_delete = "remove"\n' + shipped
    return package(tmp_path_factory.mktemp("removals"), wheels=False, renditions=recipe)


@pytest.fixture(scope="session")
def with_everything(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("hashes")
    return package(folder, "--param=batchOperations=true", wheels=False, renditions=HASHES_AND_EVENTS)


@pytest.fixture(scope="session")
def with_a_reader(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A distribution reads renditions whose patterns could match more than them."""
    folder = tmp_path_factory.mktemp("reader")
    return package(folder, f"--param=distribution={DISTRIBUTION}", wheels=False, renditions=READER_RENDITIONS)


@pytest.fixture(scope="session")
def with_a_distribution(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(tmp_path_factory.mktemp("distribution"), f"--param=distribution={DISTRIBUTION}", wheels=False)


@pytest.fixture(scope="session")
def with_copies_read(tmp_path_factory: pytest.TempPathFactory) -> Package:
    parameters = (f"--param=distribution={DISTRIBUTION}", "--param=distributionReadsCopies=true")
    return package(tmp_path_factory.mktemp("copies-read"), *parameters, wheels=False)


@pytest.fixture(scope="session")
def with_a_cdn(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The stack's own distribution, without a name of ours and for pictures only."""
    return package(tmp_path_factory.mktemp("cdn"), "--param=cdn=true", wheels=False)


@pytest.fixture(scope="session")
def with_pages(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The stack's own distribution with a name, next to a given one; pages upload, and read manifests."""
    parameters = (
        *("cdn=true", "cdnDomain=images.example.com", f"cdnCertificate={CERTIFICATE}", f"distribution={DISTRIBUTION}"),
        *(f"corsOrigins={ORIGINS}", f"uploadOrigins={ORIGINS}"),
    )
    folder = tmp_path_factory.mktemp("pages")
    return package(folder, *(f"--param={parameter}" for parameter in parameters), wheels=False)


@pytest.fixture(scope="session")
def with_own_settings(tmp_path_factory: pytest.TempPathFactory) -> Package:
    parameters = (
        *("reservedConcurrency=20", "memorySize=3538", "timeout=120", "logRetentionInDays=7"),
        *(f"alarmTopic={ALARM_TOPIC}", f"distribution={DISTRIBUTION}", f"corsOrigins={ORIGINS}"),
        *(f"destinationKmsKey={DESTINATION_KEY}", "keepReplacedDays=3"),
    )
    return package(
        tmp_path_factory.mktemp("settings"),
        "--stage=prod",
        *(f"--param={parameter}" for parameter in parameters),
        wheels=False,
        renditions=OWN_RENDITIONS,
    )
