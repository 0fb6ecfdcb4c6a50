"""The live engine under a simulated clock: no devices, no threads, as fast as the machine goes."""

import itertools

import numpy as np
import psutil
import pytest

from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.errors import ArgumentError
from ncodec.live.engine import LiveEngine
from ncodec.live.loopback import Loopback
from tests.codec.conftest import ToyModel
from tests.live.simulated_devices import Devices

RATE = 24000


def make(model, **options):
    loopback = Loopback(model, sample_rate=RATE, channels=1, output_rate=RATE, **options)
    return LiveEngine(loopback, output_channels=1, prefill=0.08)


def noise(at, count):
    """Noise that is a function of the time alone."""
    return 0.1 * np.sin((np.arange(at, at + count) % 99991) ** 2 * 0.37)


def test_it_plays_what_encoder_and_decoder_give(model):
    engine = make(model, codebooks=6)
    heard = Devices(engine, source=noise).run(4)
    encoder = StreamEncoder(model, sample_rate=RATE, channels=1, codebooks=6, packet_frames=1)
    decoder = StreamDecoder(model, encoder.header)
    x = noise(0, 4 * RATE)[None].astype(np.float32)
    expected = np.concatenate([decoder.push(p) for p in encoder.push(x)], axis=1)[0]
    begin = int(np.flatnonzero(heard)[0])
    body = heard[begin:]
    offset = next(at for at in range(RATE) if np.array_equal(expected[at : at + 500], body[:500]))
    count = min(len(body), len(expected) - offset)
    assert count > 3 * RATE
    assert np.array_equal(body[:count], expected[offset : offset + count])
    stats = engine.stats()
    assert (stats.underruns, stats.overruns, stats.drift_ppm) == (0, 0, 0)


def test_the_latency_that_it_states_is_the_one_that_is_heard(model):
    engine = make(model)
    engine.loopback.bypass = True
    devices = Devices(engine, source=noise, jitter=0.004)
    heard = devices.run(6)
    at = 4 * RATE
    segment = heard[at : at + 4000]
    x = noise(0, at + 4000)
    lag = next(d for d in range(RATE) if np.allclose(x[at - d : at - d + 4000], segment, atol=1e-6))
    true = lag / RATE + devices.output_at + 0.03
    assert engine.stats().latency == pytest.approx(true, abs=0.003)
    assert true < 0.2
    assert engine.stats().algorithmic_latency == pytest.approx(320 / RATE)


def test_bypass_and_codec_are_heard_at_the_same_delay(model):
    engine = make(model, codebooks=10)
    devices = Devices(engine, source=noise)
    coded = devices.run(2)
    engine.loopback.bypass = True
    both = devices.run(2)[len(coded) + RATE // 2 :]
    begin = len(coded) + RATE // 2

    def lag(segment, at, reference):
        corr = [np.dot(segment, reference[at - d : at - d + len(segment)]) for d in range(6000)]
        return int(np.argmax(np.abs(corr)))

    straight = lag(both[:4000], begin, noise(0, 5 * RATE))
    loopback = Loopback(model, sample_rate=RATE, channels=1, output_rate=RATE, codebooks=10)
    known = loopback.push(noise(0, 5 * RATE)[None].astype(np.float32))[0]
    assert lag(coded[RATE : RATE + 4000], RATE, known) == straight


@pytest.mark.slow
def test_half_an_hour_of_unlike_clocks():
    rate, ppm = 8000, -150
    tone = 2 * np.pi * 440 / rate
    light = ToyModel(rate=rate, hop=320, codebooks=2)
    loopback = Loopback(light, sample_rate=rate, channels=1, output_rate=rate, packet_frames=8)
    loopback.bypass = True
    engine = LiveEngine(loopback, output_channels=1, prefill=0.08)
    devices = Devices(
        engine, ppm=ppm, block=400, output_block=500, jitter=0.003,
        source=lambda at, count: 0.5 * np.sin(tone * np.arange(at, at + count)),
    )  # fmt: skip
    devices.run(60, keep=False)
    latency, memory = engine.stats().latency, psutil.Process().memory_info().rss
    devices.run(29 * 60, keep=False)
    stats = engine.stats()
    assert (stats.underruns, stats.overruns) == (0, 0)
    # Left alone, the clocks would have moved it by 261 ms.
    assert stats.latency == pytest.approx(latency, abs=0.020)
    assert psutil.Process().memory_info().rss - memory < 8e6
    heard = devices.run(20)
    # Each sample of a tone follows from the two before it, unless something was cut out.
    rest = heard[2:] + heard[:-2] - 2 * np.cos(tone) * heard[1:-1]
    assert np.abs(rest).max() < 1e-3, "a click"


def test_a_stall_is_counted_and_its_delay_is_given_back():
    light = ToyModel(rate=8000, hop=320, codebooks=2)
    loopback = Loopback(light, sample_rate=8000, channels=1, output_rate=8000)
    engine = LiveEngine(loopback, output_channels=1, prefill=0.08)
    devices = Devices(engine, block=160, output_block=200)
    devices.run(6)
    before = engine.stats().latency
    devices.stalled = lambda now: now < 6.5
    devices.run(0.6)
    stalled = engine.stats()
    assert stalled.underruns > 0
    devices.run(6)
    after = engine.stats()
    assert after.underruns == stalled.underruns
    assert after.latency < before + 0.25 + 0.06
    devices.run(90, keep=False)
    assert engine.stats().latency < before + 0.16


def test_an_output_that_stood_still_is_not_late_ever_after(model):
    engine = make(model)
    devices = Devices(engine, source=noise)
    devices.run(3)
    before = engine.stats().latency
    devices.output_at += 0.2
    devices.lost = True
    devices.run(6, keep=False)
    assert engine.stats().underruns == 1
    assert engine.stats().latency == pytest.approx(before, abs=0.03)


def test_what_piles_up_while_devices_start_is_not_kept_as_delay(model):
    engine = make(model)
    devices = Devices(engine, source=noise)
    devices.stalled = lambda now: now < 1.0
    devices.run(3)
    assert engine.stats().latency < 0.2
    assert engine.stats().underruns == 0


@pytest.mark.parametrize("phase", [0.001, 0.013, 0.026, 0.049])
@pytest.mark.parametrize(("burst", "output_burst"), [(0.05, 0.05), (0.1, 0.01), (0.01, 0.1)])
def test_devices_that_take_and_give_in_bursts_need_no_more_prefill(phase, burst, output_burst):
    """However the bursts of the two lie to each other, and without more delay than they make."""
    rate = 8000
    light = ToyModel(rate=rate, hop=80, codebooks=2)
    loopback = Loopback(light, sample_rate=rate, channels=1, output_rate=rate)
    engine = LiveEngine(loopback, output_channels=1, prefill=0.01)
    devices = Devices(engine, block=round(burst * rate), output_block=round(output_burst * rate))
    devices.output_at = phase
    devices.run(6, keep=False)
    stats = engine.stats()
    assert (stats.underruns, stats.overruns) == (0, 0)
    # The simulated speaker is 30 ms behind its callback; a frame and the resampler take 12 ms.
    assert stats.latency < 0.030 + burst + output_burst + 0.01 + 0.012


def test_codebooks_are_chosen_while_it_runs(model):
    engine = make(model, codebooks=4)
    packets = []
    engine.loopback.on_packet = packets.append
    devices = Devices(engine, source=noise)
    for count in (1, 8, 3):
        engine.loopback.codebooks = count
        devices.run(0.5)
        assert engine.stats().kbps == pytest.approx(count * 5 * 75 / 1000)
    layers = [len(list(group)) for _, group in itertools.groupby(p.codes.shape[0] for p in packets)]
    assert [packets[0].codes.shape[0], packets[-1].codes.shape[0]] == [1, 3]
    assert len(layers) == 3


def test_muted_is_silence_to_the_codec(model):
    engine = make(model)
    engine.loopback.muted = True
    packets = []
    engine.loopback.on_packet = packets.append
    Devices(engine, source=noise).run(1)
    codes = np.concatenate([p.codes for p in packets], axis=2)
    assert (codes == codes[:, :, :1]).all()


def test_devices_at_other_rates_are_resampled(model):
    loopback = Loopback(model, sample_rate=48000, channels=1, output_rate=44100)
    loopback.bypass = True
    t = np.arange(48000) / 48000
    x = np.sin(2 * np.pi * 1000 * t)[None].astype(np.float32)
    parts = [loopback.push(x[:, i : i + loopback.block]) for i in range(0, 48000, loopback.block)]
    y = np.concatenate(parts, axis=1)[0][2000:40000]
    assert loopback.block == 640
    assert loopback.header.source_rate == 48000
    t = np.arange(2000, 2000 + len(y)) / 44100
    assert np.abs(y - np.sin(2 * np.pi * 1000 * t)).max() < 1e-3


@pytest.mark.parametrize("prefill", [-0.1, 6.0])
def test_prefill_has_bounds(model, prefill):
    loopback = Loopback(model, sample_rate=RATE, channels=1, output_rate=RATE)
    with pytest.raises(ArgumentError, match="prefill"):
        LiveEngine(loopback, output_channels=1, prefill=prefill)
