"""Types as the checker of somebody who uses the library sees them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYRIGHT = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_types_are_what_a_user_sees(tmp_path: Path) -> None:
    assert PYRIGHT is not None
    program = tmp_path / "program.py"
    program.write_text(Path(__file__).with_name("program.py").read_text("utf-8"), "utf-8")
    config = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT), str(ROOT / "formats")]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config), "utf-8")
    done = subprocess.run(
        [PYRIGHT, "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.startswith("{"):  # it fetches Node.js when it is first run
        pytest.skip(f"pyright does not start here: {done.stderr.strip()[-100:]}")
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = report["generalDiagnostics"]
    assert not [(one["range"]["start"]["line"] + 1, one["message"]) for one in found]
