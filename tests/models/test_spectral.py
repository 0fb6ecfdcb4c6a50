"""SpectralCodec: streams equal wholes, what a sample depends on is finite, promises hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ncodec.config import SpectralConfig
from ncodec.dsp.erb import erb_bands
from ncodec.dsp.mdct import mdct_basis
from ncodec.dsp.overlap_add import overlap_add
from ncodec.errors import ArgumentError
from ncodec.models.records import Chunk
from ncodec.models.spectral import SpectralCodec
from ncodec.models.spectral_net import FrameBlock
from tests.machine import needs_bf16

TINY = SpectralConfig(
    sample_rate=8000,
    hop=16,
    codebooks=3,
    cardinality=32,
    latent=10,
    envelope=3,
    bands=5,
    encoder_width=8,
    encoder_depth=2,
    decoder_width=12,
    decoder_depth=2,
    expansion=2,
    kernel=3,
)


def tiny(seed: int = 0) -> SpectralCodec:
    torch.manual_seed(seed)
    model = SpectralCodec(TINY, name="tiny").eval()
    with torch.no_grad():  # the nets start at almost nothing: make them count
        torch.nn.init.normal_(model.encoder.output.weight, std=0.3)
        for parameter in model.decoder.parameters():
            parameter.mul_(1.5)
    return model


MODEL = tiny()


def signal(samples: int, batch: int = 1) -> Tensor:
    return 0.3 * torch.randn(batch, 1, samples, generator=torch.Generator().manual_seed(samples))


@torch.no_grad()
def encode_in(model: SpectralCodec, audio: Tensor, sizes: list[int]) -> Tensor:
    state = model.encoder_state(len(audio))
    chunks: list[Chunk] = []
    for part in audio.split(sizes, dim=-1):
        new, state = model.encode_step(part, state)
        chunks += new
    chunks += model.encode_flush(state)
    empty = torch.zeros(len(audio), model.num_codebooks, 0, dtype=torch.int64)
    return torch.cat([empty, *(chunk.codes for chunk in chunks)], dim=-1)


@torch.no_grad()
def decode_in(model: SpectralCodec, codes: Tensor, sizes: list[int]) -> Tensor:
    state = model.decoder_state(len(codes))
    parts: list[Tensor] = []
    for part in codes.split(sizes, dim=-1):
        y, state = model.decode_step(Chunk(part, None), state)
        parts.append(y)
    return torch.cat([*parts, model.decode_flush(state)], dim=-1)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_codes_do_not_depend_on_how_the_samples_come(sizes):
    audio = signal(sum(sizes), 2)
    with torch.no_grad():
        whole, scale = MODEL.encode(audio)
    assert scale is None
    assert whole.shape == (2, 3, -(-sum(sizes) // 16))
    assert torch.equal(encode_in(MODEL, audio, sizes), whole)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_audio_does_not_depend_on_how_the_codes_come(sizes):
    generator = torch.Generator().manual_seed(sum(sizes))
    codes = torch.randint(0, 32, (2, 3, sum(sizes)), generator=generator)
    with torch.no_grad():
        whole = MODEL.decode(codes)
    assert whole.shape == (2, 1, 16 * sum(sizes))
    assert torch.allclose(decode_in(MODEL, codes, sizes), whole, atol=5e-5)


@pytest.mark.parametrize("samples", [0, 1, 15, 16, 17])
def test_short_signals(samples):
    with torch.no_grad():
        codes, _ = MODEL.encode(signal(samples))
        assert codes.shape[-1] == -(-samples // 16)
        assert MODEL.decode(codes).shape == (1, 1, 16 * codes.shape[-1])


@torch.no_grad()
def test_a_state_can_be_used_again():
    audio = signal(200)
    first, state = MODEL.encode_step(audio[..., :100], MODEL.encoder_state(1))
    one, _ = MODEL.encode_step(audio[..., 100:], state)
    two, _ = MODEL.encode_step(audio[..., 100:], state)
    assert torch.equal(one[0].codes, two[0].codes)
    _, decoder = MODEL.decode_step(first[0], MODEL.decoder_state(1))
    a, _ = MODEL.decode_step(one[0], decoder)
    b, _ = MODEL.decode_step(one[0], decoder)
    assert torch.equal(a, b)


@torch.no_grad()
def test_a_code_changes_audio_from_three_frames_before_it_and_not_after_its_reach():
    codes = torch.randint(0, 32, (1, 3, 60))
    other = codes.clone()
    other[..., 20] = (codes[..., 20] + 1) % 32
    differs = (MODEL.decode(codes) != MODEL.decode(other))[0, 0].view(60, 16).any(dim=1)
    changed = differs.nonzero().flatten()
    assert MODEL.latency_samples == 3 * 16
    assert changed[0] == 20 - MODEL.postroll_frames
    assert changed[-1] <= 20 + MODEL.preroll_frames


@torch.no_grad()
def test_a_frame_of_codes_waits_for_no_later_sample():
    audio = signal(800)
    later = audio.clone()
    later[..., 480:] = 0
    a, b = MODEL.encode(audio)[0], MODEL.encode(later)[0]
    assert torch.equal(a[..., :30], b[..., :30])
    assert not torch.equal(a[..., 30:], b[..., 30:])


@torch.no_grad()
def test_decoding_from_preroll_frames_earlier_is_exact():
    codes = torch.randint(0, 32, (1, 3, 40))
    whole = MODEL.decode(codes)
    late = MODEL.decode(codes[..., 10:])
    exact = 16 * MODEL.preroll_frames
    assert torch.allclose(late[..., exact:], whole[..., 160 + exact :], atol=5e-5)


@torch.no_grad()
def test_fewer_codebooks_are_a_prefix():
    audio = signal(320)
    whole, _ = MODEL.encode(audio)
    chunks, _ = MODEL.encode_step(audio, MODEL.encoder_state(1, codebooks=2))
    assert torch.equal(chunks[0].codes, whole[:, :2])
    latent = MODEL.decode_latent(whole[:, :1])
    assert latent.shape == (1, 10, 20)
    assert torch.equal(latent[0, :, 4], MODEL.quantizer.codebook(0).embed[whole[0, 0, 4]])


@torch.no_grad()
def test_training_maps_are_the_models_own():
    audio = signal(320)
    codes, _ = MODEL.encode(audio)
    latent = MODEL.to_latent(audio)
    assert torch.equal(MODEL.quantizer.encode(latent), codes)
    decoded = MODEL.from_latent(MODEL.decode_latent(codes))
    assert torch.equal(decoded, MODEL.decode(codes))


@torch.inference_mode()
def test_streams_side_by_side_are_coded_as_alone():
    model = tiny()
    for half in (False, True):  # both ways of packing weights
        if half:
            for parameter in model.parameters():
                parameter.copy_(parameter.half())
        audio = signal(160, 7)
        together = encode_in(model, audio, [16] * 10)
        alone = torch.cat([encode_in(model, one[None], [16] * 10) for one in audio])
        assert torch.equal(together, alone)
        heard = torch.cat([decode_in(model, one[None], [1] * 10) for one in alone])
        assert torch.allclose(decode_in(model, together, [1] * 10), heard, atol=1e-5)


@needs_bf16
@torch.no_grad()
def test_bf16_is_close_and_keeps_the_fingerprint():
    model, audio = tiny(), signal(3200, 2)
    exact, fingerprint = model.encode(audio)[0], model.fingerprint
    heard = model.decode(exact)
    model.set_precision("bf16")
    assert model.fingerprint == fingerprint
    codes = encode_in(model, audio, [3200])
    assert 0.6 < (codes == exact)[:, 0].float().mean() < 1
    difference = model.decode(exact) - heard
    assert 0 < difference.square().mean() < 1e-3 * heard.square().mean()
    assert model.decode(exact).dtype == torch.float32


def test_gradients_reach_every_weight():
    model = tiny()
    model.from_latent(model.to_latent(signal(320))).square().sum().backward()
    without = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_default_keeps_its_promises():
    """75 frames and 0.75 to 12 kbps, 40 ms of look-ahead, at most 25 MB and 1.6 GFLOP a second."""
    model = SpectralCodec(SpectralConfig())
    assert model.frame_rate == 75
    assert model.bandwidths[0] == pytest.approx(0.75)
    assert model.bandwidths[-1] == pytest.approx(12)
    assert model.latency_samples / model.sample_rate <= 0.040
    assert 2 * sum(v.numel() for v in model.state_dict().values()) <= 25e6
    products = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    codebooks = sum(model.quantizer.codebook(k).embed.numel() for k in range(16))
    transforms = 2 * model.mdct.numel() + 2 * 5 * 1280 * 10  # MDCTs; FFTs at 5 n log2(n)
    assert 2 * 75 * (products + codebooks + transforms) <= 1.6e9


def test_configurations_that_cannot_be_are_said():
    with pytest.raises(ArgumentError, match="envelope 80"):
        SpectralConfig(envelope=80)
    with pytest.raises(ArgumentError, match="kernel 0"):
        SpectralConfig(kernel=0)


def test_the_mdct_gives_the_signal_back_by_overlap():
    basis = mdct_basis(16)
    x = torch.randn(1, 16 * 12, dtype=torch.float32)
    frames = x.unfold(-1, 32, 16) @ basis @ basis.T
    y, _ = overlap_add(frames, 16, torch.zeros(1, 16))
    assert torch.allclose(y[:, 16:], x[:, 16:-16], atol=1e-5)


def test_bands_share_every_bin():
    bands = erb_bands(641, 32, 24000)
    assert torch.allclose(bands.sum(0), torch.ones(641), atol=1e-5)
    assert bool((bands.sum(1) > 0).all())


def test_one_frame_and_many_take_the_same_way():
    block = FrameBlock(6, 2, 3).eval()
    x = torch.randn(1, 5, 6)
    whole, _ = block.step(x, torch.zeros(1, 2, 6))
    past = torch.zeros(1, 2, 6)
    parts: list[Tensor] = []
    for frame in x.split(1, dim=1):
        y, past = block.step(frame, past)
        parts.append(y)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-5)
