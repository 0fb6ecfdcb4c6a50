"""Calls between two ends in simulated time: greeting, adaptation, silence, restarts, rubbish."""

import heapq
import io
import random
from unittest import mock

import numpy as np
import pytest

from ncodec.audio import Resampler
from ncodec.errors import ArgumentError, BadFileError, ModelMismatchError, NcodecError
from ncodec.net.adapt import RateControl, Report
from ncodec.net.bad_line import BadLine, Conditions
from ncodec.net.both import BothSides
from ncodec.net.call import Call
from ncodec.net.control import Bye, Hello, Told, get_message, put_message
from ncodec.net.ends import CallEngine
from ncodec.net.listener import Listener
from ncodec.net.simulation import simulate
from ncodec.net.stretch import Stretcher
from ncodec.net.talker import Talker
from ncodec_formats import EcdcReader
from ncodec_formats.rtp import Payload, Rtp
from tests.codec.conftest import SegmentModel, ToyModel

RATE = 24000
GOOD, LOSSY = Conditions(), Conditions(loss=0.1, jitter=0.02, seed=1)


def noise(seconds, seed=0, level=0.1):
    dice = np.random.default_rng(seed)
    return dice.normal(0, level, (1, round(seconds * RATE))).astype(np.float32)


class Pair:
    """Two ends and the lines between them, on one clock."""

    def __init__(self, model, conditions=GOOD, other=None, **options):
        self.now = 0.0
        self.events, self.count = [], 0
        self.lines = BadLine(conditions, "there"), BadLine(conditions, "back")
        self.bytes = [0, 0]
        self.calls = [self.end(0, model, options), self.end(1, other or model, options)]

    def end(self, side, model, options):
        return Call(model, lambda data: self.carry(side, data), dice=random.Random(side), **options)

    def carry(self, side, data):
        self.bytes[side] += len(data)
        for arrival in self.lines[side].carry(self.now, len(data)):
            self.count += 1
            heapq.heappush(self.events, (arrival, self.count, side, data))

    def run(self, *sounds):
        """Let both say what they have to say, 10 ms at a time; return what each heard."""
        heard, played = [[], []], [self.now, self.now]
        step = RATE // 100
        for at in range(0, sounds[0].shape[1], step):
            self.now += 0.01
            while self.events and self.events[0][0] <= self.now:
                arrival, _, side, data = heapq.heappop(self.events)
                self.calls[1 - side].receive(data, arrival)
            for side, call in enumerate(self.calls):
                call.push(sounds[side][:, at : at + step], self.now)
                while played[side] < self.now:
                    heard[side].append(call.pull(self.now))
                    played[side] += heard[side][-1].shape[1] / RATE
        return [np.concatenate(parts, axis=1) for parts in heard]


def test_both_hear_each_other_and_know_how_far_away_they_are(model):
    pair = Pair(model, Conditions(delay=0.05), packet_frames=3)
    x = noise(3)
    heard = pair.run(x, 0 * x)
    assert [abs(y.shape[1] - x.shape[1]) < 1000 for y in heard] == [True, True]
    assert np.std(heard[1][:, RATE:]) > 0.01
    stats = pair.calls[1].stats()
    assert 0.09 < stats.round_trip < 0.13
    assert 0.12 < stats.mouth_to_ear < 0.2
    assert (stats.lost, stats.late, stats.garbage) == (0, 0, 0)
    quiet = pair.calls[0].stats()
    assert quiet.lost == quiet.concealed == 0


def test_silence_costs_a_few_bytes_a_second(model):
    pair = Pair(model)
    pair.run(noise(1), noise(1))
    pair.run(noise(0.5, level=1e-5), noise(0.5))
    before = pair.calls[0].talker.sent.payload_bytes
    pair.run(noise(2, level=1e-5), noise(2))
    assert pair.calls[0].talker.sent.payload_bytes - before <= 2 * 6
    assert pair.calls[1].stats().lost == 0


def test_loss_makes_copies_come_and_go(model):
    pair = Pair(model, Conditions(loss=0.08, jitter=0.01, seed=3), packet_frames=3)
    pair.run(noise(5), noise(5))
    assert [call.talker.redundancy[1] for call in pair.calls] == [1, 1]
    assert pair.calls[0].stats().recovered > 0
    pair.lines = BadLine(Conditions(), "there"), BadLine(Conditions(), "back")
    pair.run(noise(11), noise(11))
    assert [call.talker.redundancy[1] for call in pair.calls] == [0, 0]


def test_a_full_line_gets_fewer_codebooks_before_it_is_lost(model):
    pair = Pair(model, Conditions(kbps=7.5), packet_frames=3)
    pair.run(noise(8), noise(8))
    assert all(call.talker.codebooks < 8 for call in pair.calls)


def test_a_sender_who_begins_anew_is_heard_again(model):
    pair = Pair(model, packet_frames=2)
    pair.run(noise(1), noise(1))
    pair.calls[0] = Call(model, lambda data: pair.carry(0, data), dice=random.Random(9))
    _, heard = pair.run(noise(2), noise(2))
    assert np.std(heard[:, -RATE:]) > 0.01
    assert np.std(heard[:, : RATE // 20]) < 1


def test_rubbish_and_strangers_change_nothing(model):
    def heard(rubbish):
        pair = Pair(model)
        dice = random.Random(4)
        pair.run(noise(0.5), noise(0.5))
        for _ in range(150 if rubbish else 0):
            data = bytes(dice.choices(range(256), k=dice.randrange(40)))
            known = pair.calls[0].talker
            for start in (b"", b"\x80\x60", b"\x80\xcc", b"\x80\xc8"):
                pair.calls[1].receive(start + data, pair.now)
            mine = Rtp(96, False, dice.getrandbits(16), dice.getrandbits(32), known.ssrc, data)
            pair.calls[1].receive(mine.to_bytes(), pair.now)
            other = Rtp(96, False, 5, 5, known.ssrc ^ 1, data)
            pair.calls[1].receive(other.to_bytes(), pair.now)
            later = known.first_timestamp + 320 * dice.getrandbits(32)
            codes = Payload(np.zeros((8, 1, 1), np.uint16)).to_bytes(known.header)
            forged = Rtp(96, False, dice.getrandbits(16), later, known.ssrc, codes)
            pair.calls[1].receive(forged.to_bytes(), pair.now)
        out = pair.run(noise(1, 1), noise(1, 2))[1]
        return out, pair.calls[1].stats().garbage

    clean, none = heard(False)
    spoiled, many = heard(True)
    assert none == 0
    assert many > 300
    assert np.array_equal(clean, spoiled)


def test_another_model_is_refused_before_any_sound(model):
    pair = Pair(model, other=ToyModel(rate=24000, hop=160))
    with pytest.raises(ModelMismatchError, match="the other side codes with model toy"):
        pair.run(noise(1), noise(1))
    with pytest.raises(ArgumentError, match="not in calls"):
        Call(SegmentModel(), print)


def test_who_is_gone_is_told_and_who_says_good_bye_has_left(model):
    pair = Pair(model)
    pair.run(noise(1), noise(1))
    pair.calls[0].end()
    pair.run(noise(0.2), noise(0.2))
    assert (pair.calls[1].they_ended, pair.calls[1].they_left) == (True, False)
    pair.calls[0].leave("enough")
    pair.run(noise(0.2), noise(0.2))
    assert (pair.calls[1].they_left, pair.calls[1].left_because) == (True, "enough")
    with pytest.raises(NcodecError, match="nothing came"):
        pair.calls[0].work(pair.now + 20)


def test_both_sides_are_recorded(model):
    pair = Pair(model, Conditions(loss=0.1, seed=1), packet_frames=3)
    file = io.BytesIO()
    file.fileno = lambda: -1
    both = BothSides(file, model, 8)
    pair.calls[0].talker.on_codes, pair.calls[0].on_heard = both.ours, both.theirs
    pair.run(noise(2), noise(2))
    both.finish()
    file.seek(0)
    reader = EcdcReader(file)
    packets = list(reader)
    assert reader.header.streams == 2
    assert 1.8 < sum(p.frames for p in packets) / 75 < 2.1
    assert np.mean([len(p.codes) for p in packets]) > 4


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(
    "conditions",
    [
        LOSSY,
        Conditions(loss=0.2, burst=3, jitter=0.02),
        Conditions(jitter=0.03, doubled=0.5),
    ],
)
def test_there_is_never_a_gap_and_late_packets_are_used(model, frames, conditions):
    x = noise(4)
    heard = simulate(model, x, conditions, packet_frames=frames, redundancy=(4, 1), ppm=100)
    counts = heard.listener.buffer.counts
    assert counts.late / counts.places < 0.02
    assert abs(heard.samples.shape[1] - x.shape[1]) < RATE // 10
    assert np.all(np.isfinite(heard.samples))
    if conditions == LOSSY:
        assert np.median(heard.delays) <= {1: 0.110, 3: 0.180}[frames]
        assert heard.listener.replays > 0


def test_the_decoder_goes_back_for_what_came_late(model):
    """What is heard after a mended loss is what would have been heard without it."""
    packets = Talker(model, dice=random.Random(1)).push(noise(1))

    def play(late):
        listener = Listener(model, Talker(model).header)
        heard = []
        for number, data in enumerate(packets):
            now = number * 320 / RATE
            if number != 40 or not late:
                listener.receive(Rtp.from_bytes(data), now)
            if late and number == 45:
                listener.receive(Rtp.from_bytes(packets[40]), now)
            with mock.patch.object(Stretcher, "push", lambda _, x, __, **___: (x, 0.0)):
                heard.append(listener.pull(now))
        return np.concatenate(heard, axis=1), listener

    (clean, listener), (mended, other) = play(late=False), play(late=True)
    assert (listener.replays, other.replays) == (0, 1)
    assert other.concealed == 1
    different = np.flatnonzero(np.abs(clean - mended).max(0) > 1e-6)
    assert 0 < different.max() - different.min() < 6 * 320


def test_the_talker_marks_what_follows_silence_and_copies_only_neighbours(model):
    talker = Talker(model, packet_frames=1, dice=random.Random(2))
    talker.redundancy = (3, 2)
    sent = [Rtp.from_bytes(d) for d in talker.push(noise(0.2))]
    assert [p.marker for p in sent] == [True] + [False] * (len(sent) - 1)
    assert [p.payload[1] >> 5 for p in sent[:4]] == [0, 1, 2, 2]
    steps = np.diff([p.timestamp for p in sent]) % 2**32
    assert set(steps) == {320}
    quiet = [Rtp.from_bytes(d) for d in talker.push(0 * noise(1))]
    silent = [p for p in quiet if p.payload[0] & 31 == 0]
    assert 2 <= len(silent) <= 4
    after = [Rtp.from_bytes(d) for d in talker.push(noise(0.1))]
    loud = [p for p in after if p.payload[0] & 31]
    assert loud[0].marker
    assert not loud[0].payload[1]
    assert [p.sequence for p in [*sent, *quiet, *after]] == [
        (sent[0].sequence + i) % 2**16 for i in range(len(sent) + len(quiet) + len(after))
    ]


@pytest.mark.parametrize("excess", [0.02, -0.02, 0.0])
def test_time_is_taken_where_it_is_quiet_and_bent_where_it_is_loud(excess):
    t = np.arange(RATE) / RATE
    loud = (0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32)[None]
    stretcher = Stretcher(RATE, 1)
    left, parts = excess, []
    for at in range(0, RATE, 960):
        y, done = stretcher.push(loud[:, at : at + 960], left)
        left -= done
        parts.append(y)
    out = np.concatenate(parts, axis=1)
    assert abs(left) <= abs(excess)
    assert np.abs(np.diff(out)).max() < 0.3 * 2 * np.pi * 200 / RATE * 1.1
    assert abs(excess - left) < 0.0025
    shift = -stretcher.push(0 * loud[:, :960], left)[0].shape[1] + 960
    assert np.sign(shift) == np.sign(round(left * 1000))


def test_rates_rise_and_fall_as_reported():
    control = RateControl(8)
    for _ in range(3):
        control.take(Report(0.2, 0.02))
    assert control.redundancy == (4, 3)
    control.take(Report(0.2, 0.2))
    assert (control.redundancy[1], control.codebooks) == (0, 8)
    for _ in range(3):
        control.take(Report(0.0, 0.3))
    assert control.codebooks < 6
    for _ in range(100):
        control.take(Report(0.0, 0.02))
    assert (control.codebooks, control.redundancy[1]) == (8, 0)
    fixed = RateControl(2, (4, 3))
    fixed.take(Report(0.0, 0.02))
    assert fixed.redundancy == (2, 3)


def test_messages_come_back_and_any_bytes_are_refused(model):
    hello = Hello.of(Talker(model, packet_frames=3).header)
    assert (hello.packet_frames, hello.layers, hello.model) == (3, 8, "toy")
    told = Told(Report(0.25, 0.125), 123456, 2**32 - 1, 7)
    for message in (hello, Bye("tschüß"), Bye("", ended=True)):
        assert get_message(put_message(5, message)) == (5, message)
    _, found = get_message(put_message(5, told))
    assert (found.sent, found.echo, found.kept) == (123456, 2**32 - 1, 7)
    assert found.report.lost == pytest.approx(0.25, abs=1e-4)
    dice = random.Random(1)
    good = put_message(5, hello)
    for _ in range(500):
        data = bytearray(good)
        for _ in range(3):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            get_message(bytes(data[: dice.randrange(len(data) + 1)]))
        except BadFileError:
            continue


def test_the_engine_stands_between_devices_of_other_rates(model):
    pair = Pair(model)
    call = pair.calls[0]
    engine = CallEngine(
        call, input_rate=48000, input_channels=2, output_rate=44100, output_channels=2,
        prefill=0.02, clock=lambda: pair.now,
    )  # fmt: skip
    pair.run(noise(0.5), noise(0.5))
    out = np.zeros((441, 2), np.float32)
    up = Resampler(RATE, 48000, 1).push(noise(1))
    for at in range(0, 40000, 480):
        pair.now += 0.01
        engine.capture(np.repeat(up[:, at : at + 480].T, 2, axis=1), 0.0)
        while engine.work():
            pass
        engine.render(out, 0.0)
    assert engine.underruns <= 1
    assert engine.overruns == 0
    assert call.talker.sent.seconds > 1
