"""The jitter buffer under an injected clock: order, targets, drift, forgeries, restarts."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec.net.bad_line import BadLine, Conditions
from ncodec.net.delays import Fastest, Lateness, RoundTrip
from ncodec.net.jitter import Item, JitterBuffer

LENGTH = 0.04


def item(number):
    return Item(number, 8)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0, 0.2), st.integers(-60, 60), st.booleans(), st.integers(0, 8)),
        max_size=120,
    ),
    st.integers(0, 3),
)
def test_whatever_comes_each_number_is_taken_once_and_is_what_was_put(events, past):
    """Numbers anywhere, copies, times that run on: no error, no gap, no stranger."""
    buffer = JitterBuffer(LENGTH, past=past, early=0.02)
    now, put = 0.0, set()
    expected = None
    for step, offset, copy, worth in events:
        now += step
        number = round(now / LENGTH) + offset
        if copy:
            buffer.put_copy(number, Item((number, worth), worth))
        else:
            restarts = buffer.counts.restarts
            buffer.put(number, Item((number, worth), worth), now)
            expected = None if buffer.counts.restarts > restarts else expected
        put.add((number, worth))
        while buffer.wait(now) is not None and buffer.wait(now) <= 0 and buffer.held <= now:
            found = buffer.take(now)
            assert expected is None or buffer.taken == expected
            expected = buffer.taken + 1
            assert found is None or (found.content in put and found.content[0] == buffer.taken)
            if buffer.taken * LENGTH > now:
                break
        assert 0 <= buffer.target < 3
        assert np.isfinite(buffer.excess)
        assert len(buffer._items) < 200


def run(seconds, conditions, *, ppm=0.0, past=1, early=0.0, forge=None, pause=None):
    """Play a stream by its own clock, corrected without limit of ear; yield after each second."""
    buffer = JitterBuffer(LENGTH, past=past, early=early)
    line, events = BadLine(conditions, "there"), []
    now = told = 0.0
    for number in range(round(seconds / LENGTH)):
        spoken = (number + 1) * LENGTH
        while now < spoken:
            while events and events[0][0] <= now:
                arrival, what = heapq.heappop(events)
                buffer.put(what, item(what), arrival)
                buffer.tell_copies(sent=False)
            wait = buffer.wait(now)
            done = 0.0
            if wait is not None and wait <= 0:
                buffer.take(now)
                done = min(max(0.5 * buffer.excess, -0.002), 0.002) * LENGTH
                buffer.correct(done)
            waited = LENGTH if wait is None else max(min(wait, LENGTH), 1e-4)
            now += (LENGTH - done if wait is not None and wait <= 0 else waited) / (1 + ppm * 1e-6)
        if pause is None or not pause[0] <= spoken < pause[1]:
            for arrival in line.carry(spoken, 60):
                heapq.heappush(events, (arrival, number))
        if forge is not None:
            forge(buffer, number, spoken)
        if spoken - told >= 1:
            told = spoken
            yield spoken, buffer


@pytest.mark.slow
def test_half_an_hour_with_clocks_apart_holds_no_more_and_no_less():
    conditions = Conditions(loss=0.05, jitter=0.02)
    held, sizes = [], []
    for _, buffer in run(1800, conditions, ppm=100):
        held.append(buffer.held)
        sizes.append(len(buffer._items))
    minutes = np.array(held[60:]).reshape(-1, 60).mean(1)
    assert np.ptp(minutes) < 0.02
    assert abs(np.polyfit(np.arange(len(minutes)), minutes, 1)[0]) * len(minutes) < 0.01
    assert max(sizes) < 12
    counts = buffer.counts
    assert counts.late / counts.places < 0.02
    assert 0.04 < counts.missing / counts.places < 0.08
    assert abs(counts.places - 1800 / LENGTH) < 20


def test_the_target_follows_the_line():
    def target(**conditions):
        *_, (_, buffer) = run(30, Conditions(**conditions))
        return buffer.target

    quiet, bad = target(), target(jitter=0.02)
    assert quiet < 0.015
    assert 0.045 < bad < 0.075
    assert target(jitter=0.02, doubled=0.3) == pytest.approx(bad, abs=0.02)


def test_a_forged_time_changes_nothing():
    def forge(buffer, number, now):
        if number % 7 == 6:
            buffer.put(number + 10_000_000, item(-1), now)
            buffer.put(number - 200, item(-1), now)
            buffer.put(number + 20, item(-1), now)

    *_, (_, forged) = run(20, Conditions(jitter=0.02), forge=forge)
    *_, (_, honest) = run(20, Conditions(jitter=0.02))
    assert forged.counts.restarts == 0
    assert forged.counts.outside > 100
    assert (forged.target, forged.held) == (honest.target, honest.held)
    assert forged.counts.whole == honest.counts.whole


def test_a_sender_whose_time_jumped_is_believed_when_many_packets_agree():
    buffer = JitterBuffer(LENGTH)
    for number in range(50):
        buffer.put(number, item(number), number * LENGTH)
        if buffer.wait(number * LENGTH) <= 0:
            buffer.take(number * LENGTH)
    for number in range(50, 80):
        buffer.put(number, item(number), 100 + number * LENGTH)
    assert buffer.counts.restarts == 1
    assert buffer.counts.outside == buffer.AGREE
    assert buffer.next == 50 + buffer.AGREE - 1


def test_an_outage_leaves_the_timeline_and_the_delay_as_they_were():
    *_, (_, paused) = run(60, Conditions(jitter=0.01), pause=(20, 23))
    *_, (_, whole) = run(60, Conditions(jitter=0.01))
    assert paused.held == pytest.approx(whole.held, abs=0.01)
    assert paused.taken == pytest.approx(whole.taken, abs=1)
    assert paused.counts.missing - whole.counts.missing == pytest.approx(3 / LENGTH, abs=2)


def test_late_numbers_can_be_mended_for_a_while_and_copies_give_way():
    buffer = JitterBuffer(LENGTH, past=1)
    buffer.put(0, item(0), 0.0)
    for _ in range(2):
        buffer.take(1.0)
    buffer.put_copy(1, Item("small", 2))
    buffer.put_copy(1, Item("better", 4))
    buffer.put_copy(1, Item("small", 2))
    assert buffer.look(1).content == "better"
    assert buffer.put(1, Item("whole", 8), 0.3)
    assert buffer.put(1, Item("again", 8), 0.3)
    buffer.put_copy(1, Item("copy", 8))
    assert buffer.look(1).content == "whole"
    assert buffer.put(0, item(0), 0.3)
    buffer.take(1.1)
    buffer.take(1.2)
    counts = buffer.counts
    assert (counts.whole, counts.missing, counts.late, counts.double) == (2, 1, 1, 1)
    buffer.put(1, item(1), 0.3)
    assert counts.late == 2


def test_what_is_missing_in_silence_is_no_loss():
    buffer = JitterBuffer(LENGTH)
    buffer.put(0, item(0), 0.0)
    buffer.put(1, Item("silence", 0), LENGTH)
    for step in range(40):
        buffer.take(1 + step * LENGTH)
        assert buffer.silent == (step > 0)
    assert buffer.counts.missing == 0


def test_quantiles_and_forgetting_are_by_time():
    seen = Lateness()
    for i in range(2000):
        seen.see(0.1, i * 0.02)
    assert seen.quantile(0.5) == pytest.approx(0.105)
    for i in range(320):
        seen.see(0.01, 40 + i * 0.1)  # 32 s: four half-lives
    assert seen.quantile(0.5) == pytest.approx(0.015, abs=0.006)
    fastest = Fastest()
    fastest.see(0.01, 0.0)
    assert [fastest.see(0.02, t) for t in (1.0, 9.0)] == [0.01, 0.01]
    for t in range(10, 25):
        fastest.see(0.02, t)
    assert fastest.seconds == 0.02


@pytest.mark.parametrize("ahead", [-5000.0, 0.0, 4_294_960.0])
def test_a_round_trip_is_without_jitter_and_without_both_clocks(ahead):
    lines = (
        BadLine(Conditions(delay=0.03, jitter=0.02), "there"),
        BadLine(Conditions(delay=0.05, jitter=0.02), "back"),
    )
    found, sums = RoundTrip(), []
    assert found.seconds is None
    for second in range(20):
        ((there,), (back,)) = (line.carry(0.0, 40) for line in lines)
        came = second + there + ahead
        sent = came + 0.4
        echo, said, kept = (round(1000 * t) % (1 << 32) for t in (second + 1, sent + 1, 0.4))
        found.see(said, echo, kept, second + 1 + there + 0.4 + back)
        sums.append(there + back)
    assert 0.079 < found.seconds < 0.095 < np.mean(sums) - 0.02
    last = found.seconds
    said = round(1000 * (21 - 0.2 + ahead)) % (1 << 32)
    found.see(said, (said + 1 << 31) % (1 << 32) or 1, 0, 21.0)  # an answer to another's message
    assert abs(found.seconds - last) < 0.02
