"""A GIF (GIF89a) without its metadata."""

_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_PICTURE, _EXTENSION, _END = 0x2C, 0x21, 0x3B
_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF


def strip(body: bytes) -> bytes | None:
    """Return the file with the pictures, how long each is shown, and how often all are played.

    None where anything is found that is not known here. Raises LookupError for a file that is damaged.
    """
    at = 13 + _palette(body[10])
    kept = [body[:at]]
    while body[at] != _END:
        start, kind, label = at, body[at], body[at + 1]
        if kind not in (_PICTURE, _EXTENSION):
            return None
        at += 10 + _palette(body[at + 9]) + 1 if kind == _PICTURE else 2
        at = _blocks_end(body, at)
        if kind == _PICTURE or (label == _CONTROL and at - start == 8):
            kept.append(body[start:at])
        elif label == _APPLICATION:
            if body[start + 3 : start + 14] in _LOOPS and body[start + 14 : start + 16] == b"\3\1":
                kept.append(body[start : start + 18] + b"\0")
        elif label != _COMMENT:
            return None  # text that is to be drawn, or what nobody knows
    return b"".join(kept) + bytes([_END])


def _palette(packed: int) -> int:
    """Return the bytes of the palette that such a field says will follow."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _blocks_end(body: bytes, at: int) -> int:
    """Return where blocks end that each begin with their length."""
    while body[at]:
        at += 1 + body[at]
    return at + 1
