"""Many packets at once are judged as one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats.bulk import Run, _weights
from ncodec_formats.packets import Head
from ncodec_formats.wire import put_layers


def test_layers_of_any_lengths_take_constant_memory():
    for length in range(1, 40):
        body = put_layers([bytes(length)])
        row = np.frombuffer(b"head" + body, np.uint8)[None]
        assert Run(Head(0, 0, 1, (length,), b"", size=4), row).all_good()
    assert _weights.cache_info().currsize <= 16


LENGTHS = st.lists(st.sampled_from([1, 2, 19, 94, 256, 257, 3000]), min_size=1, max_size=5)


@given(LENGTHS, st.integers(1, 4), st.data())
@settings(max_examples=60, deadline=None)
def test_a_run_is_good_if_each_layer_agrees_with_its_check(lengths, packets, data):
    random = np.random.default_rng(sum(lengths))
    bodies = [
        put_layers([random.integers(0, 256, length, np.uint8).tobytes() for length in lengths])
        for _ in range(packets)
    ]
    rows = np.array([list(b"head" + body) for body in bodies], np.uint8)
    run = Run(Head(0, 0, 1, tuple(lengths), b"", size=4), rows)
    assert run.all_good()
    row = data.draw(st.integers(0, packets - 1))
    column = data.draw(st.integers(4, rows.shape[1] - 1))
    rows[row, column] ^= 1 << data.draw(st.integers(0, 7))
    assert not run.all_good()
