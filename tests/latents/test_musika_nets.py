"""Musika's nets equal the official ones (see `official`); its files are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ncodec import checkpoints
from ncodec.checkpoints.layouts.musika import keras_tensors
from ncodec.errors import CheckpointError
from ncodec.latents.musika.adversaries import Critic, Generator
from ncodec.latents.musika.autoencoder import (
    FirstDecoder,
    SecondEncoder,
    first_encoder,
    second_decoder,
)
from ncodec.latents.musika.layers import Noise
from ncodec.latents.musika.model import Musika
from ncodec.latents.musika.spectrum import Analysis, Synthesis
from ncodec.models.musika_config import MusikaConfig
from tests.latents.official import GOLDEN, LAYERS, NETS, TINY, kept, layers_of, numbers

CONFIGS = {
    "tiny": TINY,
    "tiny_small": replace(TINY, small=True),
    "full": MusikaConfig(),
    "full_small": MusikaConfig(small=True),
}
CLASSES = {
    "enc": first_encoder,
    "enc2": SecondEncoder,
    "dec": FirstDecoder,
    "dec2": second_decoder,
    "gen": Generator,
    "critic": Critic,
}
CASES = [
    (case, net, name)
    for case in CONFIGS
    for net in NETS
    for name in GOLDEN
    if name == f"{case}/{net}/0"
]


def built(case: str, net: str) -> nn.Module:
    module = CLASSES[net](CONFIGS[case])
    module.load_state_dict(keras_tensors(net, layers_of(case, net)))
    return module.eval().requires_grad_(False)


def fed(case: str, net: str) -> Tensor:
    """Return what the official net was fed, channels before time."""
    config = CONFIGS[case]
    shape = {
        "enc": (1, config.bins, 128, 1),
        "enc2": (1, 1, 128, config.latent),
        "dec": (2, 1, 64, config.latent),
        "dec2": (2, 1, 4, config.dim),
        "gen": (1, 2 * config.window, 2 * config.dim),
        "critic": (1, 1, 2 * config.window, 2 * config.dim),
    }[net]
    x = torch.from_numpy(numbers(50, NETS.index(net), shape))
    if net == "enc":
        return x[..., 0]
    x = x.flatten(0, 1) if x.dim() == 4 else x
    x = x.transpose(1, 2)
    return torch.cat(x.chunk(2, dim=2)) if net == "gen" else x  # its halves are apart


def as_keras(net: str, y: Tensor) -> list[Tensor]:
    """Return a net's outputs in the official order: windows after one another, or split in two."""
    if net == "critic":
        return [y]
    if net == "dec":
        return [torch.cat(list(part.transpose(1, 2))) for part in y.chunk(2, dim=1)]
    return [torch.cat(list(y.transpose(1, 2)))]


@pytest.mark.parametrize(("case", "net", "name"), CASES)
def test_nets_equal_the_official_ones(case: str, net: str, name: str) -> None:
    most = 2048 if case.startswith("full") else 8192
    outputs = as_keras(net, built(case, net)(fed(case, net)))
    for number, output in enumerate(outputs):
        expected = GOLDEN[f"{case}/{net}/{number}"]
        assert expected.std() > 0.05 or net == "critic"
        np.testing.assert_allclose(kept(output, most), expected.reshape(-1), atol=2e-5)


@pytest.mark.parametrize("net", ["dec", "dec2", "gen"])
def test_noise_that_is_given_equals_the_official(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = built("tiny", net), fed("tiny", net)
    if isinstance(module, Generator):
        noise = [
            torch.from_numpy(numbers(99, i, (2, 1, steps)))
            for i, steps in enumerate(module.noise_steps)
        ]
        y = module(x, noise)
    else:
        named = [(n, layer) for n, layer in module.named_modules() if isinstance(layer, Noise)]
        # Keras calls those of the second way before the first's
        called = ["g0", "g1", "g2", "g3", "u2", "v1", "u1", "v0", "u0"]
        if net == "dec":
            named.sort(key=lambda each: called.index(each[0][:2]))
        order = {layer: i for i, (_, layer) in enumerate(named)}
        monkeypatch.setattr(
            Noise,
            "step",
            lambda self, x, state: (
                x + self.weight * torch.from_numpy(numbers(99, order[self], (2, 1, x.shape[2]))),
                state,
            ),
        )
        whole: nn.Module = module
        y = whole.end(x, whole.initial_state(2))  # type: ignore[operator]
    for number, output in enumerate(as_keras(net, y)):
        expected = GOLDEN[f"tiny/{net}/noise/{number}"]
        assert np.abs(expected - GOLDEN[f"tiny/{net}/{number}"][: len(expected)]).max() > 0.01
        np.testing.assert_allclose(kept(output, 4096), expected.reshape(-1), atol=2e-5)


def test_analysis_and_synthesis_equal_the_official_ones() -> None:
    samples = numbers(60, 0, (128 * 256 + 768,)) * np.float32(0.5)
    samples[:5000] = 0
    audio = torch.from_numpy(samples)[None, None]
    spectrum = Analysis(256)(audio)
    assert spectrum.shape == (1, 513, 128)
    flat = spectrum[0].T.reshape(-1).numpy()[::17]
    np.testing.assert_allclose(flat, GOLDEN["analysis"], atol=1e-5)
    magnitude, phase = numbers(61, 0, (2, 513, 64)) * np.float32(0.6), numbers(62, 0, (2, 513, 64))
    both = torch.from_numpy(np.concatenate([magnitude, phase], axis=1))
    joined = torch.cat(list(both), dim=1)[None]
    sound = Synthesis(256)(joined)[0, 0]
    np.testing.assert_allclose(sound.numpy()[::7], GOLDEN["synthesis"], atol=1e-5)
    # in pieces, both are the same
    analysis, state, parts = Analysis(256), Analysis(256).initial_state(1), []
    for piece in audio.split([1, 700, 5000, 300, samples.size - 6001], dim=2):
        y, state = analysis.step(piece, state)
        parts.append(y)
    assert torch.equal(torch.cat([*parts, analysis.flush(state)], dim=2), spectrum)


def save_h5(path: Path, case: str, net: str) -> None:
    """Save a net as Keras 2 does."""
    h5py = pytest.importorskip("h5py", reason="reading Keras's files needs h5py")
    weights = layers_of(case, net)
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"input_1", *(n.encode() for n in weights)])
        file.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for name, shapes in LAYERS[case][net]:
            group = file.create_group(name)
            names = [weight for weight, _ in shapes]
            group.attrs["weight_names"] = np.array([each.encode() for each in names])
            for each, values in zip(names, weights[name], strict=True):
                group[each] = values.numpy()


def save_all(folder: Path, case: str = "tiny") -> None:
    save_h5(folder / "techno" / "gen_ema.h5", case, "gen")
    for net in ("dec", "dec2", "enc", "enc2"):
        save_h5(folder / "ae" / f"{net}.h5", "tiny", net)


@pytest.mark.parametrize("case", ["tiny", "tiny_small"])
def test_files_of_keras_are_imported(tmp_path: Path, case: str) -> None:
    save_all(tmp_path, case)
    done = checkpoints.import_model(tmp_path / "techno", "techno", licence="own")
    assert done.layout == "Musika (marcoppasini/musika)"
    expected = replace(TINY, small=case == "tiny_small", encoders=True)
    assert MusikaConfig.from_dict(done.info.config) == expected
    model = checkpoints.load_any("techno")
    assert isinstance(model, Musika)
    x = fed(case, "gen")
    assert torch.equal(model.generator(x), built(case, "gen")(x))
    x = fed("tiny", "dec")
    assert torch.equal(model.first_decoder(x), built("tiny", "dec")(x))
    vectors = model.encode(torch.randn(1, 1, 32 * 35))
    assert vectors.shape == (1, 16, 2)
    assert vectors.abs().max() <= 1


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="reading Keras's files needs h5py")
    save_all(tmp_path)
    decoder = tmp_path / "ae" / "dec.h5"
    whole = decoder.read_bytes()
    decoder.unlink()
    with pytest.raises(CheckpointError, match=r"no dec\.h5"):
        checkpoints.import_model(tmp_path / "techno", "techno")
    decoder.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.import_model(tmp_path / "techno", "techno")
    decoder.write_bytes(whole)
    with h5py.File(decoder, "a") as file:
        del file["conv2d"]["conv2d/kernel:0"]
        file["conv2d"]["conv2d/kernel:0"] = h5py.ExternalLink("dec2.h5", "/conv2d/conv2d/kernel:0")
    with pytest.raises(CheckpointError, match="no array of this file"):
        checkpoints.import_model(tmp_path / "techno", "techno")
    save_h5(decoder, "tiny", "dec2")
    with pytest.raises(CheckpointError, match="15 layers: must be of 20"):
        checkpoints.import_model(tmp_path / "techno", "techno")
