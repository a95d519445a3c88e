"""Conditions that moto does not know, on the local AWS."""

import pytest

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError
from image_scaler.storage.base import ObjectRef
from image_scaler.storage.s3 import S3Store
from tests.support.stores import AS_JPEG
from toolbox.local.aws import LocalAws


def test_copy_of_an_object_that_has_changed_fails_its_precondition_and_writes_nothing(local_aws: LocalAws) -> None:
    client = local_aws.client("s3")
    client.create_bucket(Bucket="conditions")
    store = S3Store(client)
    source, copied = ObjectRef("conditions", "a.jpg"), ObjectRef("conditions", "resized/a.jpg")
    old = store.put(source, b"old", AS_JPEG)
    new = store.put(source, b"new", AS_JPEG)
    with pytest.raises(PreconditionFailedError):
        store.copy(source, copied, AS_JPEG, if_match=old, size=3, overwrites=None)
    with pytest.raises(ObjectNotFoundError):
        store.head(copied)
    store.copy(source, copied, AS_JPEG, if_match=new, size=3, overwrites=None)
    assert store.head(copied).etag == new
