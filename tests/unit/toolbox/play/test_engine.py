"""The processes that render: one that hangs or dies is replaced, and none is left behind."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import drawing
from toolbox.play.engine import Engine
from toolbox.play.session import Session

SLOW = '[renditions.slow]\nwidth = 1200\nformat = "avif"\neffort = 9\n'
FAST = '[renditions.fast]\nwidth = 50\nformat = "webp"\n'


def session(folder: Path, engine: Engine, recipe: str, *keys: str) -> Session:
    file, made = folder / "renditions.toml", folder / "made"
    file.write_text(recipe)
    made.mkdir()
    found = Session(file, made, engine)
    for key in keys:
        path = folder / key
        path.write_bytes(drawing.jpeg(drawing.photo()))
        found.add(key, path, is_temporary=False)
    return found


def run(engine: Engine, work: Callable[[], Awaitable[Session]]) -> dict[str, dict[str, object]]:
    """Run the engine until the session of `work` is idle; return the first cell of each picture."""

    async def both() -> dict[str, dict[str, object]]:
        found = await work()
        task = asyncio.create_task(engine.run(found.schedule.next_job, found.schedule.end))
        try:
            async with asyncio.timeout(60):
                while not found.schedule.is_idle:
                    await found.feed.next_change()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert engine.process_ids == []
        events = [found.picture_event(picture) for picture in found.pictures]
        return {event["key"]: next(iter(event["cells"].values())) for event in events}

    return asyncio.run(both())


@pytest.mark.slow
def test_a_picture_that_takes_too_long_is_given_up_and_the_next_one_rendered(tmp_path: Path) -> None:
    engine = Engine(1, max_seconds=12)  # in which a busy machine starts a process and renders a small picture

    async def work() -> Session:
        found = session(tmp_path, engine, FAST, "a.jpg", "b.jpg")
        asyncio.get_running_loop().call_soon(stop)
        return found

    def stop() -> None:
        """Stop the first process as soon as it works: it hangs."""
        for process in engine.process_ids:
            os.kill(process, signal.SIGSTOP)
        if not engine.process_ids:
            asyncio.get_running_loop().call_later(0.001, stop)

    cells = run(engine, work)
    assert cells["a.jpg"] == {"status": "failed", "text": "it was not finished after 12 seconds, and was ended"}
    assert cells["b.jpg"]["status"] == "made"


def test_an_edit_cancels_what_is_no_longer_wanted(tmp_path: Path) -> None:
    engine = Engine(1)

    async def work() -> Session:
        found = session(tmp_path, engine, SLOW, "a.jpg")
        found.recipe.saved = None
        asyncio.get_running_loop().call_soon(edit, found)
        return found

    def edit(found: Session) -> None:
        if engine.process_ids:
            found.edit(FAST)
        else:
            asyncio.get_running_loop().call_later(0.001, edit, found)

    assert run(engine, work)["a.jpg"]["status"] == "made"


@pytest.mark.parametrize("name", ["a.jpg"])
def test_a_file_that_vanishes_is_rejected_with_the_reason(tmp_path: Path, name: str) -> None:
    engine = Engine(1)

    async def work() -> Session:
        found = session(tmp_path, engine, FAST, name)
        (tmp_path / name).unlink()
        return found

    assert run(engine, work)[name] == {
        "status": "rejected",
        "text": "cannot read the file: No such file or directory",
    }
