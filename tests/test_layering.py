"""Imports run one way, and the commands that need no model start without torch."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "formats")])}


def modules_of(package: str, folder: Path) -> list[str]:
    """Name every module below a package, without importing any of them."""
    found = pkgutil.walk_packages([str(folder)], prefix=f"{package}.")
    return [package, *(m.name for m in found if not m.name.endswith("__main__"))]


def loaded_after(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.strip().splitlines()[-1]))


def import_all(package: str, folder: Path) -> str:
    return "import importlib\n" + "\n".join(
        f"importlib.import_module({name!r})" for name in modules_of(package, folder)
    )


def test_formats_never_load_torch_or_the_library() -> None:
    loaded = loaded_after(import_all("ncodec_formats", ROOT / "formats" / "ncodec_formats"))
    assert "ncodec_formats.reader" in loaded
    assert not loaded & {"torch", "ncodec", "ncodec_cli", "click", "sounddevice"}


def test_library_never_loads_click_or_a_sound_device() -> None:
    loaded = loaded_after(import_all("ncodec", ROOT / "ncodec"))
    assert "ncodec.codec" in loaded
    assert not loaded & {"click", "ncodec_cli", "sounddevice", "rich", "matplotlib", "torchaudio"}


@pytest.mark.parametrize(
    ("package", "above"),
    [
        ("ncodec.nn", ["models", "codec", "live", "train", "checkpoints"]),
        ("ncodec.quantize", ["models", "codec", "live", "train", "checkpoints"]),
        ("ncodec.models", ["codec", "live", "train", "bench"]),
        ("ncodec.codec", ["live", "train", "bench"]),
        ("ncodec.live", ["train", "bench"]),
    ],
)
def test_the_library_is_layered_inside(package: str, above: list[str]) -> None:
    loaded = loaded_after(f"import {package}")
    assert not {f"ncodec.{name}" for name in above} & loaded


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["info", "--help"], ["compress", "--help"]]
)
def test_help_needs_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from ncodec_cli.main import main\n"
        f"sys.argv = ['ncodec', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
    )
    assert "torch" not in loaded_after(code)


def third_party_imports(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Return the packages from outside that a file imports: at its top, and anywhere."""
    own = {"ncodec", "ncodec_cli", "ncodec_formats"} | set(sys.stdlib_module_names)

    def packages(nodes: Iterable[ast.AST]) -> set[str]:
        names: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
        return names - own

    return packages(tree.body), packages(ast.walk(tree))


def test_every_import_is_a_declared_dependency() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]

    def modules(requirements: list[str]) -> set[str]:
        names = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in requirements}  # type: ignore[index]
        other = {"pyyaml": "yaml", "visqol_python": "visqol"}
        return {other.get(name, name) for name in names}

    required = modules(project["dependencies"])
    extras = modules([r for lines in project["optional-dependencies"].values() for r in lines])
    for folder in ("ncodec", "ncodec_cli", "formats/ncodec_formats"):
        for path in (ROOT / folder).rglob("*.py"):
            top, anywhere = third_party_imports(ast.parse(path.read_text(encoding="utf-8")))
            assert top <= required, f"{path}: {top - required} must be a dependency"
            assert anywhere <= required | extras, f"{path}: {anywhere - required - extras}"
