"""Text for people."""


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2,000 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def on_one_line(text: str) -> str:
    """Return a text from outside on one line; what breaks a line, moves a cursor or is not text is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
