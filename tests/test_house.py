"""How the house is laid out: which module may know which."""

import ast
from pathlib import Path

import image_scaler
from image_scaler import exceptions

ROOT = Path(image_scaler.__file__).parent
MODULES = sorted(path.stem for path in ROOT.glob("*.py") if path.stem != "__init__")

ARROWS = {
    "exceptions": set(),
    "geometry": set(),
    "store": {"exceptions"},
    "limits": {"exceptions"},
    "globs": set(),
    "renditions": {"exceptions", "geometry", "globs", "limits"},
    "config": {"exceptions", "geometry", "limits", "renditions"},
    "events": {"exceptions", "store"},
    "credits": set(),
    "profiles": set(),
    "decoding": {"exceptions", "geometry", "limits", "profiles"},
    "encoding": {"credits", "renditions"},
    "stripping_avif": set(),
    "stripping_gif": set(),
    "stripping_jpeg": {"credits", "profiles"},
    "stripping_png": {"credits", "profiles"},
    "stripping_webp": {"credits", "profiles"},
    "stripping": {
        "credits",
        "renditions",
        "stripping_avif",
        "stripping_gif",
        "stripping_jpeg",
        "stripping_png",
        "stripping_webp",
    },
    "imaging": {"credits", "decoding", "encoding", "exceptions", "geometry", "limits", "renditions", "stripping"},
    "publishing": {"exceptions", "store"},
    "measuring": set(),
    "answers": {"events", "exceptions", "measuring", "store"},
    "failures": {"exceptions", "store"},
    "placeholders": set(),
    "manifest": {"answers", "renditions"},
    "writing": {
        "answers",
        "config",
        "events",
        "exceptions",
        "geometry",
        "imaging",
        "manifest",
        "measuring",
        "placeholders",
        "publishing",
        "renditions",
        "store",
    },
    "upkeep": {"answers", "config", "events", "exceptions", "measuring", "publishing", "store", "writing"},
    "service": {
        "answers",
        "config",
        "decoding",
        "events",
        "exceptions",
        "failures",
        "measuring",
        "store",
        "upkeep",
        "writing",
    },
    "s3": {"exceptions", "store"},
    "sqs": {"exceptions", "s3"},
    "telemetry": {"answers", "exceptions", "measuring"},
}
DOORS = {
    "pyvips": {"decoding", "encoding", "imaging"},
    "boto3": {"s3", "sqs"},
    "botocore": {"s3"},
    "urllib3": {"s3"},
    "msgspec": {"config"},
    "tomllib": {"config"},
    "aws_lambda_powertools": {"telemetry"},
    "os": set(),
}


def imports(path: Path) -> set[str]:
    """The full names of all that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_arrow_between_modules_is_one_of_the_drawn_ones() -> None:
    known = {
        module: {name.split(".")[1] for name in imports(ROOT / f"{module}.py") if name.startswith("image_scaler.")}
        for module in MODULES
    }
    assert known == ARROWS


def test_each_outside_thing_has_one_door() -> None:
    for outside, doors in DOORS.items():
        users = {
            module
            for module in MODULES
            if any(name.split(".")[0] == outside for name in imports(ROOT / f"{module}.py"))
        }
        assert users == doors, outside


def test_the_function_knows_nothing_of_the_toolbox() -> None:
    for path in [*ROOT.glob("*.py"), ROOT.parent / "handler.py"]:
        assert not any(name.startswith("toolbox") for name in imports(path)), path


def test_every_exception_stands_in_the_tree_at_the_top_of_its_module() -> None:
    tree = str(exceptions.__doc__)
    classes = [value for value in vars(exceptions).values() if isinstance(value, type)]
    assert classes
    for class_ in classes:
        assert class_.__name__ in tree
        assert issubclass(class_, exceptions.ImageScalerError)


def test_every_module_is_named_in_the_table_of_parts() -> None:
    for module in MODULES:
        assert module in str(image_scaler.__doc__), module
