"""Weights that the embedded model had in earlier releases."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ncodec
from ncodec import checkpoints
from ncodec.checkpoints import cache
from ncodec.config import SpectralConfig
from ncodec.models.spectral import SpectralCodec
from ncodec_cli.models import models

CONFIG = SpectralConfig(
    encoder_width=16, encoder_depth=1, decoder_width=16, decoder_depth=1, cardinality=16
)


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SpectralCodec]:
    """Two models of one name, the first in the place of earlier ones, the second embedded."""
    made: list[SpectralCodec] = []
    for seed, last in ((1, False), (2, True)):
        torch.manual_seed(seed)
        model = SpectralCodec(CONFIG, "ncodec_24khz").eval().requires_grad_(False)
        end = "" if last else f"-{model.fingerprint.hex()[:8]}"
        checkpoints.save(model, tmp_path / f"ncodec_24khz{end}.safetensors")
        made.append(model)
    monkeypatch.setattr(cache, "PRETRAINED", tmp_path)
    return made


def test_files_play_with_the_weights_that_made_them(releases: list[SpectralCodec]) -> None:
    x = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    heard: list[np.ndarray] = []
    for model in releases:
        file = io.BytesIO()
        ncodec.write(file, x, 24000, model=model)
        file.seek(0)
        y, _ = ncodec.read(file)
        file.seek(0)
        meant, _ = ncodec.read(file, model=model)
        assert np.array_equal(y, meant)
        heard.append(y)
    assert not np.array_equal(heard[0], heard[1])
    assert ncodec.load_model().fingerprint == releases[1].fingerprint


def test_earlier_weights_have_a_name_and_stay(releases: list[SpectralCodec]) -> None:
    name = f"ncodec_24khz-{releases[0].fingerprint.hex()[:8]}"
    assert ncodec.load_model(name).fingerprint == releases[0].fingerprint
    listed = CliRunner().invoke(models, ["list"])
    assert name in listed.output
    refused = CliRunner().invoke(models, ["rm", name])
    assert refused.exit_code
    assert "comes with the package" in str(refused.exception)


def test_packaged_weights_are_what_their_names_say() -> None:
    for path in cache.earlier_weights():
        assert checkpoints.load(path).fingerprint.hex()[:8] == path.stem.rpartition("-")[2]
