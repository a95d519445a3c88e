"""Copies one object by reading and writing it: `copy_get_put.py SOURCE_BUCKET DESTINATION_BUCKET KEY SIZE`."""

import json
import sys
import time

import boto3


def main() -> None:
    """Print the wall time of the copy in milliseconds; with `-` for SOURCE_BUCKET it only starts."""
    source, destination, key, _ = sys.argv[1:]
    client = boto3.client("s3")
    if source == "-":
        return
    started = time.perf_counter()
    answer = client.get_object(Bucket=source, Key=key)
    client.put_object(Bucket=destination, Key=key, Body=answer["Body"].read(), ContentType=answer["ContentType"])
    sys.stdout.write(json.dumps({"wall_ms": (time.perf_counter() - started) * 1000}))


if __name__ == "__main__":
    main()
