"""Recordings and the smallest runs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec import checkpoints
from ncodec.models.spectral import SpectralCodec
from ncodec.train.config import TrainConfig

RATE = 8000
MODEL = {
    "sample_rate": RATE,
    "hop": 80,
    "codebooks": 4,
    "cardinality": 16,
    "latent": 12,
    "envelope": 4,
    "bands": 8,
    "encoder_width": 16,
    "encoder_depth": 1,
    "decoder_width": 16,
    "decoder_depth": 1,
    "expansion": 2,
    "kernel": 3,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured of files is kept; not where the user keeps it."""
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of four files: tones that glide, over noise."""
    folder = tmp_path / "audio"
    folder.mkdir()
    rng = np.random.default_rng(1)
    t = np.arange(2 * RATE) / RATE
    for i in range(4):
        glide = np.sin(2 * np.pi * (200 + 150 * i + 100 * t) * t)
        samples = 0.3 * glide + 0.02 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{i}.wav", samples, RATE)
    return folder


@pytest.fixture
def codec(tmp_path: Path) -> Path:
    """The file of a codec with random weights; it is imported too."""
    torch.manual_seed(0)
    model = SpectralCodec(SpectralCodec.config_type.from_dict(MODEL), name="tiny").eval()
    checkpoints.save(model, tmp_path / "tiny.safetensors")
    checkpoints.import_model(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def config(recordings: Path, tmp_path: Path) -> TrainConfig:
    """A run of eight steps over them."""
    return TrainConfig.from_dict(
        {
            "output": str(tmp_path / "run"),
            "model": {"name": "tiny", "family": "spectral", "config": MODEL},
            "data": {"sources": [str(recordings)], "seconds": 0.5, "batch": 4},
            "losses": {"mel": 1.0, "phase": 1.0},
            "optim": {"steps": 8, "warmup": 2, "lr": 1e-3},
            "quantizer": {"free_steps": 2, "start_batches": 3},
            "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
        }
    )
