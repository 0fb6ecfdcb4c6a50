"""One record a family: everything that is asked of a family is found from it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch

from ncodec import checkpoints
from ncodec.checkpoints.layouts import LAYOUTS
from ncodec.checkpoints.model_file import ModelInfo, build
from ncodec.checkpoints.registry import REGISTRY
from ncodec.config import EncodecLMConfig, SpectralConfig
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.models import families
from ncodec.models.encodec_lm import EncodecLM
from ncodec.models.families import FAMILIES, Family, family_of, find_family
from tests.models.test_wrong_calls import FAMILIES as SMALL


@pytest.mark.parametrize("name", FAMILIES)
def test_a_record_names_what_is_there(name: str) -> None:
    family = find_family(name)
    assert family.name == name
    assert family.model_class.config_type is family.config
    for place in family.layouts:
        assert families.resolve(place).family == name
        assert families.resolve(place) in LAYOUTS


@pytest.mark.parametrize("name", SMALL)
def test_what_shows_in_files_is_known_from_the_configuration_alone(name: str) -> None:
    model = SMALL[name]()
    shape = model.config.shape()
    assert (shape.sample_rate, shape.channels, shape.hop) == (
        model.sample_rate,
        model.channels,
        model.hop,
    )
    assert (shape.bins,) * shape.codebooks == model.codebook_sizes
    assert shape.segment == model.segment
    assert family_of(model).name == name.split(maxsplit=1)[0]


@pytest.mark.parametrize("name", SMALL)
def test_models_of_a_task_say_what_it_drives_and_others_that_they_cannot(name: str) -> None:
    model = SMALL[name]()
    if family_of(model).task is None or model.segment is not None:
        with pytest.raises(ArgumentError, match="cannot be trained; the families encodec, spec"):
            model.trainable()
        return
    parts = model.trainable()
    audio = 0.1 * torch.randn(2, model.channels, 40 * model.hop)
    latent = parts.encode(audio)
    assert latent.shape == (2, model.latent_dim, 40)
    assert parts.decode(parts.quantizer(latent).latent).shape[-1] >= audio.shape[-1]
    if parts.start is not None:
        before = [p.clone() for p in model.parameters()]
        parts.start([audio, audio])
        assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_language_model_is_no_codec(tmp_path) -> None:
    assert not REGISTRY["encodec_lm_24khz"].is_codec
    config = EncodecLMConfig(codebooks=2, bins=4, dim=8, layers=1, heads=2)
    checkpoints.save(EncodecLM(config, "talk"), tmp_path / "talk.safetensors")
    with pytest.raises(CheckpointError, match="is a language model, not a codec"):
        checkpoints.load(tmp_path / "talk.safetensors")
    with pytest.raises(ArgumentError, match="EncodecLMConfig describes no codec"):
        config.shape()


def test_other_packages_add_families(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", f"{__name__}:MINE", families.ENTRY_POINTS)
    monkeypatch.setattr(families, "entry_points", lambda group: [point])
    assert find_family("mine") is MINE
    built = build(ModelInfo("m", "mine", MINE.config(hop=32, encoder_width=8).to_dict()))
    assert isinstance(built, find_family("spectral").model_class)
    with pytest.raises(CheckpointError, match=r"family 'yours'; known: dac, .*mine"):
        find_family("yours")
    monkeypatch.setattr(sys.modules[__name__], "MINE", "no family")
    with pytest.raises(CheckpointError, match=r"entry point mine of ncodec\.families: must"):
        find_family("mine")


MINE = Family("mine", "codec", SpectralConfig, "ncodec.models.spectral:SpectralCodec")


def test_the_table_needs_no_torch() -> None:
    code = "import sys, ncodec.models.families; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
