"""What the embedded model promises, on recordings that it was not trained on."""

from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor

import ncodec
from ncodec.metrics import log_mel_distance, loudness_difference, si_sdr

DATA = Path(__file__).parents[1] / "data"
MODEL = ncodec.load_model()


def clip(name: str) -> Tensor:
    samples, rate = soundfile.read(DATA / name, dtype="float32")
    assert rate == MODEL.sample_rate
    return torch.from_numpy(samples)[None, None, : 4 * rate]


@torch.no_grad()
def coded(audio: Tensor, codebooks: int) -> Tensor:
    codes, _ = MODEL.encode(audio)
    return MODEL.decode(codes[:, :codebooks])[..., : audio.shape[-1]]


def level(audio: Tensor) -> float:
    """Return the level in dB of full scale."""
    return float(10 * torch.log10(audio.square().mean() + 1e-20))


@pytest.mark.parametrize("codebooks", [1, 2, 4, 8, 16])
def test_silence_stays_silent(codebooks):
    assert level(coded(torch.zeros(1, 1, 24000), codebooks)) < -70


def test_silence_after_sound_is_silent_once_the_filters_have_run_out():
    audio = torch.cat([clip("speech.flac")[..., :24000], torch.zeros(1, 1, 48000)], dim=-1)
    assert level(coded(audio, 8)[..., 48000:]) < -70


@pytest.mark.parametrize("name", ["speech.flac", "music.flac"])
@pytest.mark.parametrize("codebooks", [2, 8, 16])
def test_loudness_offset_and_peaks_stay(name, codebooks):
    audio = clip(name)
    decoded = coded(audio, codebooks)
    difference = loudness_difference(audio[0].numpy(), decoded[0].numpy(), MODEL.sample_rate)
    assert abs(difference) < (1.5 if codebooks > 2 else 4)
    assert abs(float(decoded.mean())) < 1e-4
    overshoot = float(decoded.abs().max()) / float(audio.abs().max())
    assert overshoot < (1.2 if codebooks > 2 else 1.4)


@pytest.mark.parametrize("name", ["speech.flac", "music.flac"])
def test_every_bandwidth_is_nearer_than_the_one_below(name):
    audio = clip(name)
    distances = [
        log_mel_distance(audio[0].numpy(), coded(audio, n)[0].numpy(), MODEL.sample_rate)
        for n in (2, 4, 8, 16)
    ]
    assert distances == sorted(distances, reverse=True)


def test_waveform_is_followed_where_codes_suffice():
    audio = clip("music.flac")
    assert si_sdr(audio[0].numpy(), coded(audio, 16)[0].numpy()) > 0


@torch.inference_mode()
def test_streams_side_by_side_get_the_codes_they_get_alone():
    audio = clip("speech.flac")[..., : 64 * 3 * MODEL.hop].view(64, 1, 3 * MODEL.hop)

    def frame_by_frame(streams: Tensor) -> Tensor:
        state, codes = MODEL.encoder_state(len(streams)), list[Tensor]()
        for samples in streams.split(MODEL.hop, dim=-1):
            (chunk,), state = MODEL.encode_step(samples, state)
            codes.append(chunk.codes)
        return torch.cat(codes, dim=-1)

    alone = torch.cat([frame_by_frame(stream[None]) for stream in audio])
    assert torch.equal(frame_by_frame(audio), alone)
