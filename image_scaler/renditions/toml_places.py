"""The lines and columns of mistakes in renditions.toml."""

import re
import tomllib
from collections.abc import Sequence

from image_scaler.exceptions import ConfigError, Field

_WORD = re.compile(
    r'#[^\n]*|("""(?:\\.|[^\\])*?"{3,5}|\'{3}.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'|[\w+:-]+|[\[\]{}=,\n])', re.DOTALL
)
"""A comment, or in a group: a text, a key or a value without quotes, or a sign. Dots and blanks are between them."""


def place_of_syntax_error(error: Exception, text: str) -> tuple[int, int]:
    """Return the line and the column that tomllib has only in its sentence before Python 3.14."""
    if at := re.search(r"\(at line (\d+), column (\d+)\)\Z", str(error)):
        return int(at[1]), int(at[2])
    return (text.count("\n") + 1, len(text) - text.rfind("\n")) if str(error).endswith("of document)") else (1, 1)


def locate(mistakes: Sequence[ConfigError], text: str, name: str) -> Sequence[ConfigError]:
    """Return the first mistake of each field, with its line and column, in the order of the text.

    The place of a field that is missing is that of its table.
    """
    places = find_places(text)
    located: dict[Field, ConfigError] = {}
    for mistake in mistakes:
        field = mistake.field
        while field not in places:
            field = field[:-1]
        offset = places[field]
        mistake.at(name, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))
        located.setdefault(mistake.field, mistake)
    return sorted(located.values(), key=lambda mistake: (mistake.line, mistake.column))


def find_places(text: str) -> dict[Field, int]:
    """Return the offset of each field, table and list item in a text that is valid TOML.

    In `[a]` and `b = [5, 6]` on two lines, `("a", "b", 1)` is the 6.
    """
    places: dict[Field, int] = {(): 0}
    counts: dict[Field, int] = {}
    """How many tables of each `[[name]]` there were before the current one."""
    opened: list[Field] = []
    """The lists and inline tables around a word."""
    path: Field = ()
    table: Field = ()
    is_key, brackets = True, 0
    for match in filter(lambda match: match[1], _WORD.finditer(text)):
        word = match[1]
        is_statement = is_key and not opened
        if word == "\n":
            path, is_key, brackets = (path, is_key, 0) if opened else (table, True, 0)
        elif word == "[" and is_statement:
            path, brackets = (), brackets + 1
        elif word == "]" and is_statement:
            if brackets == 2:
                brackets, counts[path] = 0, counts.get(path, -1) + 1
                path = (*path, counts[path])
                places[path] = match.start()
            table = path
        elif word in "]}":
            path, is_key = opened.pop(), False
        elif word == "=":
            is_key = False
        elif word == ",":
            is_key = not isinstance(path[-1], int)
            path = opened[-1] if is_key else (*path[:-1], int(path[-1]) + 1)
        else:
            if is_key:
                path = (*path, *([counts[path]] if path in counts else []), _unquote(word))
            places.setdefault(path, match.start())
            if word in "[{":
                opened.append(path)
                path, is_key = ((*path, 0), False) if word == "[" else (path, True)
    return places


def _unquote(key: str) -> str:
    """Return a key without its quotes."""
    return str(tomllib.loads(f"key = {key}")["key"]) if key[0] in "\"'" else key
