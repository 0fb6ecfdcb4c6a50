"""Every family of models, tiny, through whole files: each number of codebooks, seeking, stereo."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec.codec import compress, decompress
from ncodec.config import DacConfig, EncodecConfig, MimiConfig
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec.models.mimi import MimiModel

TINY = {"filters": 2, "latent_dim": 8, "codebooks": 3, "bins": 16}
FAMILIES = {
    "encodec_24": lambda: EncodecModel(EncodecConfig(**TINY)),
    "encodec_48": lambda: EncodecModel(
        EncodecConfig(
            **TINY,
            sample_rate=48000,
            channels=2,
            norm="time_group_norm",
            causal=False,
            normalize=True,
            segment=1.0,
        )
    ),
    "encodec_32": lambda: EncodecModel(
        EncodecConfig(
            **TINY, sample_rate=32000, ratios=(8, 5, 4, 4), causal=False, conv_shortcut=False
        )
    ),
    "dac_24": lambda: DacModel(DacConfig(24000, 4, (2, 4, 5, 8), 32, 16, 3, 16, 4)),
    "mimi": lambda: MimiModel(
        MimiConfig(
            filters=2,
            latent_dim=16,
            layers=1,
            heads=2,
            feed_forward=16,
            context=10,
            codebooks=3,
            bins=16,
            codebook_dim=8,
        )
    ),
}


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest):
    torch.manual_seed(0)
    return FAMILIES[request.param]().eval()


@pytest.mark.parametrize("codebooks", [1, 2, 3])
def test_stereo_at_another_rate_comes_back_whole(model, tmp_path: Path, codebooks: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (22222, 2))
    soundfile.write(tmp_path / "in.wav", noise, 22050)
    done = compress(
        tmp_path / "in.wav", tmp_path / "a.ecdc", model=model, codebooks=codebooks, verify=True
    )
    assert done.codebooks == codebooks
    decompress(tmp_path / "a.ecdc", tmp_path / "out.wav", model=model)
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.samplerate, info.channels, info.frames) == (22050, 2, 22222)


def test_seeking(model, tmp_path: Path) -> None:
    """Bit for bit where what a sample depends on is finite; else right in length."""
    seconds = 3.5
    rate = model.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.1, (int(seconds * rate), model.channels))
    soundfile.write(tmp_path / "in.wav", noise, rate)
    compress(tmp_path / "in.wav", tmp_path / "a.ecdc", model=model, codebooks=2)
    decompress(tmp_path / "a.ecdc", tmp_path / "whole.wav", model=model, encoding="f32")
    decompress(
        tmp_path / "a.ecdc", tmp_path / "part.wav", model=model, start=2.1, end=2.9, encoding="f32"
    )
    whole = soundfile.read(tmp_path / "whole.wav", dtype="float32", always_2d=True)[0]
    part = soundfile.read(tmp_path / "part.wav", dtype="float32", always_2d=True)[0]
    begin, end = round(2.1 * rate), round(2.9 * rate)
    assert len(part) == end - begin
    if model.receptive_field:
        assert np.array_equal(part, whole[begin:end])
