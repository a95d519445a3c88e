"""How many examples the properties get: few by default, EXAMPLES=5 tries five times as many."""

import os

from hypothesis import settings

FACTOR = int(os.environ.get("EXAMPLES", 1))


def examples(count: int) -> settings:
    """Return Hypothesis' settings for so many examples, times EXAMPLES."""
    return settings(max_examples=count * FACTOR)
