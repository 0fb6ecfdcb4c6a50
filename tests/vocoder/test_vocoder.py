"""HiFi-GAN as a stream: whole and in pieces, how far it sees, what it refuses."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ncodec.config import HifiGanConfig
from ncodec.errors import ArgumentError
from ncodec.kernels import portable
from ncodec.nn import Conv1d, ConvTranspose1d, fused
from ncodec.runtime import has_bf16
from ncodec.streaming import Mean, Residual, Sequential
from ncodec.vocoder import LogMel, Vocoder
from ncodec.vocoder import model as vocoder_model

V1 = HifiGanConfig(channels=16)
V3 = HifiGanConfig(
    channels=16,
    rates=(8, 8, 4),
    kernels=(16, 16, 8),
    block_kernels=(3, 5, 7),
    dilations=(1, 2, 2, 6, 3, 12),
    paired=False,
)
SMALL = HifiGanConfig(
    sample_rate=24000,
    bands=100,
    channels=16,
    rates=(10, 8, 4),
    kernels=(20, 16, 8),
    block_kernels=(3, 5, 7),
    dilations=(1, 2, 2, 6, 3, 12),
    paired=False,
    fmax=12000.0,
)
ODD = HifiGanConfig(channels=16, rates=(5, 4, 4, 3), kernels=(10, 8, 8, 6), window=240, n_fft=512)
REFLECTED = HifiGanConfig(channels=16, edges="reflect")
CONFIGS = {"V1": V1, "V3": V3, "small": SMALL, "odd": ODD, "reflected": REFLECTED}


def vocoder(config: HifiGanConfig, seed: int = 0) -> Vocoder:
    torch.manual_seed(seed)
    return Vocoder(config).eval().requires_grad_(False)


def mels(config: HifiGanConfig, frames: int, batch: int = 1) -> Tensor:
    return (torch.randn(batch, config.bands, frames) * 2 - 5).clamp(-11, 3)


def plain(layer, x: Tensor) -> Tensor:
    """Compute a layer with PyTorch's own functions and nothing else."""
    if isinstance(layer, Sequential):
        for inner in layer:
            x = plain(inner, x)
        return x
    if isinstance(layer, Residual):
        return x + plain(layer.branch, x)
    if isinstance(layer, Mean):
        return torch.stack([plain(branch, x) for branch in layer]).mean(dim=0)
    if isinstance(layer, Conv1d):
        mode = "constant" if layer.pad_mode == "constant" else "reflect"
        x = functional.pad(x, layer.padding, mode=mode)
        return functional.conv1d(x, layer.weight, layer.bias, dilation=layer.dilation)
    if isinstance(layer, ConvTranspose1d):
        y = functional.conv_transpose1d(x, layer.weight, layer.bias, layer.stride)
        return y[..., layer.trim[0] : y.shape[-1] - layer.trim[1]]
    return layer.apply_to(x)


@pytest.mark.parametrize("name", CONFIGS)
def test_pieces_give_the_whole(name: str) -> None:
    model = vocoder(CONFIGS[name])
    mel = mels(model.config, 30, batch=2)
    whole = plain(model.generator, mel)
    assert whole.shape == (2, 1, 30 * model.hop)
    assert torch.allclose(model(mel), whole, atol=2e-6)
    for sizes in ([1] * 30, [7] * 5, [30], [0, 13, 0, 10, 7]):
        state, parts = model.initial_state(2), list[Tensor]()
        at = 0
        for size in sizes:
            y, state = model.step(mel[..., at : at + size], state)
            parts.append(y)
            at += size
        given = sum(part.shape[2] for part in parts)
        if name != "reflected":
            assert 30 * model.hop - given == model.latency_samples
        parts.append(model.flush(state))
        assert torch.allclose(torch.cat(parts, dim=2), whole, atol=2e-6)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tile", [1, 1 << 30])
def test_sound_in_blocks_and_tiles_is_that_of_steps(
    name: str, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vocoder(CONFIGS[name])
    monkeypatch.setattr(fused, "_TILE", tile)
    monkeypatch.setattr(vocoder_model, "_BLOCK", 20)
    mel = mels(model.config, 50)
    whole = plain(model.generator, mel)
    assert torch.allclose(model(mel), whole, atol=2e-6)
    for sizes in ([50], [30, 15, 5], [1] * 5 + [45], [0, 5, 0, 45]):
        parts = list(model.sound_of(mel.split(sizes, dim=2)))
        assert torch.allclose(torch.cat(parts, dim=2), whole, atol=2e-6)
    assert list(model.sound_of([])) == []
    with portable():
        parts = list(model.sound_of(mel.split(40, dim=2)))
    assert torch.allclose(torch.cat(parts, dim=2), whole, atol=2e-6)


@pytest.mark.skipif(not has_bf16("cpu"), reason="a processor with bf16")
@pytest.mark.parametrize("name", ["V1", "V3"])
def test_half_precision_is_near(name: str) -> None:
    model = vocoder(CONFIGS[name])
    mel = mels(model.config, 30)
    exact = model(mel)
    model.set_precision("bf16")
    state = model.initial_state()
    y, state = model.step(mel, state)
    streamed = torch.cat([y, model.flush(state)], dim=2)
    for found in (model(mel), streamed):
        assert found.dtype == torch.float32
        assert 0 < (found - exact).abs().max() / exact.abs().max() < 0.03


def test_gradients_reach_mels() -> None:
    model = vocoder(SMALL)
    mel = mels(model.config, 20).requires_grad_()
    model(mel).square().sum().backward()
    assert mel.grad is not None
    assert bool(mel.grad.any())


@pytest.mark.parametrize(
    ("name", "held", "frames"), [("V1", 3258, 13), ("V3", 2582, 11), ("small", 2806, 9)]
)
def test_the_receptive_field_is_that_of_the_gradients(name: str, held: int, frames: int) -> None:
    model = vocoder(CONFIGS[name])
    assert (model.latency_samples, model.preroll_frames) == (held, frames)
    mel = mels(model.config, 2 * frames + 5).requires_grad_()
    middle = frames + 2
    audio = model.generator(mel)
    audio[..., middle * model.hop : (middle + 1) * model.hop].abs().sum().backward()
    assert mel.grad is not None
    seen = mel.grad.abs().sum((0, 1)).nonzero()[:, 0].tolist()
    assert seen[0] == middle - model.preroll_frames
    assert seen[-1] == middle + model.postroll_frames


def test_mels_stream() -> None:
    front_end = LogMel(SMALL)
    x = 0.1 * torch.randn(2, 1, 9000)
    whole = front_end(x)
    assert whole.shape == (2, 100, 9000 // 320)
    for sizes in ([1] * 40 + [8960], [313] * 29, [9000]):
        state, parts = front_end.initial_state(2), list[Tensor]()
        at = 0
        for size in sizes:
            y, state = front_end.step(x[..., at : at + size], state)
            parts.append(y)
            at += size
        parts.append(front_end.flush(state))
        assert torch.allclose(torch.cat(parts, dim=2), whole, atol=1e-5)


def test_silence_is_the_floor() -> None:
    assert float(vocoder(V1).mel(torch.zeros(4000)).max()) == pytest.approx(-11.512925, abs=1e-5)


@pytest.mark.parametrize(
    ("mel", "said"),
    [
        (torch.zeros(1, 100, 5), "80"),
        (torch.zeros(1, 5, 80), "bands come before frames"),
        (torch.zeros(80, 5), r"\[80, 5\]"),
        (torch.zeros(1, 80, 5, dtype=torch.int16), "int16"),
        (torch.full((1, 80, 5), float("nan")), "finite"),
        (torch.full((1, 80, 5), -60.0), "dB"),
        (torch.full((1, 80, 5), 20.0), "dB"),
    ],
)
def test_what_are_no_mels_of_it_is_refused(mel: Tensor, said: str) -> None:
    model = vocoder(V1)
    with pytest.raises(ArgumentError, match=said):
        model(mel)
    with pytest.raises(ArgumentError, match=said):
        model.step(mel, model.initial_state(1))


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (torch.zeros(100), "385"),
        (torch.zeros(1, 2, 900), "1, samples"),
        (torch.full((900,), float("inf")), "finite"),
    ],
)
def test_what_has_no_mels_is_refused(audio: Tensor, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        vocoder(V1).mel(audio)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rates": (8, 8)},
        {"kernels": (4, 16, 4, 4)},
        {"block_kernels": (3, 4, 11)},
        {"dilations": (1, 3)},
        {"channels": 500},
        {"edges": "circular"},
        {"log": "log2"},
        {"window": 2048},
        {"n_fft": 1025, "window": 1025},
    ],
)
def test_what_cannot_be_built_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        HifiGanConfig(**wrong)  # type: ignore[arg-type]
