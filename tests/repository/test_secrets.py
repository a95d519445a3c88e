"""Nothing in the repository is a secret, and nothing tells whose account it was tried on."""

import re
import subprocess

import pytest

from tests import ROOT

EXAMPLE_ACCOUNT = "123456789012"
"""AWS's own, of its documentation."""

PATTERNS = {
    "an access key": r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b",
    "a secret key": r"(?i)aws_?secret_?(?:access_?)?key['\"]?\s*[:=]\s*['\"]?[A-Za-z0-9/+]{40}\b",
    "a private key": "-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
    "a token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|xox[abp]-[A-Za-z0-9-]{20,}|npm_[A-Za-z0-9]{36})\b",
    "a password in an address": r"\b[a-z+]+://[^\s/:@{}$<>'\"]+:[^\s/:@{}$<>'\"]+@",
    "an account": rf"\b(?:arn:aws[\w-]*:[\w-]*:[\w-]*:|queue/|amazonaws\.com/|-)(?!{EXAMPLE_ACCOUNT})\d{{12}}\b",
}


def texts() -> dict[str, str]:
    """Every text file of the repository, by its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git repository")
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            body = path.read_bytes()
            if b"\0" not in body:
                found[name] = body.decode(errors="replace")
    return found


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_no_file_holds(pattern: str) -> None:
    hits = {
        f"{name}:{text[: match.start()].count(chr(10)) + 1}"
        for name, text in texts().items()
        for match in re.finditer(pattern, text)
    }
    assert hits == set()


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("an access key", "AKIA" + "IOSFODNN7EXAMPLE"),
        ("a private key", "-----BEGIN RSA PRIVATE" + " KEY-----"),
        ("an account", "arn:aws:iam::" + "210987654321" + ":role/x"),
        ("a password in an address", "https://me:" + "secret@example.com/"),
        ("a secret key", "aws_secret_access_key = " + "x" * 40),
    ],
)
def test_the_patterns_find(what: str, text: str) -> None:
    assert re.search(PATTERNS[what], text)
