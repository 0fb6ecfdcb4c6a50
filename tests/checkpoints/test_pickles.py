"""Checkpoint files from strangers: nothing in them runs."""

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ncodec.checkpoints.pickles import read_tensors
from ncodec.errors import CheckpointError


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("suffix", [".th", ".pth", ".bin", ".pt"])
@pytest.mark.parametrize("legacy", [True, False])
def test_hostile_pickle_runs_nothing(tmp_path: Path, suffix: str, legacy: bool) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / f"model{suffix}"
    content = {"state_dict": {"w": torch.zeros(2)}, "metadata": {"kwargs": Hostile(marker)}}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"refused: .*(system)"):
        read_tensors(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__"])
def test_hostile_opcodes_in_a_bare_pickle(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    code = f"c__builtin__\n{name}\n(V__import__('os').system('touch {marker}')\ntR."
    path = tmp_path / "model.th"
    path.write_bytes(code.encode())
    with pytest.raises(CheckpointError):
        read_tensors(path)
    assert not marker.exists()


def test_hostile_pickle_inside_a_zip_under_another_name(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"w": torch.zeros(2)}, tmp_path / "good.pth")
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(tmp_path / "good.pth") as good, zipfile.ZipFile(path, "w") as bad:
        for item in good.infolist():
            data = good.read(item)
            if item.filename.endswith("data.pkl"):
                data = pickle.dumps(Hostile(marker))
            bad.writestr(item, data)
    with pytest.raises(CheckpointError, match="refused"):
        read_tensors(path)
    assert not marker.exists()


def test_plain_checkpoints_are_read(tmp_path: Path) -> None:
    state = collections.OrderedDict(w=torch.arange(3.0))
    torch.save({"state_dict": state, "metadata": {"kwargs": {"rate": [2, 4]}}}, tmp_path / "a.pth")
    content = read_tensors(tmp_path / "a.pth")
    assert content["metadata"] == {"kwargs": {"rate": [2, 4]}}
    assert torch.equal(content["state_dict"]["w"], torch.arange(3.0))
    save_file({"w": torch.arange(3.0)}, tmp_path / "a.safetensors")
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["w"], torch.arange(3.0))


def test_numpy_scalars_in_the_metadata_are_read(tmp_path: Path) -> None:
    torch.save({"hop": np.int64(512), "x": np.float32(0.5), "b": np.bool_(True)}, tmp_path / "a.th")
    assert dict(read_tensors(tmp_path / "a.th")) == {"hop": 512, "x": 0.5, "b": True}


def test_pickle_under_the_name_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"w": Hostile(tmp_path / "ran")}, path)
    with pytest.raises(CheckpointError):
        read_tensors(path)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    good = io.BytesIO()
    torch.save({"w": torch.zeros(100)}, good)
    for name, data in {
        "empty": b"",
        "text": b"not a model\n" * 10,
        "cut": good.getvalue()[:-200],
        "header": (10**12).to_bytes(8, "little") + b"{}",
        "list": pickle.dumps([1, 2]),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CheckpointError):
            read_tensors(tmp_path / name)
    with pytest.raises(CheckpointError, match="cannot read"):
        read_tensors(tmp_path / "absent")
