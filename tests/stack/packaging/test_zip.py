"""The zip: what Lambda gets of us, and nothing else."""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, version
from io import BytesIO
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from image_scaler.recipe_file import load_recipe
from tests.stack.packaging.packages import ROOT, Package, package
from tests.stack.packaging.test_bytecode import outdated
from tests.support.drawing import png, quadrants
from toolbox.local.aws import LocalAws

MACHINES = {"arm64": 183, "x86_64": 62}
"""ELF's e_machine, by Lambda's name of the architecture."""

PROGRAM = """
import json, sys
import boto3
sys.path.insert(0, sys.argv[1])
import handler, pyvips
answer = handler.lambda_handler(json.loads(sys.argv[2]), None)
print(json.dumps({"answer": answer["statusCode"], "pyvips": pyvips.__file__, "compiled": pyvips.API_mode}))
"""
"""Does with an event what Lambda does; the last line that it prints is its answer."""

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "python-dateutil", "six")
"""The packages in Lambda's runtime."""


@pytest.fixture(params=[*MACHINES, "python314"])
def built(request: pytest.FixtureRequest) -> Package:
    package: Package = request.getfixturevalue(request.param)
    return package


def native_files(package: Package) -> list[str]:
    return [name for name, body in package.files.items() if body.startswith(b"\x7fELF") or ".so" in Path(name).name]


def test_every_native_file_is_for_the_machine_that_runs_the_function(built: Package) -> None:
    [architecture] = built.properties("ResizeLambdaFunction")["Architectures"]
    machines = {name: struct.unpack_from("<H", built.files[name], 18)[0] for name in native_files(built)}
    assert machines
    assert set(machines.values()) == {MACHINES[architecture]}, machines


def test_the_only_native_files_are_those_of_known_packages(built: Package) -> None:
    assert {re.split(r"(?<=/)|\.", name)[0] for name in native_files(built)} == {
        "_cffi_backend",
        "_libvips",
        "_pillow_heif",
        "msgspec/",
        "PIL/",
        "pillow",  # pillow.libs
        "pillow_heif",
        "pyvips_binary",
    }


def test_libvips_comes_from_its_wheel_and_pyvips_has_no_module_compiled_here(built: Package) -> None:
    # Where libvips' headers are installed, pyvips would compile a module for the machine that packages.
    (wheel,) = (body.decode() for name, body in built.files.items() if re.match(r"pyvips-.*/WHEEL$", name))
    assert "Tag: py3-none-any" in wheel
    assert [name for name in native_files(built) if "vips" in name and not name.startswith("pyvips_binary.libs/")] == [
        "_libvips.abi3.so"
    ]


def test_modules_for_one_version_of_python_are_for_that_of_the_function(built: Package) -> None:
    runtime = built.properties("ResizeLambdaFunction")["Runtime"]
    versions = {version for name in native_files(built) for version in re.findall(r"cpython-(\d+)", name)}
    assert {f"python{version[0]}.{version[1:]}" for version in versions} == {runtime}


def test_it_is_for_the_runtime_that_the_parameter_asks_for(arm64: Package, python314: Package) -> None:
    runtimes = [package.properties("ResizeLambdaFunction")["Runtime"] for package in (arm64, python314)]
    assert runtimes == ["python3.13", "python3.14"]


def test_it_has_the_handler_the_renditions_and_every_module_of_the_engine(built: Package) -> None:
    engine = {path.relative_to(ROOT).as_posix() for path in (ROOT / "image_scaler").rglob("*.py")}
    for name in {"handler.py", "renditions.toml"} | engine:
        assert built.files[name] == (ROOT / name).read_bytes(), name


def test_it_has_the_images_of_overlays(tmp_path: Path) -> None:
    logo = png(quadrants(40, 20))
    assert package(tmp_path, wheels=False, overlay=logo).files["overlays/shop/logo.png"] == logo


def test_it_has_only_the_engine_and_the_locked_packages(built: Package) -> None:
    installed = {
        *("cffi", "_cffi_backend.so", "msgspec", "pycparser", "pyvips", "_libvips.so", "pyvips_binary.libs"),
        *("PIL", "pillow.libs", "pillow_heif", "pillow_heif.libs", "_pillow_heif.so"),
    }
    names = {
        *("cffi", "msgspec", "pillow", "pillow_heif", "pycparser", "pyvips", "pyvips_binary"),
    }
    described = {f"{name}-{version(name)}.dist-info" for name in names}
    ours = {"handler.py", "renditions.toml", "image_scaler", "requirements.txt"}
    top = {re.sub(r"\.(cpython-.*|abi3)\.so$", ".so", name.split("/")[0]) for name in built.files}
    assert top == ours | installed | described


def test_it_leaves_boto3_to_lambdas_own(built: Package) -> None:
    found = {name for name in built.files if re.match(r"(boto3|botocore|s3transfer|urllib3|jmespath|dateutil)\b", name)}
    assert found == set()


def test_it_has_bytecode_of_every_module_if_this_machine_has_the_runtimes_python(
    built: Package, tmp_path: Path
) -> None:
    found = {name for name in built.files if "__pycache__" in name or name.endswith(".pyc")}
    python = python_of_runtime(built)
    if python is None:
        assert found == set()
        return
    tag = built.properties("ResizeLambdaFunction")["Runtime"].replace("python", "cpython-").replace(".", "")
    # The handler is small; serverless-python-requirements leaves out its folder.
    modules = {Path(name) for name in built.files if name.endswith(".py")} - {Path("handler.py")}
    assert found == {str(module.parent / "__pycache__" / f"{module.stem}.{tag}.pyc") for module in modules}
    unzip(built, tmp_path)
    assert outdated(python, tmp_path, tmp_path, **pyenv(built)) == ""


def test_it_has_no_tests_or_tools(built: Package) -> None:
    unwanted = re.compile(r"(^|/)tests?/|^bin/|^toolbox/|^bench/|^node_modules/|\.lock$")
    assert [name for name in built.files if unwanted.search(name)] == []


def test_it_is_small_enough_to_start_fast(built: Package) -> None:
    assert built.zip_path.stat().st_size < 25_000_000
    assert sum(map(len, built.files.values())) < 80_000_000


def test_building_it_twice_gives_the_same_bytes(arm64: Package, arm64_again: Package) -> None:
    digests = {hashlib.sha256(package.zip_path.read_bytes()).hexdigest() for package in (arm64, arm64_again)}
    assert len(digests) == 1


def test_it_runs_with_boto3_as_the_only_other_package(local: Package, bare_aws: LocalAws, tmp_path: Path) -> None:
    assert_it_makes_renditions(local, sys.executable, bare_aws, tmp_path)


def test_it_runs_on_lambdas_version_of_python(runnable_here: Package, bare_aws: LocalAws, tmp_path: Path) -> None:
    python = python_of_runtime(runnable_here)
    if python is None:
        pytest.skip("the runtime's Python is not installed; the package for this machine's own Python is tested anyway")
    assert_it_makes_renditions(runnable_here, python, bare_aws, tmp_path)


def pyenv(package: Package) -> dict[str, str]:
    """Return an environment that selects the function's version if its Python is a shim of pyenv."""
    version = package.properties("ResizeLambdaFunction")["Runtime"].removeprefix("python")
    return {"PATH": os.environ["PATH"], "PYENV_VERSION": version}


def python_of_runtime(package: Package) -> str | None:
    """Return a Python of the function's version; None if this machine has none."""
    version = package.properties("ResizeLambdaFunction")["Runtime"].removeprefix("python")
    for name in (f"python{version}", "python3", sys.executable):
        path = shutil.which(name)
        if path:
            run = subprocess.run([path, "-V"], env=pyenv(package), capture_output=True, text=True, check=False)
            if run.stdout.startswith(f"Python {version}."):
                return path
    return None


def unzip(package: Package, folder: Path) -> None:
    with zipfile.ZipFile(package.zip_path) as archive:
        archive.extractall(folder)


@pytest.fixture
def bare_aws() -> Iterator[LocalAws]:
    """A local AWS with nothing in it but two buckets."""
    with LocalAws.launch() as aws:
        for bucket in ("source", "destination"):
            aws.client("s3").create_bucket(Bucket=bucket)
        yield aws


def assert_it_makes_renditions(package: Package, python: str, aws: LocalAws, folder: Path) -> None:
    """Run the unzipped package next to boto3 in a process that can import no other package.

    Modules with bytecode lose their source: they must work without being compiled again.
    """
    task, runtime = folder / "task", folder / "runtime"
    unzip(package, task)
    for compiled in task.rglob("*.pyc"):
        source = compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"
        source.write_text("raise ImportError('this module was compiled again')")
    runtime.mkdir()
    for name in RUNTIME_PACKAGES:
        module = name.removeprefix("python-") + (".py" if name == "six" else "")
        (runtime / module).symlink_to(str(distribution(name).locate_file(module)))
    s3, keys = aws.client("s3"), ["a.png", "b.heic"]
    s3.put_object(Bucket="source", Key="a.png", Body=png())
    s3.put_object(Bucket="source", Key="b.heic", Body=heic())
    run = subprocess.run(
        [python, "-S", "-c", PROGRAM, str(task), json.dumps({"bucket": "source", "keys": keys})],
        env=pyenv(package) | aws.env | {"PYTHONPATH": str(runtime), "DESTINATION_BUCKET": "destination"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    expected = {"answer": 200, "pyvips": str(task / "pyvips" / "__init__.py"), "compiled": True}
    *told, answered = map(json.loads, run.stdout.splitlines())
    assert answered == expected, run.stderr
    assert [line["source"]["key"] for line in told if "source" in line] == keys
    assert sum("_aws" in line for line in told) == len(keys)
    written = {entry["Key"] for entry in s3.list_objects_v2(Bucket="destination")["Contents"]}
    recipe = load_recipe(ROOT / "renditions.toml")
    assert written >= {destination_key for key in keys for destination_key in recipe.plan_for(key).keys}


def heic() -> bytes:
    buffer = BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (320, 200), "red")).save(buffer)
    return buffer.getvalue()
