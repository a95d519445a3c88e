"""The tests that use S3, with the oldest SDK that the function accepts: python -m tests.stack.oldest_sdk FOLDER.

`make test` installs that SDK into the folder, and tests/stack/test_oldest_sdk.py runs this. It hides the SDK of this
Python, in this process only.
"""

import sys
from importlib import import_module
from pathlib import Path

import pytest

TESTS = ("tests/unit/storage/test_stores.py", "tests/unit/test_handler.py", "tests/properties/faults")
ONE_MOMENT = "not test_an_upload_ends_with_its_renditions_or_a_failure_record or (first and not try)"
"""Of the faults those in the first request; all of them take a minute."""
OLD_CALL = "ignore:datetime.datetime.utcnow:DeprecationWarning"
"""Old SDKs call it, and Python 3.12 and later warn of it."""


def main(folder: Path) -> int:
    """Run the tests; return 1 if one fails, or if the SDK is not the one of the folder."""
    sys.path.insert(0, str(folder.resolve()))
    sdk = import_module("image_scaler.storage.sdk")
    for name in ("boto3", "botocore"):
        module = import_module(name)
        if not Path(str(module.__file__)).is_relative_to(folder.resolve()) or module.__version__ != sdk.MIN_VERSION:
            sys.stderr.write(f"cannot test {name} {sdk.MIN_VERSION}: {folder} has {module.__version__}, or none\n")
            return 1
    sys.stdout.write(f"boto3 {sdk.MIN_VERSION}\n")
    return pytest.main(["-q", "-p", "no:cacheprovider", "-W", OLD_CALL, "-k", ONE_MOMENT, *TESTS])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
