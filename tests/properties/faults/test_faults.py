"""Whatever goes wrong between the function and AWS: every upload ends with its renditions or a failure record.

A matrix of fault x operation x moment. Each case replaces a source whose renditions are there (what is written to a
new key is a case of its own), so that what is half written would be seen: each rendition must be, byte for byte, the
older one or the newer one.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.properties.faults.proxy import Fault, Proxy, Request
from tests.properties.faults.uploads import LAST_COPY, LAST_OF_LADDER, NEW, NO_IMAGE, OLD, Objects, Uploads

OPERATIONS = ("GetObject", "HeadObject", "PutObject", "CopyObject", "SendMessage")
ABOUT_ONE_RENDITION = {"HeadObject": LAST_OF_LADDER, "PutObject": LAST_OF_LADDER, "CopyObject": LAST_COPY}

Picks = Callable[[Uploads, Request], bool]

FIRST_REQUEST, FIRST_TRY, LAST_RENDITION, EVERY_REQUEST = (
    "the first request",
    "every request of the first try",
    "every request about the last rendition",
    "every request",
)
MOMENTS: dict[str, Picks] = {
    FIRST_REQUEST: lambda uploads, request: request.number == 1,
    FIRST_TRY: lambda uploads, request: uploads.tries == 1,
    LAST_RENDITION: lambda uploads, request: f"/{ABOUT_ONE_RENDITION[request.operation]}/" in request.path,
    EVERY_REQUEST: lambda uploads, request: True,
}


def cases() -> Iterator[object]:
    for fault in Fault:
        for operation in OPERATIONS:
            for moment in MOMENTS:
                if fault is Fault.FAILED_AS_200 and operation != "CopyObject":
                    continue  # only a copy begins its answer before it knows how it ends
                if fault is Fault.CORRUPTED and operation == "HeadObject":
                    continue  # has no body either way
                if moment == LAST_RENDITION and operation not in ABOUT_ONE_RENDITION:
                    continue
                yield pytest.param(fault, operation, moment, id=f"{fault.value}, {operation}, {moment}")


@pytest.fixture(scope="module")
def older(uploads: Uploads) -> Objects:
    return uploads.undisturbed("undisturbed/older.png", OLD, "01")


@pytest.fixture(scope="module")
def newer(uploads: Uploads) -> Objects:
    return uploads.undisturbed("undisturbed/newer.png", NEW, "02")


@pytest.mark.parametrize(("fault", "operation", "moment"), list(cases()))
def test_an_upload_ends_with_its_renditions_or_a_failure_record(
    uploads: Uploads,
    proxy: Proxy,
    older: Objects,
    newer: Objects,
    request: pytest.FixtureRequest,
    fault: Fault,
    operation: str,
    moment: str,
) -> None:
    key = f"{request.node.callspec.id}.png"
    expected = {} if operation == "SendMessage" else newer
    before = {}
    if operation != "SendMessage":
        before = older
        uploads.deliver(uploads.upload(key, OLD, "01"))
    event = uploads.upload(key, NO_IMAGE if operation == "SendMessage" else NEW, "02")

    with proxy.disturbing(fault, lambda r: r.operation == operation and MOMENTS[moment](uploads, r)):
        uploads.deliver(event, client_tries=3 if moment == FIRST_REQUEST else 1)

    assert proxy.disturbed
    found, records = uploads.renditions(key), uploads.take_records()
    for name, rendition in found.items():
        assert rendition in (before.get(name), expected.get(name)), f"{name} is neither the older nor the newer one"
    assert found == expected or records
    if operation == "SendMessage":
        assert {record["requestPayload"] == event for record in records} == {True}
    elif moment in (FIRST_REQUEST, FIRST_TRY):
        assert records == []
    for record in records:  # what a redrive does, when all is well again
        uploads.deliver(record["requestPayload"])
    assert uploads.renditions(key) == expected
    uploads.take_records()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault is not Fault.FAILED_AS_200], ids=lambda fault: fault.value
)
def test_the_first_upload_of_a_key_ends_with_its_renditions_or_a_failure_record(
    uploads: Uploads, proxy: Proxy, newer: Objects, request: pytest.FixtureRequest, fault: Fault, moment: str
) -> None:
    key = f"new, {request.node.callspec.id}.png"
    event = uploads.upload(key, NEW, "02")

    with proxy.disturbing(fault, lambda r: r.operation == "PutObject" and MOMENTS[moment](uploads, r)):
        uploads.deliver(event, client_tries=3 if moment == FIRST_REQUEST else 1)

    assert proxy.disturbed
    found, records = uploads.renditions(key), uploads.take_records()
    assert found.items() <= newer.items()
    assert found == newer or [record["requestPayload"] for record in records] == [event]
    for record in records:
        uploads.deliver(record["requestPayload"])
    assert uploads.renditions(key) == newer
