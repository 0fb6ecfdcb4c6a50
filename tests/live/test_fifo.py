import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncodec.errors import ArgumentError
from ncodec.live.fifo import Fifo

steps = st.lists(st.tuples(st.sampled_from(["write", "read", "skip"]), st.integers(0, 9)))


@given(capacity=st.integers(1, 7), channels=st.integers(1, 3), steps=steps)
def test_it_is_a_bounded_queue(capacity, channels, steps):
    fifo, queue, count = Fifo(channels, capacity), [], 0
    for what, size in steps:
        if what == "write":
            frames = np.arange(count, count + size, dtype=np.float32)
            fitted = fifo.write(np.repeat(frames[:, None], channels, axis=1))
            assert fitted == min(size, capacity - len(queue))
            queue += frames[:fitted].tolist()
            count += size
        elif what == "read":
            out = np.full((size, channels), -1, np.float32)
            got = fifo.read_into(out)
            assert out[:got].tolist() == [[value] * channels for value in queue[:size]]
            assert (out[got:] == -1).all()
            del queue[:size]
        else:
            assert fifo.skip(size) == min(size, len(queue))
            del queue[:size]
        assert (fifo.fill, fifo.room) == (len(queue), capacity - len(queue))


def test_two_threads_need_no_lock():
    fifo, total = Fifo(1, 97), 20_000
    heard = []

    def read():
        left = total
        while left:
            heard.append(fifo.read(31)[:, 0])
            left -= len(heard[-1])
            time.sleep(0)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    sent = 0
    while sent < total:
        block = np.arange(sent, min(sent + 13, total), dtype=np.float32)
        sent += fifo.write(block[:, None])
        time.sleep(0)
    reader.join(60)
    assert np.array_equal(np.concatenate(heard), np.arange(total))


@pytest.mark.parametrize(("channels", "capacity"), [(0, 5), (1, 0)])
def test_it_needs_room(channels, capacity):
    with pytest.raises(ArgumentError, match="1 or more"):
        Fifo(channels, capacity)
