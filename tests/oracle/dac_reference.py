"""Run by an interpreter that has descript-audio-codec 1.0.0 (see test_dac_package.py).

`make FOLDER` writes a small model with random weights, and what the package makes of noise;
`read FOLDER` decodes FOLDER/ours.dac with it.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np


class _NoTorchaudio(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """audiotools imports torchaudio, which does not load beside every torch, for one filter."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torchaudio":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        module.__path__ = []
        module.functional = types.SimpleNamespace(lfilter=lfilter)


def lfilter(x, a, b, clamp):
    """Filter a tensor in time, as torchaudio's function does."""
    assert not clamp
    filtered = signal.lfilter(b.double().numpy(), a.double().numpy(), x.double().numpy())
    return torch.from_numpy(filtered).to(x)


sys.meta_path.insert(0, _NoTorchaudio())

import dac  # noqa: E402
import torch  # noqa: E402
from audiotools import AudioSignal  # noqa: E402
from scipy import signal  # noqa: E402

RATE = 16000


def build() -> dac.DAC:
    torch.manual_seed(0)
    model = dac.DAC(
        encoder_dim=8,
        encoder_rates=[2, 4],
        decoder_dim=32,
        decoder_rates=[4, 2],
        n_codebooks=3,
        codebook_size=64,
        codebook_dim=4,
        sample_rate=RATE,
    ).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(std=0.02)
        if name.endswith("weight_g"):
            parameter.data.fill_(0.7)
        if name.endswith("alpha"):
            parameter.data.uniform_(0.5, 1.5)
    return model


def make(folder: Path) -> None:
    model = build()
    model.save(folder / "weights.pth", package=False)
    rng = np.random.default_rng(0)
    for name, seconds, window in (("short", 0.9, 1.0), ("long", 2.3, 0.5)):
        x = rng.normal(0, 0.1, (1, 1, int(seconds * RATE))).cumsum(-1)
        x = torch.from_numpy(x - x.mean()).float() * 0.05
        coded = model.compress(AudioSignal(x, RATE), win_duration=window)
        coded.save(folder / f"{name}.dac")
        np.save(folder / f"{name}.decoded.npy", model.decompress(coded).audio_data.numpy())
        with torch.no_grad():
            z, codes, *_ = model.encode(model.preprocess(x, RATE))
            np.save(folder / f"{name}.x.npy", x.numpy())
            np.save(folder / f"{name}.codes.npy", codes.numpy())
            np.save(folder / f"{name}.z.npy", z.numpy())
            np.save(folder / f"{name}.y.npy", model.decode(z).numpy())


def read(folder: Path) -> None:
    model = build()
    decoded = model.decompress(folder / "ours.dac")
    np.save(folder / "ours.decoded.npy", decoded.audio_data.numpy())


if __name__ == "__main__":
    {"make": make, "read": read}[sys.argv[1]](Path(sys.argv[2]))
