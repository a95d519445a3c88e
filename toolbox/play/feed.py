"""What the browsers are told: everything at first, then what changes."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Event = Mapping[str, Any]

MAX_EVENTS = 20_000
"""Events that wait for one browser."""
END: Event = {"event": "end"}
"""The last event of a stream."""


class Feed:
    """Sends events to all browsers that listen."""

    def __init__(self, everything: Callable[[], Iterable[Event]], picture_event: Callable[[str], Event | None]) -> None:
        """`everything` returns what a new browser needs; `picture_event` the event of a picture, None if it is gone."""
        self._everything = everything
        self._picture_event = picture_event
        self._subscribers: set[asyncio.Queue[Event]] = set()
        self._changed: set[str] = set()
        self._flushing: asyncio.TimerHandle | None = None

    @contextmanager
    def subscribe(self) -> Iterator["asyncio.Queue[Event]"]:
        """Yield a queue of events: everything at first, then what changes."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        for event in self._everything():
            events.put_nowait(event)
        self._subscribers.add(events)
        try:
            yield events
        finally:
            self._subscribers.discard(events)

    def tell(self, event: Event) -> None:
        """Send an event to every browser."""
        for events in list(self._subscribers):
            if events.qsize() < MAX_EVENTS:
                events.put_nowait(event)
            else:  # a browser that does not read: it gets everything when it connects again
                self._subscribers.discard(events)
                events.put_nowait(END)

    def tell_of(self, id_: str) -> None:
        """Send a picture, soon: several changes of one picture become one event."""
        self._changed.add(id_)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(0.02, self._flush)

    async def next_change(self) -> None:
        """Wait until something has changed."""
        with self.subscribe() as events:
            while events.qsize():
                events.get_nowait()  # what is known already
            await events.get()

    def _flush(self) -> None:
        self._flushing = None
        changed, self._changed = self._changed, set()
        for id_ in changed:
            if event := self._picture_event(id_):
                self.tell(event)
