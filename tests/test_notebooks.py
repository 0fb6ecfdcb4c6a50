"""The notebooks run from top to bottom."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_cells_run_in_their_order(path, monkeypatch, tmp_path):
    """Jupyter's player is a stand-in that keeps what it is given."""
    played = []
    player = ModuleType("IPython.display")
    player.Audio = lambda samples, rate: (samples, rate)
    player.display = played.append
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", player)
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "notebooks are kept without outputs"
            exec(compile("".join(cell["source"]), f"{path.name}[{number}]", "exec"), names)
    assert all(len(samples) and rate == 24000 for samples, rate in played)
    assert len(played) >= 5
