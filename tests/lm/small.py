"""Language models and codecs with random weights, small enough for tests."""

from dataclasses import replace
from pathlib import Path

import torch

from ncodec.checkpoints import save
from ncodec.config import EncodecConfig
from ncodec.lm import GenModel, LMModel
from ncodec.models.encodec import EncodecModel
from ncodec.models.lm_config import LMConfig

CODEC = EncodecConfig(
    sample_rate=16000,
    filters=4,
    ratios=(8, 5, 4, 2),
    latent_dim=8,
    lstm_layers=1,
    codebooks=4,
    bins=32,
    conv_shortcut=False,
    bandwidths=(1.0,),
)
TEXT = LMConfig(
    bins=32,
    dim=32,
    heads=2,
    layers=2,
    feed_forward=64,
    text_width=24,
    codec="small-codec",
    sample_rate=16000,
    hop=320,
    window=0.8,
    stride=0.3,
)
TAGS = replace(
    TEXT, position="rope", context=9, condition="tags", vocabulary="rain wind dog", style="own"
)
NEAR = replace(TAGS, near=24, near_steps=5, near_vector=8)


def lm(config: LMConfig = TEXT, name: str = "small", seed: int = 0) -> LMModel:
    torch.manual_seed(seed)
    model = LMModel(config, name).eval().requires_grad_(False)
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.weight.add_(0.1 * torch.randn_like(norm.weight))
        norm.bias.add_(0.1 * torch.randn_like(norm.bias))
    return model


def codec(
    *, causal: bool = False, pad_mode: str = "reflect", name: str = "small-codec"
) -> EncodecModel:
    torch.manual_seed(1)
    model = (
        EncodecModel(replace(CODEC, causal=causal, pad_mode=pad_mode), name)
        .eval()
        .requires_grad_(False)
    )
    for key, value in model.state_dict().items():
        if key.endswith("embed"):
            value.normal_()
    return model


def generator(config: LMConfig = TEXT) -> GenModel:
    return GenModel(lm(config), codec())


def kept(folder: Path, config: LMConfig = TEXT, name: str = "small") -> Path:
    """Write a model and its codec into the cache in use, as an import does."""
    made = codec()
    path, place = folder / f"{name}.safetensors", folder / "small-codec.safetensors"
    save(made, place, licence="MIT")
    notes = {"codec_fingerprint": made.fingerprint.hex()}
    save(lm(config, name), path, licence="MIT", notes=notes)
    return path


def text_conditions(model: LMModel, lengths: list[int], seed: int = 3):
    generator = torch.Generator().manual_seed(seed)
    width = model.config.text_width
    rows = [torch.randn(n, width, generator=generator) for n in lengths]
    hidden = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.arange(hidden.shape[1]) < torch.tensor(lengths)[:, None]
    return model.text_conditions(hidden, mask)
