"""The Python that installs the requirements into the zip also compiles them, if it can."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.packaging.packages import ROOT

THIS_VERSION = "{}.{}".format(*sys.version_info)
ENGINE = {path.relative_to(ROOT) for path in (ROOT / "image_scaler").rglob("*.py")}

OUTDATED = """
import sys
from importlib.util import MAGIC_NUMBER, source_from_cache, source_hash
from pathlib import Path
for path in Path(sys.argv[1]).rglob("*.pyc"):
    source = sys.argv[2] / Path(source_from_cache(path)).relative_to(sys.argv[1])
    if path.read_bytes()[:16] != MAGIC_NUMBER + b"\\1\\0\\0\\0" + source_hash(source.read_bytes()):
        print(path)
"""
"""Prints the bytecode that is not an unchecked hash (PEP 552) of its source, or not of the running Python."""


def outdated(python: str | Path, folder: Path, sources: Path, **env: str) -> str:
    command = [python, "-c", OUTDATED, folder, sources]
    return subprocess.run(command, env=env or None, capture_output=True, text=True, check=True).stdout


def install(folder: Path, *arguments: str) -> dict[Path, bytes]:
    """Install nothing into a folder, as serverless-python-requirements does; return the bytecode that it then has."""
    folder.mkdir(parents=True)
    requirements = folder / "requirements.txt"
    requirements.write_text("# none\n")
    command = [ROOT / "serverless" / "python", "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, *arguments, "-t", folder, "-r", requirements], check=True, capture_output=True)
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.pyc")}


def for_version(version: str) -> tuple[str, ...]:
    return ("--only-binary=:all:", "--python-version", version)


def test_the_engine_is_compiled_if_this_machine_has_the_runtimes_version(tmp_path: Path) -> None:
    compiled = install(tmp_path / "package", *for_version(THIS_VERSION))
    cache = f"__pycache__/{{}}.{sys.implementation.cache_tag}.pyc"
    assert compiled.keys() == {module.parent / cache.format(module.stem) for module in ENGINE}
    assert outdated(sys.executable, tmp_path / "package", ROOT) == ""


def test_bytecode_names_the_files_in_lambda_and_is_the_same_in_another_folder(tmp_path: Path) -> None:
    compiled = install(tmp_path / "package", *for_version(THIS_VERSION))
    assert install(tmp_path / "in" / "another-folder", *for_version(THIS_VERSION)) == compiled
    assert all(b"/var/task/image_scaler/" in body for body in compiled.values())
    assert not any(str(ROOT).encode() in body or str(tmp_path).encode() in body for body in compiled.values())


@pytest.mark.parametrize("arguments", [(), for_version("3.99")], ids=["no version is asked for", "no Python has it"])
def test_nothing_is_compiled_for_another_version(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert install(tmp_path / "package", *arguments) == {}


def test_a_failed_installation_fails(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        install(tmp_path / "package", *for_version(THIS_VERSION), "--no-such-option")
    assert not (tmp_path / "package" / "image_scaler").exists()
