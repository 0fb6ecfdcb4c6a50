import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec.live.drift import HALF, DriftControl, DriftResampler


def run(x, cuts, step=1.0):
    resampler, parts, at = DriftResampler(x.shape[0]), [], 0
    for cut in [*cuts, x.shape[1]]:
        parts.append(resampler.push(x[:, at : at + cut], step))
        at += cut
    return np.concatenate(parts, axis=1), resampler


@given(cuts=st.lists(st.integers(0, 400), max_size=8), channels=st.integers(1, 2))
def test_at_step_one_it_changes_nothing(cuts, channels):
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((channels, 1000)) * 10.0 ** rng.integers(-30, 3, 1000)).astype("f4")
    y, _ = run(x, cuts)
    assert y.shape[1] == 1000 - HALF
    assert np.array_equal(y, x[:, : y.shape[1]])


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=8), step=st.sampled_from([0.998, 1.00003]))
def test_cuts_do_not_matter(cuts, step):
    x = np.random.default_rng(2).standard_normal((1, 2000)).astype("f4")
    whole, one = run(x, [], step)
    pieces, many = run(x, cuts, step)
    assert whole.shape == pieces.shape
    assert np.abs(whole - pieces).max() < 1e-5
    assert one.position == pytest.approx(many.position, abs=1e-6)


@pytest.mark.parametrize("step", [0.998, 0.9999, 1.0001, 1.002])
@pytest.mark.parametrize("frequency", [100.0, 3000.0, 9000.0])
def test_a_tone_is_read_at_the_new_places(step, frequency):
    rate = 24000
    x = np.sin(2 * np.pi * frequency / rate * np.arange(rate))[None].astype("f4")
    y, resampler = run(x, [480] * 49, step)
    ideal = np.sin(2 * np.pi * frequency / rate * step * np.arange(y.shape[1]))
    error = (y[0] - ideal)[HALF:]
    assert 10 * np.log10(np.mean(error**2) / 0.5) < -65
    assert resampler.position == pytest.approx(y.shape[1] * step, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_back_at_step_one_it_goes_on_between_the_samples(channels):
    x = np.random.default_rng(3).standard_normal((channels, 3000)).astype("f4")
    heard = list[np.ndarray]()
    for step in (1.0, np.nextafter(1.0, 2.0)):  # the second takes no short cut
        resampler = DriftResampler(channels)
        parts = [resampler.push(x[:, :1000], 1.0007)]
        parts += [resampler.push(x[:, at : at + 500], step) for at in range(1000, 3000, 500)]
        heard.append(np.concatenate(parts, axis=1))
        assert resampler.given == heard[-1].shape[1]
        assert resampler.position == pytest.approx(3000 - HALF + 1, abs=1)
    assert heard[0].shape == heard[1].shape
    assert np.abs(heard[0] - heard[1]).max() < 1e-5


def test_a_change_of_step_does_not_click():
    rate, resampler = 24000, DriftResampler(1)
    x = np.sin(2 * np.pi * 440 / rate * np.arange(rate))[None].astype("f4")
    steps = [1.0, 1.002, 0.998, 1.0, 1.001] * 10
    parts = [resampler.push(x[:, i * 480 : (i + 1) * 480], s) for i, s in enumerate(steps)]
    y = np.concatenate(parts, axis=1)[0, HALF:]
    # The third difference of a 440 Hz tone is tiny; a jump of -60 dB would stand out of it.
    smooth = (2 * np.pi * 440 / rate) ** 3
    assert np.abs(np.diff(y, 3)).max() < 1.1 * smooth + 1e-4


def settle(ppm, seconds, jitter=0.0, start=0.08):
    """Let a reader's clock be slow by `ppm`: time piles up unless the step takes it away."""
    rng, control = np.random.default_rng(3), DriftControl()
    held, tick, history, steps = start, 0.0133, [], []
    for _ in range(round(seconds / tick)):
        step = control.update(held + jitter * rng.uniform(-1, 1), tick)
        held += tick * (ppm * 1e-6 - (step - 1))
        history.append(held)
        steps.append(step)
    return np.array(history), np.array(steps)


@pytest.mark.parametrize("ppm", [-300, 20, 100])
def test_unlike_clocks_are_held_near_the_target(ppm):
    held, _ = settle(ppm, 900, jitter=0.008)
    assert np.abs(held - 0.08).max() < 0.020
    late = held[len(held) // 2 :]
    assert np.ptp(late) < 0.004, "it should have settled, not oscillate"


def test_like_clocks_are_left_alone():
    held, steps = settle(0, 600, jitter=0.015)
    assert (steps == 1.0).all()
    assert np.ptp(held) == 0
