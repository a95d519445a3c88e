"""A renditions.toml that is made of the settings of another tool."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.toml import parse_recipe
from image_scaler.text import on_one_line

_KEY_PARTS = ("{dir}", "{stem}", "{source_ext}")


@dataclass
class ImportedRecipe:
    """The tables of a renditions.toml, and what they do not say of the other tool's settings."""

    renditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What has no counterpart, and changes neither pictures nor keys."""
    differences: list[str] = field(default_factory=list)
    """What has no counterpart, and changes pictures or keys."""

    def note(self, setting: str, text: str) -> None:
        """Add a setting that has no counterpart, which changes neither pictures nor keys."""
        line = f"{setting}: {text}"
        self.notes += [line] if line not in self.notes else []

    def differ(self, setting: str, text: str) -> None:
        """Add a setting that has no counterpart, which changes pictures or keys."""
        self.differences.append(f"{setting}: {text}")

    def add(self, name: str, table: Mapping[str, Any]) -> None:
        """Add a table under a name, made valid, and followed by a number if another table has it."""
        valid = re.sub("[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:50] or "rendition"
        unique = next(
            each
            for number in range(1, len(self.renditions) + 2)
            if (each := valid if number == 1 else f"{valid}-{number}") not in self.renditions
        )
        self.renditions[unique] = {option: value for option, value in table.items() if value is not None}

    def check(self) -> None:
        """Add the mistakes that make renditions.toml invalid to the differences."""
        try:
            parse_recipe(self.text())
        except ConfigError as error:
            self.differences += [f"renditions.toml: {mistake.message}" for mistake in error.mistakes]

    def text(self) -> str:
        """Return renditions.toml, with a comment for each setting that has no counterpart."""
        import tomlkit  # here, because it is slow to load

        document = tomlkit.document()
        for title, lines in (("Different from before", self.differences), ("Without a counterpart", self.notes)):
            if lines:
                document.add(tomlkit.comment(f"{title}:"))
                for line in lines:
                    document.add(tomlkit.comment(f"  {on_one_line(line)}"))
        keys = [table["key"] for table in self.renditions.values()]
        if not all(part in key for key in keys for part in _KEY_PARTS):
            shared = tomlkit.item(True).comment("the second of a.jpg and a.png is rejected, and replaces nothing")
            document.add("shared_stems", shared)
        renditions = tomlkit.table(is_super_table=True)
        for name, table in self.renditions.items():
            renditions.add(name, tomlkit.item(table))
        document.add("renditions", renditions)
        if self.rules:
            rules = tomlkit.aot()
            for rule in self.rules:
                rules.append(tomlkit.item(rule))
            document.add("rules", rules)
        return tomlkit.dumps(document)


def literal(text: str) -> str:
    """Return a text as it is written in a key template."""
    return text.replace("{", "{{").replace("}", "}}")


def join(*parts: str) -> str:
    """Return the folders of a key template, with a slash after each; "" for none."""
    return "".join(f"{part}/" for part in parts if part not in ("", "."))


def hexadecimal(colour: Sequence[int]) -> str:
    """Return a colour of three or four values from 0 to 255 like #ffffff."""
    return "#" + bytes(colour).hex()
