"""Deadline: how long the function may still run."""

from collections.abc import Callable, Iterable

from image_scaler.exceptions import DeadlineExceededError

SHUTDOWN_MARGIN = 5.0
"""Seconds before the function's deadline after which nothing new is begun, so that it ends by itself."""

SEARCH_MARGIN = 20.0
"""Seconds before the deadline after which no other encoding is tried: the rest has to be encoded once, and stored."""


class Deadline:
    """The time at which the function is stopped."""

    def __init__(self, seconds_left: Callable[[], float] = lambda: 900.0) -> None:
        """`seconds_left` returns how long the function may still run."""
        self._seconds_left = seconds_left

    def has_time(self) -> bool:
        """Return whether there is time to look for a better encoding."""
        return self._seconds_left() >= SEARCH_MARGIN

    def check(self, remaining: Iterable[str]) -> None:
        """Raise DeadlineExceededError if renditions of these names remain and the deadline is near."""
        if self._seconds_left() < SHUTDOWN_MARGIN and (names := ", ".join(remaining)):
            raise DeadlineExceededError(
                f"cannot make {names}: the function's time is over; raise timeout or memorySize"
            )


NO_DEADLINE = Deadline()
