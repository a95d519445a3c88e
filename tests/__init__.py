"""The tests: unit/ follows the packages, properties/ what must always hold, stack/ what is deployed."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
