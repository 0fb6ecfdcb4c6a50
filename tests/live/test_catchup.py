import math

import pytest

from ncodec.live.catchup import CatchUp

TICK, PACKET = 0.01, 0.08


def listen(catch_up, seconds, arrived):
    """Play for a time; `arrived(now)` seconds have come by then. Return what waited, and skips."""
    played, waits, skips = 0.0, [], []
    for i in range(round(seconds / TICK)):
        now = i * TICK
        held = arrived(now) - played
        skip = catch_up.update(held, TICK)
        played += skip + min(TICK, held - skip)
        waits.append(held)
        if skip:
            skips.append((now, skip))
    return waits, skips


def live(late):
    """A live stream in packets, of which `late` seconds lie in the pipe, read at 5 times."""
    return lambda now: min(5 * now, math.floor((now + late) / PACKET) * PACKET)


@pytest.mark.parametrize("late", [2.0, 30.0])
def test_a_late_listener_comes_back_to_the_present(late):
    waits, skips = listen(CatchUp(1.0), late / 4 + 10, live(late))
    assert len(skips) == 1
    assert skips[0][0] < late / 4 + 3
    assert max(waits[-300:]) < 0.25 + 2 * PACKET


def test_what_is_within_the_bound_is_left_alone():
    assert listen(CatchUp(1.0), 20, live(0.9))[1] == []


def test_a_stall_of_the_line_is_given_back():
    def arrived(now):
        return live(0.3)(min(now, 10) if now < 14 else now)

    # Nothing came for 4 s, and then all at once: the listener waited with it.
    played, catch_up = 0.0, CatchUp(1.0)
    for i in range(3000):
        held = arrived(i * TICK) - played
        skip = catch_up.update(held, TICK)
        played += skip + min(TICK, max(0.0, held - skip))
    assert arrived(30) - played < 0.5


@pytest.mark.parametrize("speed", [1.1, 3.0, 50.0])
def test_a_file_that_is_read_ahead_is_played_whole(speed):
    assert listen(CatchUp(1.0), 30, lambda now: 0.3 + speed * now)[1] == []


def test_no_bound():
    assert listen(CatchUp(math.inf), 20, live(10))[1] == []
