"""Files of a bitrate: what all their bytes average, whatever is in them."""

import io

import numpy as np
import pytest

import ncodec
from ncodec.codec.rate import RESERVOIR, RateControl
from ncodec.errors import ArgumentError
from ncodec_formats import EcdcReader, verify

from .conftest import ToyModel

RATE = 8000


@pytest.fixture(scope="module")
def audio():
    """A minute and a bit: noise that is now loud, now quiet, and three seconds of silence."""
    rng = np.random.default_rng(0)
    t = np.arange(63 * RATE) / RATE
    x = rng.standard_normal(len(t)) * 0.1 * (1.1 + np.sin(0.7 * t)) ** 2
    x[20 * RATE : 23 * RATE] = 0
    return x.astype(np.float32)


def coded(audio, rate, **options):
    out = io.BytesIO()
    model = options.pop("model", None) or ToyModel()
    options = {"model": model, "file_rate": rate, "lift": False, **options}
    return out, ncodec.write(out, audio, RATE, **options)


def layers_of(file):
    file.seek(0)
    return [len(packet.codes) for packet in EcdcReader(file)]


@pytest.mark.parametrize("rate", [1.6, 2.5, "3.5k"])
@pytest.mark.parametrize("frames", [50, 200])
def test_all_bytes_average_the_rate(audio, rate, frames):
    file, done = coded(audio, rate, packet_frames=frames)
    asked = float(str(rate).rstrip("k"))
    assert done.bytes == len(file.getvalue())
    assert done.real_kbps == pytest.approx(asked, rel=0.03)
    layers = layers_of(file)
    assert len(set(layers)) > 2
    assert verify(io.BytesIO(file.getvalue())).links == 1


def test_layers_go_where_they_take_off_most_error(audio):
    layers = np.array(layers_of(coded(audio, 2.5)[0]))
    loud = np.array([np.abs(audio[i * RATE : (i + 1) * RATE]).mean() for i in range(63)])
    there = loud > 0
    assert np.corrcoef(layers[:63][there], loud[there])[0, 1] > 0.5


def test_silence_has_no_layers_and_all_else_has_two(audio):
    layers = layers_of(coded(audio, 2.5)[0])
    assert layers[21:22] == [0]
    assert min(layers[:20] + layers[24:]) >= 2


def test_a_pipe_of_samples_has_the_rate_too(audio):
    class Reader:
        sample_rate, channels, samples, mask = RATE, 1, None, None
        tags, notes = (), ()

        def __init__(self):
            self.at = 0

        def read(self, count):
            self.at += count
            return audio[None, self.at - count : self.at]

        def close(self):
            pass

    out = io.BytesIO()
    done = ncodec.compress(Reader(), out, model=ToyModel(), file_rate=2.5, lift=False)
    assert done.real_kbps == pytest.approx(2.5, rel=0.03)


@pytest.mark.parametrize(
    ("rate", "note"),
    [(0.5, "0.5 kbps is less than this takes"), (9, "9 kbps is more than its codebooks take")],
)
def test_a_rate_that_cannot_be_had_is_told(audio, rate, note):
    _, done = coded(audio, rate)
    assert note in done.notes[-1]


def test_codebooks_are_a_ceiling(audio):
    file, _ = coded(audio, 2.5, codebooks=3)
    file.seek(0)
    assert len(EcdcReader(file).header.codebook_sizes) == 3
    assert max(layers_of(file)) == 3


def test_what_is_owed_stays_within_the_reservoir():
    model, header = ToyModel(), None
    encoder = ncodec.StreamEncoder(model, sample_rate=RATE, channels=1, codebooks=4)
    header, rng = encoder.header, np.random.default_rng(0)
    control = RateControl(model, header, 2.5)
    budget, spent = 2.5 * 125, 0
    for n in range(200):  # ever more is asked for by what comes
        codes = rng.integers(32, size=(4, 1, 200)).astype(np.uint16)
        sizes = [10, 200, 400, 600, 800]
        k = control.choose(ncodec.Packet(n, 200 * n, codes), sizes, spent)
        spent += sizes[k]
        assert spent - budget * (n + 1) < RESERVOIR * budget
    assert spent == pytest.approx(200 * budget, rel=0.03)


@pytest.mark.parametrize("rate", [0, -1, "x", float("nan")])
def test_what_is_no_rate_is_refused(audio, rate):
    with pytest.raises(ArgumentError, match="file_rate"):
        coded(audio[:RATE], rate)
