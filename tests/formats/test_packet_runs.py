"""Many packets at once are judged as one by one."""

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import EcdcReader, Packet, verify
from ncodec_formats.packet_runs import WORTH_IT, Run, _weights
from ncodec_formats.packets import Head, PacketLayout
from ncodec_formats.wire import put_layers
from tests.formats.files import make_header, random_codes, write


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


def test_scales_are_judged_many_at_once():
    header = make_header(segment=(4800, 4750))
    codes = random_codes(header, 1500)
    data = write(header, codes)
    assert len(data) > 2 * WORTH_IT
    file = io.BytesIO(data)
    runs = [event for event in EcdcReader(file).events(runs=True) if isinstance(event, Run)]
    assert sum(run.count for run in runs) > 700
    assert runs[0].part(3, 4).head.scale == np.array([0.5], ">f4").tobytes()
    layout = PacketLayout(header)
    right, wrong = (
        layout.put_packet(Packet(700, 10500, codes[700], np.array([value], np.float32)))
        for value in (0.5, np.nan)
    )
    broken = data.replace(right, wrong)
    assert broken != data
    report = verify(io.BytesIO(broken))
    assert (report.losses.packets, report.losses.frames) == (1, 15)
    assert "packet 700 at byte" in report.problems[0]
    assert "nan" in report.problems[0]
