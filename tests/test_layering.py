"""Imports run one way, and the commands that need no model start without torch."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "formats")])}


def modules_of(package: str, folder: Path) -> list[str]:
    """Name every module below a package, without importing any of them."""
    found = pkgutil.walk_packages([str(folder)], prefix=f"{package}.")
    return [package, *(m.name for m in found)]


def loaded_after(statement: str) -> set[str]:
    """Return the names of the top-level modules that a fresh interpreter holds after a statement."""
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
