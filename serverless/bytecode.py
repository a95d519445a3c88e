"""Compile the package for Lambda: bytecode.py FOLDER, the folder with the installed requirements.

Lambda's file system is read-only: without bytecode in the zip, Python compiles every module at each cold start. Runs in
a Python of the runtime's version, and needs nothing installed.
"""

import py_compile
import sys
from collections.abc import Iterable
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASK = Path("/var/task")
"""The folder of the function in Lambda, which tracebacks name."""


def write_bytecode(sources: Iterable[Path], base: Path, target: Path) -> None:
    """Compile sources in the folder `base` into the same places in the folder `target`.

    The same sources in other folders give the same bytes: no file contains a time or a path of this machine.
    """
    for source in sorted(sources):
        place = source.relative_to(base)
        py_compile.compile(
            str(source),
            cfile=cache_from_source(str(target / place)),
            dfile=str(TASK / place),
            doraise=True,
            # The source is not even looked at: both are in the same zip.
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def main() -> None:
    """Compile the requirements and the engine.

    Not handler.py: serverless-python-requirements leaves out the top-level __pycache__, and it takes less than 1 ms.
    """
    [folder] = map(Path, sys.argv[1:])
    write_bytecode(folder.rglob("*.py"), folder, folder)
    write_bytecode((ROOT / "image_scaler").rglob("*.py"), ROOT, folder)


if __name__ == "__main__":
    main()
