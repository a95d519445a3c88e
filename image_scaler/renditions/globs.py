"""Which keys a pattern means: `**` spans folders, `*` and `?` stay within one."""

import re
from collections.abc import Iterable

_FOLDERS, _WITHIN_FOLDERS, _ANYTHING, _NAME, _CHARACTER = "**/", "**/...", "**", "*", "?"


class Glob:
    """A pattern of keys, like `avatars/**/*.jpg`.

    Keys come from strangers. A regular expression would try each place of each star with each of the others, for
    minutes; here all are followed at once, so that the time grows with the key's length times the pattern's.
    """

    def __init__(self, pattern: str) -> None:
        self._steps: list[str] = []
        for step in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]", pattern, re.DOTALL):
            self._steps += [_FOLDERS, _WITHIN_FOLDERS] if step == _FOLDERS else [step]

    def matches(self, key: str) -> bool:
        """Return whether it means this key, from its first character to its last."""
        places = self._with_empty_steps({0})
        for character in key:
            places = self._with_empty_steps(after for place in places for after in self._after(place, character))
        return len(self._steps) in places

    def _with_empty_steps(self, places: Iterable[int]) -> set[int]:
        """Return the places, and those that are reached from there without a character."""
        found, new = set(), list(places)
        while new:
            place = new.pop()
            if place in found:
                continue
            found.add(place)
            step = self._steps[place] if place < len(self._steps) else ""
            if step in (_ANYTHING, _NAME):
                new.append(place + 1)
            elif step == _FOLDERS:  # none, or some
                new += [place + 1, place + 2]
        return found

    def _after(self, place: int, character: str) -> Iterable[int]:
        """Yield where one is after a character."""
        step = self._steps[place] if place < len(self._steps) else ""
        if step in (_ANYTHING, _WITHIN_FOLDERS) or (step == _NAME and character != "/"):
            yield place
        if (
            step == character
            or (step == _CHARACTER and character != "/")
            or (step == _WITHIN_FOLDERS and character == "/")
        ):
            yield place + 1
