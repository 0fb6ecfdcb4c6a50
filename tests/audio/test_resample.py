import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec.audio import Resampler, mix_channels, resampled_length

RATES = (8000, 16000, 22050, 24000, 44100, 48000, 96000)


def run(x, in_rate, out_rate, cuts=()):
    resampler = Resampler(in_rate, out_rate, x.shape[0])
    parts = [resampler.push(part) for part in np.split(x, sorted(cuts), axis=1)]
    return np.concatenate([*parts, resampler.finish()], axis=1)


@settings(deadline=None)
@given(
    in_rate=st.sampled_from(RATES),
    out_rate=st.sampled_from(RATES),
    samples=st.integers(0, 5000),
    channels=st.integers(1, 8),
    data=st.data(),
)
def test_length_and_samples_do_not_depend_on_the_pushes(in_rate, out_rate, samples, channels, data):
    x = np.random.default_rng(samples).standard_normal((channels, samples)).astype(np.float32)
    cuts = data.draw(st.lists(st.integers(0, samples), max_size=6))
    whole = run(x, in_rate, out_rate)
    assert whole.shape == (channels, -(-samples * out_rate // in_rate))
    np.testing.assert_array_equal(run(x, in_rate, out_rate, cuts), whole)


@pytest.mark.parametrize("in_rate", RATES)
@pytest.mark.parametrize("out_rate", [24000, 48000])
def test_a_tone_keeps_its_place_and_level(in_rate, out_rate):
    t = np.arange(in_rate // 2)
    tone = np.sin(2 * np.pi * 440 * t / in_rate).astype(np.float32)[None]
    y = run(tone, in_rate, out_rate)
    want = np.sin(2 * np.pi * 440 * np.arange(y.shape[1]) / out_rate)
    middle = slice(y.shape[1] // 10, -y.shape[1] // 10)
    np.testing.assert_allclose(y[0, middle], want[middle], atol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 10**12), st.sampled_from(RATES), st.sampled_from(RATES))
def test_there_and_back_never_loses_a_sample(samples, source, model):
    there = resampled_length(samples, source, model)
    back = resampled_length(there, model, source)
    assert back >= samples


def test_mix_channels():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(mix_channels(x, 1), [[1.5, 2.5, 3.5]])
    np.testing.assert_array_equal(mix_channels(x[:1], 2), [x[0], x[0]])
    assert mix_channels(x, 2) is x
    np.testing.assert_array_equal(mix_channels(x, 3)[2], [0, 0, 0])
