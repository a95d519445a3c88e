"""`image-scaler play`: see the renditions of your pictures in a browser, and tune renditions.toml."""

from collections.abc import Sequence
from pathlib import Path

from image_scaler.text import plural
from toolbox.console import out
from toolbox.play.report import write_report
from toolbox.play.server import serve
from toolbox.processes import signals_as_exit
from toolbox.source_files import source_files


def play(paths: Sequence[Path], renditions: Path, port: int, html: Path | None) -> int:
    """Serve the page until Ctrl-C, or write it to the file `html`; return the exit code.

    Raises InputError or ConfigError if that is not possible.
    """
    files = source_files(paths)
    with signals_as_exit():
        if html:
            write_report(html, files, renditions)
            out.print(f"{html}: {plural(len(files), 'picture')}")
        else:
            serve(files, renditions, port, lambda address: print(address, flush=True))  # noqa: T201
    return 0
