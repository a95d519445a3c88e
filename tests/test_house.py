"""How the house is laid out: which room may know which."""

import ast
from pathlib import Path

import image_scaler
from image_scaler import exceptions

ROOT = Path(image_scaler.__file__).parent
PATHS = sorted(path for path in ROOT.rglob("*.py"))

LEVELS = [
    {"exceptions"},
    {"renditions", "storage"},
    {"images", "settings", "events"},
    {"outcomes"},
    {"responses", "manifest", "telemetry", "publisher", "announcer"},
    {"ledger"},
    {"pipeline"},
    {"reconciler"},
    {"scaler"},
]
"""The rooms and the modules of the hall, from the ground up: each may import only from the levels below its own."""

DOORS = {
    "pyvips": {"images"},
    "pillow_heif": {"images"},
    "boto3": {"storage"},
    "botocore": {"storage"},
    "urllib3": {"storage"},
    "msgspec": {"renditions"},
    "tomllib": {"renditions"},
    "os": set(),
}
"""The outside things, and the one room that may use each."""


def room(path: Path) -> str:
    """The room that a module is in; a module of the hall is a room of its own."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The full names of all that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_arrows_between_rooms_only_go_down() -> None:
    level_of = {name: level for level, names in enumerate(LEVELS) for name in names}
    assert {room(path) for path in PATHS} - {"__init__"} == level_of.keys()
    for path in PATHS:
        for name in imports(path):
            if name.startswith("image_scaler.") and (other := name.split(".")[1]) != room(path):
                assert level_of[other] < level_of[room(path)], f"{path.name} imports {name}"


def test_modules_within_a_room_form_no_circle() -> None:
    arrows = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts): {
            name for name in imports(path) if name.startswith("image_scaler.")
        }
        for path in PATHS
    }
    while arrows:
        free = {
            module
            for module, targets in arrows.items()
            if not any(name == other or name.startswith(f"{other}.") for name in targets for other in arrows)
        }
        assert free, f"a circle among {sorted(arrows)}"
        arrows = {module: targets for module, targets in arrows.items() if module not in free}


def test_each_outside_thing_has_one_door() -> None:
    for outside, doors in DOORS.items():
        users = {room(path) for path in PATHS if any(name.split(".")[0] == outside for name in imports(path))}
        assert users == doors, outside


def test_the_function_knows_nothing_of_the_toolbox() -> None:
    for path in [*PATHS, ROOT.parent / "handler.py"]:
        assert not any(name.startswith("toolbox") for name in imports(path)), path


def test_the_tree_of_exceptions_names_every_exception() -> None:
    tree = str(exceptions.__doc__)
    classes = [value for value in vars(exceptions).values() if isinstance(value, type)]
    assert classes
    for class_ in classes:
        assert class_.__name__ in tree
        assert issubclass(class_, exceptions.ImageScalerError)
