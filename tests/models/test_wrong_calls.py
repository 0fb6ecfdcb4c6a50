"""No call kills the process or is taken for another: wrong calls x families, in forked children."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ncodec
from ncodec.codec.concealment import silent_latent
from ncodec.config import DacConfig, EncodecConfig, MimiConfig, SpectralConfig
from ncodec.errors import ArgumentError, DeviceError, NcodecError
from ncodec.models.base import CompressionModel
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec.models.mimi import MimiModel
from ncodec.models.records import Chunk
from ncodec.models.spectral import SpectralCodec
from ncodec.nn import LSTM, Conv1d
from ncodec.nn.linear import Linear
from ncodec.quantize import FactorizedVQ, ResidualVQ
from tests.machine import needs_bf16

SMALL = {"filters": 2, "latent_dim": 8, "codebooks": 3, "bins": 16}
STEREO = EncodecConfig(
    **SMALL, sample_rate=4000, ratios=(4, 5), channels=2, norm="time_group_norm", causal=False,
    normalize=True, segment=0.1,
)  # fmt: skip
FAMILIES: dict[str, Callable[[], CompressionModel]] = {
    "spectral": lambda: SpectralCodec(
        SpectralConfig(4000, 16, 3, 16, 10, 4, 6, 16, 2, 16, 2, 2, 3), "spectral"
    ),
    "encodec": lambda: EncodecModel(EncodecConfig(**SMALL, ratios=(4, 2))),
    "encodec segments": lambda: EncodecModel(STEREO),
    "dac": lambda: DacModel(DacConfig(4000, 4, (2, 4), 16, 8, 3, 16, 4)),
    "mimi": lambda: MimiModel(
        MimiConfig(4000, 2, (4, 2), 16, 2, 1, 2, 16, 10, 10000.0, 3, 1, 16, 8)
    ),
}


@pytest.fixture(scope="module")
def models() -> dict[str, CompressionModel]:
    torch.manual_seed(0)
    return {name: make().eval() for name, make in FAMILIES.items()}


def audio(m: CompressionModel, batch: int = 1, samples: int = 480) -> torch.Tensor:
    return 0.1 * torch.randn(batch, m.channels, samples)


def codes(m: CompressionModel, batch: int = 1, frames: int = 4) -> torch.Tensor:
    return torch.randint(0, 16, (batch, 3, frames))


def scale(m: CompressionModel, batch: int = 1) -> torch.Tensor | None:
    return torch.ones(batch) if m.scaled else None


def latent(m: CompressionModel, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, m.latent_dim, 4)


def step(m: CompressionModel, batch: int, state: Any, **changes: Any) -> Any:
    values = {"latent": latent(m, batch), "scale": scale(m, batch)} | changes
    return m.decode_latent_step(values["latent"], values["scale"], state)


NAN = float("nan")
WRONG: dict[str, Callable[[CompressionModel], Any]] = {
    # audio
    "one channel more": lambda m: m.encode(torch.zeros(1, m.channels + 1, 480)),
    "no channel": lambda m: m.encode(torch.zeros(1, 0, 480)),
    "a signal without batch": lambda m: m.encode(torch.zeros(m.channels, 480)),
    "a signal of one dimension": lambda m: m.encode(torch.zeros(480)),
    "four dimensions": lambda m: m.encode(torch.zeros(1, 1, m.channels, 480)),
    "NaN": lambda m: m.encode(audio(m) * NAN),
    "an infinity": lambda m: m.encode(audio(m) / 0),
    "bool samples": lambda m: m.encode(audio(m) > 0),
    "complex samples": lambda m: m.encode(audio(m).to(torch.complex64)),
    "int64 samples": lambda m: m.encode(audio(m).long()),
    "a list": lambda m: m.encode([[0.0] * 480]),  # pyright: ignore[reportArgumentType]
    "nothing": lambda m: m.encode(None),  # pyright: ignore[reportArgumentType]
    "sparse samples": lambda m: m.encode(audio(m).to_sparse()),
    "samples elsewhere": lambda m: m.encode(audio(m).to("meta")),
    "an array of text": lambda m: m.encode(np.array(["a"])),  # pyright: ignore[reportArgumentType]
    "forward of stereo": lambda m: m(torch.zeros(1, m.channels + 1, 480)),
    # codes
    "a negative code": lambda m: m.decode(codes(m) - 16, torch.ones(1, 1) if m.scaled else None),
    "a code too large": lambda m: m.decode(codes(m) + 16, torch.ones(1, 1) if m.scaled else None),
    "a code too large, summed": lambda m: m.decode_latent(codes(m) + 16),
    "a code too large, stepped": lambda m: m.decode_step(
        Chunk(codes(m) + 16, scale(m)), m.decoder_state(1)
    ),
    "no chunk": lambda m: m.decode_step(None, m.decoder_state(1)),  # pyright: ignore[reportArgumentType]
    "three things for a chunk": lambda m: m.decode_step((1, 2, 3), m.decoder_state(1)),  # pyright: ignore[reportArgumentType]
    "float codes to the quantizer": lambda m: m.quantizer.decode(codes(m).float()),
    "float codes": lambda m: m.decode(codes(m).float()),
    "NaN codes": lambda m: m.decode(codes(m) * NAN),
    "bool codes": lambda m: m.decode(codes(m) > 3),
    "too many codebooks": lambda m: m.decode(torch.zeros(1, 4, 4, dtype=torch.long)),
    "no codebook": lambda m: m.decode(torch.zeros(1, 0, 4, dtype=torch.long)),
    "codes without batch": lambda m: m.decode(codes(m)[0]),
    "codes elsewhere": lambda m: m.decode(codes(m).to("meta")),
    # scale
    "a wrong scale": lambda m: m.decode(codes(m), torch.ones(1, 7)),
    "a scale or none": lambda m: m.decode(codes(m), None if m.scaled else torch.ones(1, 1)),
    "a NaN scale": lambda m: m.decode(codes(m), torch.full((1, 1), NAN)),
    "a negative scale": lambda m: step(m, 1, m.decoder_state(1), scale=-torch.ones(1)),
    # latents
    "a NaN latent": lambda m: step(m, 1, m.decoder_state(1), latent=latent(m) * NAN),
    "a wide latent": lambda m: step(m, 1, m.decoder_state(1), latent=torch.zeros(1, 99, 4)),
    "integer latents": lambda m: step(m, 1, m.decoder_state(1), latent=latent(m).long()),
    # states
    "more signals than the state": lambda m: m.encode_step(audio(m, 2), m.encoder_state(1)),
    "fewer signals than the state": lambda m: m.encode_step(audio(m, 1), m.encoder_state(4)),
    "more frames than the state": lambda m: step(m, 2, m.decoder_state(1)),
    "many more frames than the state": lambda m: step(m, 64, m.decoder_state(1)),
    "fewer frames than the state": lambda m: step(m, 1, m.decoder_state(4)),
    "later, more signals": lambda m: m.encode_later(audio(m, 2), m.encoder_state(1))[0](),
    "later, more frames": lambda m: m.decode_latent_later(
        latent(m, 2), scale(m, 2), m.decoder_state(1)
    )[0](),
    "the decoder's state to encode": lambda m: m.encode_step(audio(m), m.decoder_state(1)),  # pyright: ignore[reportArgumentType]
    "the encoder's state to decode": lambda m: step(m, 1, m.encoder_state(1)),
    "the decoder's state to flush": lambda m: m.encode_flush(m.decoder_state(1)),  # pyright: ignore[reportArgumentType]
    "no state": lambda m: step(m, 1, None),
    "another model's state": lambda m: m.encode_step(
        audio(m), FAMILIES["dac" if m.name != "dac" else "mimi"]().encoder_state(1)
    ),
    # numbers
    "codebooks 1.5": lambda m: m.set_num_codebooks(1.5),  # pyright: ignore[reportArgumentType]
    "codebooks True": lambda m: m.set_num_codebooks(True),
    "codebooks 0": lambda m: m.set_num_codebooks(0),
    "beam 1.5": lambda m: m.set_beam(1.5),  # pyright: ignore[reportArgumentType]
    "a batch of -1": lambda m: m.encoder_state(-1),
    "a batch of 1.5": lambda m: m.encoder_state(1.5),  # pyright: ignore[reportArgumentType]
    "decoding a batch of -1": lambda m: m.decoder_state(-1),
    "99 codebooks": lambda m: m.encoder_state(1, codebooks=99),
    "0 codebooks": lambda m: m.encoder_state(1, codebooks=0),
    "a state elsewhere": lambda m: m.encoder_state(1, torch.device("meta")),
    "a state on no device": lambda m: m.encoder_state(1, "banana"),  # pyright: ignore[reportArgumentType]
    "moved to no device": lambda m: m.to("xpu"),
    "precision int8": lambda m: m.set_precision("int8"),
    "half": lambda m: m.half(),
    "double": lambda m: m.double(),
    "to a type": lambda m: m.to(torch.bfloat16),
}


def outcome(call: Callable[[CompressionModel], Any], model: CompressionModel, grad: bool) -> str:
    """Say what a call did, in words that pass a pipe."""
    try:
        with torch.set_grad_enabled(grad), torch.inference_mode(not grad):
            call(model)
    except NcodecError as error:
        lines = str(error).splitlines()
        return "ok" if len(lines) == 1 and len(lines[0]) < 200 else f"said {str(error)!r}"
    except BaseException as error:  # whatever it is, it is wrong
        return f"{type(error).__name__}: {error}"
    return "was accepted"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "plain"])
@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_calls_are_refused(
    models: dict[str, CompressionModel], family: str, grad: bool
) -> None:
    """Each call runs in a child that says which it is at, so that a death names the call."""
    model = models[family]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        for name, call in WRONG.items():
            os.write(writing, f"{name}\t".encode())
            os.write(writing, f"{outcome(call, model, grad)[:300]!r}\n".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = dict(line.split("\t") for line in pipe.read().decode().splitlines())
    _, status = os.waitpid(child, 0)
    wrong = {name: what for name, what in said.items() if what != "'ok'"}
    assert wrong == {}
    assert status == 0, f"the process died at {list(said)[-1]!r}"
    assert list(said) == list(WRONG)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_batch_gives_empty_results(
    models: dict[str, CompressionModel], family: str
) -> None:
    model = models[family]
    for grad in (False, True):
        with torch.inference_mode(not grad):
            found, scales = model.encode(audio(model, 0))
            one, own = model.encode(audio(model))
            assert found.shape == (0, *one.shape[1:])
            assert model.decode(found, scales).shape == (0, *model.decode(one, own).shape[1:])
            state = model.encoder_state(0)
            chunks, state = model.encode_step(audio(model, 0, 333), state)
            chunks += model.encode_flush(state)
            alone, state = model.encode_step(audio(model, 1, 333), model.encoder_state(1))
            alone += model.encode_flush(state)
            assert [c.codes.shape[1:] for c in chunks] == [c.codes.shape[1:] for c in alone]
            decoder, other = model.decoder_state(0), model.decoder_state(1)
            for none, one in zip(chunks, alone, strict=True):
                y, decoder = model.decode_step(none, decoder)
                z, other = model.decode_step(one, other)
                assert y.shape == (0, *z.shape[1:])
            assert model.decode_flush(decoder).shape == (0, *model.decode_flush(other).shape[1:])


@pytest.mark.parametrize("family", FAMILIES)
def test_no_frames_and_no_samples(models: dict[str, CompressionModel], family: str) -> None:
    model = models[family]
    found, _ = model.encode(audio(model, 2, 0))
    assert found.shape == (2, 3, 0)
    assert model.decode(found).shape == (2, model.channels, 0)
    assert model.decode_latent(found).shape == (2, model.latent_dim, 0)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_any_sensible_type_is_taken(models: dict[str, CompressionModel], family: str) -> None:
    model, x = models[family], audio(models[family])
    want, scales = model.encode(x)
    heard = model.decode(want, scales)
    whole = (x * 32768).round()
    swapped, backwards = x.double().numpy().astype(">f8"), x.flip(2).numpy()[..., ::-1]
    for same in (x.double(), x.numpy(), swapped, backwards):
        assert torch.equal(model.encode(same)[0], want)
    exact = model.encode(whole / 32768)[0]
    wide, swapped = (whole * 65536).int(), whole.numpy().astype(">i2")
    for same in (whole.short(), whole.short().numpy(), wide, swapped):
        assert torch.equal(model.encode(same)[0], exact)
    eight = model.encode((x * 128).round() / 128)[0]
    assert torch.equal(model.encode(((x * 128).round() + 128).to(torch.uint8))[0], eight)
    assert torch.equal(model.encode(x.bfloat16())[0], model.encode(x.bfloat16().float())[0])
    for kind in (torch.uint8, torch.int16, torch.int32, torch.uint16):
        assert torch.equal(model.decode(want.to(kind), scales), heard)
    numbers = None if scales is None else scales.numpy()
    assert torch.equal(model.decode(want.numpy().astype(np.uint16), numbers), heard)  # pyright: ignore[reportArgumentType]
    model.set_num_codebooks(np.int64(2))  # pyright: ignore[reportArgumentType]
    assert model.encode(x)[0].shape[1] == 2
    model.set_num_codebooks(3)


@pytest.mark.parametrize("family", FAMILIES)
def test_inference_first_and_training_after(family: str) -> None:
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    x = audio(model)
    with torch.inference_mode():
        want, scales = model.encode(x)
        heard = model.decode(want, scales)
    assert torch.equal(model.encode(x)[0], want)
    assert torch.allclose(model.decode(want, scales), heard, atol=1e-5)
    y = model(x)
    assert y.shape == x.shape
    assert torch.allclose(y, heard[..., : x.shape[-1]], atol=1e-5)
    y.square().sum().backward()
    without = [
        name
        for name, weight in model.named_parameters()
        if weight.grad is None and not name.startswith("quantizer")
    ]
    assert without == []
    assert model.requires_grad_(False)(x).requires_grad is False
    quiet = x.clone().requires_grad_()
    model(quiet).sum().backward()
    assert quiet.grad is not None
    assert quiet.grad.abs().sum() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_new_weights_are_used_and_told(family: str) -> None:
    """Whatever mode the model was made and used in."""
    torch.manual_seed(0)
    other = FAMILIES[family]().eval()
    x = audio(other)
    with torch.inference_mode():
        model = FAMILIES[family]().eval()
        model.encode(x)
        before = model.fingerprint
        model.load_state_dict(other.state_dict())
        assert torch.equal(model.encode(x)[0], other.encode(x)[0])
        assert model.fingerprint == other.fingerprint != before
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert model.fingerprint != other.fingerprint


@pytest.mark.parametrize("family", FAMILIES)
def test_states_and_models_survive_pickling(family: str) -> None:
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    x = audio(model, 2)
    with torch.no_grad():
        _, state = model.encode_step(x[..., :200], model.encoder_state(2))
        chunks, scales = model.encode(x)
        first = Chunk(chunks[..., :4], None if scales is None else scales[:, 0])
        _, decoder = model.decode_step(first, model.decoder_state(2))
        want = model.encode_flush(state), model.decode_flush(decoder)
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert twin.fingerprint == model.fingerprint
            got = twin.encode_flush(pickle.loads(pickle.dumps(state)))
            assert all(torch.equal(a.codes, b.codes) for a, b in zip(got, want[0], strict=True))
            assert torch.equal(twin.decode_flush(copy.deepcopy(decoder)), want[1])


@torch.inference_mode()
def test_layers_refuse_what_private_operators_would_not_survive() -> None:
    lstm, conv, linear = LSTM(8, 1), Conv1d(2, 1, 1), Linear(4, 3)
    for batch, states in ((64, 1), (1, 4), (0, 1)):
        with pytest.raises(ArgumentError, match="signals"):
            lstm.step(torch.ones(batch, 8, 5), lstm.initial_state(states))
    with pytest.raises(ArgumentError, match="channels"):
        lstm(torch.ones(1, 4, 5))
    assert lstm(torch.ones(0, 8, 5)).shape == (0, 8, 5)
    with pytest.raises(ArgumentError, match="1 channels"):
        conv(torch.ones(2, 1, 8)[:1])
    assert conv(torch.ones(0, 2, 8)).shape == (0, 1, 8)
    causal = Conv1d(2, 1, 3, padding=(2, 0), pad_mode="reflect")
    with pytest.raises(ArgumentError, match="state"):
        causal.step(torch.ones(1, 2, 8), causal.initial_state(2))
    with pytest.raises(ArgumentError, match="5 values"):
        linear(torch.ones(1, 5))
    assert linear(torch.ones(0, 4)).shape == (0, 3)
    for dim, count, bins in ((0, 1, 8), (4, 0, 8), (4, 1, 0)):
        for made in (ResidualVQ, FactorizedVQ):
            with pytest.raises(ArgumentError, match="at least 1"):
                made(dim, count, bins)


QUANTIZERS: dict[str, Callable[[], Any]] = {
    "residual": lambda: ResidualVQ(8, 3, 16).eval(),
    "factorized": lambda: FactorizedVQ(8, 3, 16, 4).eval(),
    "split": lambda: FAMILIES["mimi"]().quantizer,
}
WRONG_LATENTS: dict[str, Any] = {
    "a list": [[1.0]],
    "two dimensions": torch.zeros(8, 4),
    "other width": torch.zeros(1, 7, 4),
    "integers": torch.zeros(1, 8, 4, dtype=torch.long),
    "nowhere": torch.zeros(1, 8, 4, device="meta"),
}
WRONG_CODES: dict[str, Any] = {
    "a list": [[[1]]],
    "two dimensions": torch.zeros(3, 4, dtype=torch.long),
    "too many codebooks": torch.zeros(1, 4, 4, dtype=torch.long),
    "no codebook": torch.zeros(1, 0, 4, dtype=torch.long),
    "floats": torch.zeros(1, 3, 4),
    "complex": torch.zeros(1, 3, 4, dtype=torch.complex64),
    "bool": torch.zeros(1, 3, 4, dtype=torch.bool),
    "above": torch.full((1, 3, 4), 16),
    "below": torch.full((1, 3, 4), -1),
    "nowhere": torch.zeros(1, 3, 4, dtype=torch.long, device="meta"),
}


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_quantizers_refuse_what_models_refuse(kind: str) -> None:
    quantizer = QUANTIZERS[kind]()
    width = 16 if kind == "split" else 8
    z = torch.zeros(1, width, 4)
    for given in WRONG_LATENTS.values():
        # Of the wider one, the widths of all of these are wrong.
        with pytest.raises(ArgumentError):
            quantizer.encode(given)
    for count in (0, 4, 1.5, True):
        with pytest.raises(ArgumentError):
            quantizer.encode(z, count)
    for given in WRONG_CODES.values():
        with pytest.raises(ArgumentError):
            quantizer.decode(given)
    if kind != "split":
        with pytest.raises(ArgumentError):
            quantizer(z[:, 1:])
    made = quantizer.encode(z)
    for type_ in (torch.int8, torch.uint8, torch.int16, torch.int32):
        assert torch.equal(quantizer.decode(made.to(type_)), quantizer.decode(made))


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"encodec segments"}))
def test_states_that_no_memory_holds(models: dict[str, CompressionModel], family: str) -> None:
    for state in (models[family].encoder_state, models[family].decoder_state):
        with pytest.raises(ArgumentError, match=f"batch {1 << 61}: its state does not fit"):
            state(1 << 61)


def test_codebooks_do_not_learn_from_nan() -> None:
    vq = ResidualVQ(4, 2, 8).train()
    vq(torch.randn(1, 4, 50))
    before = vq.codebook(0).embed.clone()
    spoilt = torch.randn(1, 4, 50)
    spoilt[0, 0, 7] = NAN
    with pytest.raises(ArgumentError, match="finite"):
        vq(spoilt)
    assert torch.equal(vq.codebook(0).embed, before)
    assert ResidualVQ(4, 2, 8).encode(torch.zeros(2, 4, 0), 1, 4).shape == (2, 1, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EncodecConfig(segment=-1.0),
        lambda: EncodecConfig(overlap=2.0),
        lambda: EncodecConfig(norm="x"),
        lambda: EncodecConfig(codebooks=0),
        lambda: EncodecConfig(ratios=()),
        lambda: EncodecConfig(ratios=(2, 0)),
        lambda: EncodecConfig(sample_rate=NAN),  # pyright: ignore[reportArgumentType]
        lambda: DacConfig(bins=1.5),  # pyright: ignore[reportArgumentType]
        lambda: MimiConfig(heads=7),
        lambda: MimiConfig(rope_period=-1.0),
        lambda: MimiConfig(semantic_codebooks=32),
    ],
)
def test_configurations_check_themselves(make: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError, match="must be"):
        make()


def test_a_beam_belongs_to_the_streams_that_began_with_it() -> None:
    torch.manual_seed(0)
    model = FAMILIES["encodec"]().eval()
    x = audio(model, 1, 2000)
    with torch.no_grad():
        greedy, _ = model.encode(x)
        state = model.encoder_state(1)
        model.set_beam(8)
        assert not torch.equal(model.encode(x)[0], greedy)
        chunks, state = model.encode_step(x, state)
    found = torch.cat([c.codes for c in [*chunks, *model.encode_flush(state)]], dim=2)
    assert torch.equal(found, greedy)


def test_loaded_models_are_frozen_and_quick_to_open_streams_on() -> None:
    model = ncodec.load_model()
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not model.training
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    x = torch.randn(1, 1, 3200) * 0.1
    assert isinstance(model.decode(model.encode(x)[0]).numpy(), np.ndarray)
    assert model(x).shape == x.shape
    asked = list[int]()
    compute = model._hashed._compute

    def counted(*tensors: torch.Tensor) -> bytes:
        asked.append(len(tensors))
        return compute(*tensors)

    model._hashed._compute = counted
    first = model.fingerprint
    assert [model.fingerprint for _ in range(3)] == [first] * 3
    assert len(asked) == 1


@pytest.mark.parametrize("device", ["banana", "cuda:99", "cuda:x", "meta", 3])
def test_devices_that_are_not_there(device: Any) -> None:
    with pytest.raises(NcodecError, match="this machine has"):
        ncodec.load_model(device=device)


@pytest.mark.parametrize("model", [3, 1.5, ["ncodec_24khz"]])
def test_models_of_wrong_types(model: Any) -> None:
    with pytest.raises(NcodecError):
        ncodec.load_model(model)


def test_bf16_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncodec.runtime.has_bf16", lambda device: False)
    for family in FAMILIES.values():
        with pytest.raises(DeviceError, match=r"cpu has none; use float32"):
            family().set_precision("bf16")


@needs_bf16
def test_bf16_ends_the_streams_of_float32_and_follows_new_weights() -> None:
    torch.manual_seed(0)
    model, other = FAMILIES["encodec"]().eval(), FAMILIES["encodec"]().eval()
    state, before = model.encoder_state(1), model.fingerprint
    model.set_precision("bf16")
    assert model.fingerprint == before
    assert copy.deepcopy(model).fingerprint == before
    assert model.dtype == torch.bfloat16
    with pytest.raises(ArgumentError, match="in float32: this is encodec in bf16"):
        model.encode_step(audio(model), state)
    for changed in (model.float, model.bfloat16, model.half):
        with pytest.raises(ArgumentError, match="computes in"):
            changed()
    model.load_state_dict(other.state_dict())
    assert model.fingerprint not in (before, other.fingerprint)


def test_silence_follows_the_weights() -> None:
    torch.manual_seed(0)
    model, other = FAMILIES["encodec"]().eval(), FAMILIES["encodec"]().eval()
    before = silent_latent(model, model.device)
    assert silent_latent(model, model.device) is before
    model.load_state_dict(other.state_dict())
    assert torch.equal(silent_latent(model, model.device), silent_latent(other, other.device))
    assert not torch.equal(silent_latent(model, model.device), before)
