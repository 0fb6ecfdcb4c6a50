"""SI-SDR, spectral distances, loudness and alignment on signals whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
import torch

from ncodec import metrics
from ncodec.errors import ArgumentError
from ncodec.metrics import spectral
from tests.oracle.reference import randomise  # noqa: F401  (makes room for torchaudio)

DATA = Path(__file__).parent.parent / "data"
SPEECH, RATE = sf.read(DATA / "speech.flac")
MUSIC, _ = sf.read(DATA / "music.flac")


def noise_at(signal: np.ndarray, snr_db: float) -> np.ndarray:
    """Noise orthogonal to the signal, of exactly this signal-to-noise ratio, both without mean."""
    signal = signal - signal.mean()
    noise = np.random.default_rng(0).standard_normal(len(signal))
    noise -= noise.mean()
    noise -= signal * (noise @ signal) / (signal @ signal)
    return noise * np.sqrt((signal @ signal) / (noise @ noise)) * 10 ** (-snr_db / 20)


def sine(level_db: float, seconds: float, hz: float = 1000.0, rate: int = 48000) -> np.ndarray:
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


class TestSiSdr:
    @pytest.mark.parametrize("snr", [-10.0, 0.0, 20.0])
    @pytest.mark.parametrize("gain", [1.0, 0.1])
    def test_is_the_snr_at_any_gain(self, snr: float, gain: float) -> None:
        decoded = gain * (SPEECH + noise_at(SPEECH, snr))
        assert metrics.si_sdr(SPEECH, decoded) == pytest.approx(snr, abs=1e-9)

    def test_edges(self) -> None:
        assert metrics.si_sdr(SPEECH, 0.5 * SPEECH) > 200
        assert metrics.si_sdr(SPEECH, np.zeros_like(SPEECH)) == -np.inf
        assert np.isnan(metrics.si_sdr(np.zeros_like(SPEECH), SPEECH))

    def test_channels_are_averaged(self) -> None:
        decoded = np.stack([SPEECH + noise_at(SPEECH, 10), SPEECH + noise_at(SPEECH, 20)])
        assert metrics.si_sdr(np.stack([SPEECH, SPEECH]), decoded) == pytest.approx(15)

    def test_an_offset_does_not_count(self) -> None:
        assert metrics.si_sdr(SPEECH, SPEECH + noise_at(SPEECH, 15) + 0.1) == pytest.approx(15)


class TestSpectra:
    def test_same_is_zero(self) -> None:
        assert metrics.log_mel_distance(MUSIC, MUSIC, RATE) == 0
        assert metrics.multi_resolution_stft_distance(MUSIC, MUSIC, RATE) == 0

    def test_a_gain_makes_itself(self) -> None:
        noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
        assert metrics.log_mel_distance(noise, noise / 2, RATE) == pytest.approx(6.0206, abs=1e-3)
        assert metrics.multi_resolution_stft_distance(noise, noise / 2, RATE) == pytest.approx(
            0.5 + np.log(2), abs=1e-3
        )

    def test_below_the_floor_nothing_counts(self) -> None:
        quiet = sine(-120, 1.0, rate=RATE)
        assert metrics.log_mel_distance(quiet, np.zeros_like(quiet), RATE) == 0
        assert np.isnan(metrics.multi_resolution_stft_distance(0 * quiet, quiet, RATE))

    def test_full_scale_sine_reads_zero_db(self) -> None:
        tone = sine(0, 1.0, 3000.0, RATE)
        power = spectral.power_spectra(tone[None], 1024, 256, 1024)[0, :, 40]
        gain = (np.hanning(1025)[:-1].sum() / 2) ** 2
        filters = spectral.mel_filters(RATE, 1024, 80, equal_area=False, widen=True)
        assert 10 * np.log10((filters @ power / gain).max()) == pytest.approx(0, abs=1.5)

    def test_mel_filters_are_those_of_transformers(self) -> None:
        from transformers.audio_utils import mel_filter_bank

        theirs = mel_filter_bank(
            num_frequency_bins=513,
            num_mel_filters=80,
            min_frequency=0.0,
            max_frequency=12000.0,
            sampling_rate=24000,
            norm=None,
            mel_scale="slaney",
        ).T
        assert np.abs(spectral.mel_filters(24000, 1024, 80, equal_area=False) - theirs).max() < 1e-6

    def test_stft_distance_is_that_of_torch_spectra(self) -> None:
        decoded = SPEECH + noise_at(SPEECH, 10)
        total = 0.0
        for size, hop, window in spectral.RESOLUTIONS:
            A, B = (
                torch.stft(
                    torch.from_numpy(x),
                    size,
                    hop,
                    window,
                    torch.hann_window(window, dtype=torch.float64),
                    pad_mode="constant",
                    return_complex=True,
                )
                .abs()
                .clamp(min=1e-7)
                for x in (SPEECH, decoded)
            )
            total += float((A - B).norm() / A.norm() + (A.log() - B.log()).abs().mean())
        ours = metrics.multi_resolution_stft_distance(SPEECH, decoded, RATE)
        assert ours == pytest.approx(total / 3, rel=1e-6)

    def test_noise_costs_more_the_louder(self) -> None:
        for metric in (metrics.log_mel_distance, metrics.multi_resolution_stft_distance):
            at = [metric(SPEECH, SPEECH + noise_at(SPEECH, snr), RATE) for snr in (30, 10, 0)]
            assert at == sorted(at)


class TestLoudness:
    def test_calibration_of_the_standard(self) -> None:
        # BS.1770-4: a 0 dBFS sine of 997 Hz in one channel reads -3.01 LUFS.
        assert metrics.loudness(sine(0, 5, 997), 48000) == pytest.approx(-3.01, abs=0.02)

    @pytest.mark.parametrize("rate", [24000, 44100, 48000])
    def test_sine_in_both_channels(self, rate: int) -> None:
        # EBU Tech 3341, case 1: stereo 1 kHz at -23 dBFS reads -23 LUFS within 0.1.
        tone = sine(-23, 5, rate=rate)
        assert metrics.loudness(np.stack([tone, tone]), rate) == pytest.approx(-23, abs=0.1)

    def test_quiet_parts_are_gated(self) -> None:
        # EBU Tech 3341, case 3: -36, -23, -36 dBFS for 10, 60, 10 s read -23 LUFS within 0.1.
        tone = np.concatenate([sine(-36, 10), sine(-23, 60), sine(-36, 10)])
        assert metrics.loudness(np.stack([tone, tone]), 48000) == pytest.approx(-23, abs=0.1)

    def test_low_frequencies_weigh_less(self) -> None:
        # BS.1770-4's weighting at 40 Hz is about 6 dB under that at 1 kHz.
        low, mid = (metrics.loudness(sine(-20, 5, hz), 48000) for hz in (40, 997))
        assert mid - low == pytest.approx(6.1, abs=0.6)

    def test_difference(self) -> None:
        assert metrics.loudness_difference(MUSIC, 0.5 * MUSIC, RATE) == pytest.approx(
            -6.02, abs=0.01
        )
        assert metrics.loudness_difference(0 * MUSIC, 0 * MUSIC, RATE) == 0
        assert metrics.loudness_difference(MUSIC, 0 * MUSIC, RATE) == -np.inf
        assert metrics.loudness(MUSIC[:100], RATE) < 0


class TestAlignment:
    @pytest.mark.parametrize("lag", [0, 1, 37, 2400, -1, -500])
    def test_a_known_delay_is_found_and_undone(self, lag: int) -> None:
        moved = np.concatenate([np.zeros(max(lag, 0)), SPEECH[max(-lag, 0) :]])
        moved = 0.3 * (moved + noise_at(moved, 40))
        assert metrics.delay(SPEECH, moved, RATE) == lag
        aligned = metrics.align(SPEECH, moved, RATE)
        assert aligned.shape == (1, len(SPEECH))
        inner = slice(max(-lag, 0), len(SPEECH) - max(lag, 0))
        assert metrics.si_sdr(SPEECH[inner], aligned[0, inner]) == pytest.approx(40, abs=0.3)

    def test_envelopes_serve_where_waveforms_differ(self) -> None:
        # Noise under the speech's envelope: nothing of the waveform is left.
        level = np.repeat(np.abs(SPEECH[: len(SPEECH) // 240 * 240]).reshape(-1, 240).mean(1), 240)
        vocoded = level * np.random.default_rng(0).standard_normal(len(level))
        late = np.concatenate([np.zeros(1200), vocoded])
        assert metrics.delay(SPEECH, late, RATE) == pytest.approx(1200, abs=72)

    def test_a_codec_that_keeps_time_is_not_moved_by_a_period(self) -> None:
        tone = sine(-10, 2, 200, RATE)  # its period of 120 samples fits as well as no delay
        decoded = tone * np.linspace(1, 0.2, len(tone)) + noise_at(tone, 0)
        assert metrics.delay(tone, decoded, RATE) == 0

    def test_silence_and_noise_have_no_delay(self) -> None:
        noise = np.random.default_rng(1).standard_normal(len(SPEECH))
        assert metrics.delay(SPEECH, np.zeros(1000), RATE) == 0
        assert metrics.delay(SPEECH, noise, RATE) == 0

    def test_channels_follow_the_reference(self) -> None:
        stereo = np.stack([SPEECH, SPEECH])
        assert metrics.align(stereo, SPEECH, RATE).shape == stereo.shape
        assert np.array_equal(metrics.align(SPEECH, stereo, RATE)[0], SPEECH)


@pytest.mark.parametrize("bad", [np.zeros((1, 2, 3)), np.array([np.nan, 0.0])])
def test_bad_signals_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ArgumentError):
        metrics.si_sdr(bad, bad)
    with pytest.raises(ArgumentError, match="no samples"):
        metrics.si_sdr(np.zeros(0), np.zeros(0))


def test_rates_other_than_the_models() -> None:
    at48 = [soxr.resample(x, RATE, 48000) for x in (SPEECH, SPEECH + noise_at(SPEECH, 20))]
    at24 = (SPEECH, SPEECH + noise_at(SPEECH, 20))
    ratio = metrics.log_mel_distance(*at48, 48000) / metrics.log_mel_distance(*at24, RATE)
    assert 0.5 < ratio < 1.5
