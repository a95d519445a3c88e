"""Copies one object with our store: `copy_ours.py SOURCE_BUCKET DESTINATION_BUCKET KEY SIZE`; `-` only starts."""

import json
import sys
import time

from image_scaler.storage.base import ObjectRef
from image_scaler.storage.s3 import S3Store


def main() -> None:
    """Print the wall time of the copy in milliseconds."""
    source, destination, key, size = sys.argv[1:]
    store = S3Store()
    if source == "-":
        return
    started = time.perf_counter()
    ref = ObjectRef(source, key)
    head = store.head(ref)  # as the function does for an upload that is only copied
    store.copy(ref, ObjectRef(destination, key), head.headers, if_match=head.etag, size=int(size))
    sys.stdout.write(json.dumps({"wall_ms": (time.perf_counter() - started) * 1000}))


if __name__ == "__main__":
    main()
