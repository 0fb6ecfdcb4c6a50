"""Damage stays local, the timeline exact, every loss counted."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import EcdcReader, Loss, Losses, Packet, repair, verify
from ncodec_formats.errors import BadFileError
from ncodec_formats.packets import PacketLayout
from tests.formats.files import (
    Pipe,
    apply,
    make,
    make_header,
    random_codes,
    read,
    same,
    write,
)

START = len(make_header().to_bytes())
PACKETS = 6


def sizes(data: bytes) -> tuple[int, int]:
    """Returns the size of a packet's head and of a packet (all alike in these files)."""
    return 6, (data.index(b"\xec\xdc\x00\x01") - START)


def keep_going(data: bytes):
    reader = EcdcReader(io.BytesIO(data), keep_going=True)
    items = list(reader)
    piped = EcdcReader(Pipe(data), keep_going=True)
    assert all(map(same, piped, items))
    assert piped.losses == reader.losses
    place = 0
    for item in items:
        assert item.first_frame == place
        place += item.frames
    return items, reader.losses


def test_every_flipped_bit_of_a_packet():
    data = make(PACKETS)
    whole = read(data)
    head, size = sizes(data)
    layer = (size - head) // 4
    begin = START + 2 * size
    # Each byte once, a different bit each time.
    for at in range(begin * 8, (begin + size) * 8, 9):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << at % 8
        items, losses = keep_going(bytes(damaged))
        assert len(items) == PACKETS
        assert all(same(items[n], whole[n]) for n in range(PACKETS) if n != 2)
        place = at // 8 - begin - head
        if place < layer:
            assert items[2] == Loss(30, 15, "damaged" if place >= 0 else "missing")
            assert (losses.frames, losses.layers) == (15, 0)
        else:
            kept = place // layer
            assert np.array_equal(items[2].codes, whole[2].codes[:kept])
            assert (losses.frames, losses.packets, losses.layers) == (0, 1, 4 - kept)
        with pytest.raises(BadFileError):
            read(bytes(damaged))


def test_every_length_plays_to_the_cut():
    data = make(3)
    whole = read(data)
    head, size = sizes(data)
    layer = (size - head) // 4
    for length in range(START, START + 3 * size):
        items, losses = keep_going(data[:length])
        done, rest = divmod(length - START, size)
        layers = max(rest - head, 0) // layer
        assert len(items) == done + (layers > 0)
        assert all(map(same, items[:done], whole))
        if layers:
            assert np.array_equal(items[done].codes, whole[done].codes[:layers])
        assert losses.truncated
        with pytest.raises(BadFileError):
            read(data[:length])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5, 1e30, None])
def test_a_scale_that_can_not_be_is_damage(value):
    header = make_header(segment=(4800, 4750))
    codes = random_codes(header, 3)
    data = write(header, codes)
    layout = PacketLayout(header)
    scale = None if value is None else np.array([value], np.float32)
    right = layout.put_packet(Packet(1, 15, codes[1], np.array([0.5], np.float32)))
    assert right in data
    damaged = data.replace(right, layout.put_packet(Packet(1, 15, codes[1], scale)))
    whole, (items, losses) = read(data), keep_going(damaged)
    assert items[1] == Loss(15, 15, "damaged")
    assert all(same(items[n], whole[n]) for n in (0, 2))
    assert (losses.frames, losses.packets, losses.layers) == (15, 1, 0)
    with pytest.raises(BadFileError, match=r"packet 1 at byte \d+: its scale is"):
        read(damaged)
    report = verify(io.BytesIO(damaged))
    assert not report.ok
    mended = apply(repair, damaged)
    assert verify(io.BytesIO(mended)).ok
    assert [item.first_frame for item in read(mended)] == [0, 15, 30]


@pytest.mark.parametrize("lost", [[0], [3], [5], [1, 2], [0, 5], [0, 1, 2, 3, 4, 5]])
def test_lost_packets(lost):
    data = make(PACKETS)
    whole = read(data)
    _, size = sizes(data)
    kept = [data[START + n * size :][:size] for n in range(PACKETS) if n not in lost]
    damaged = data[:START] + b"".join(kept) + data[START + PACKETS * size :]
    items, losses = keep_going(damaged)
    assert sum(item.frames for item in items) == PACKETS * 15
    found = [item for item in items if isinstance(item, Packet)]
    assert all(map(same, found, [whole[n] for n in range(PACKETS) if n not in lost]))
    assert losses.frames == 15 * len(lost)
    with pytest.raises(BadFileError):
        read(damaged)


@pytest.mark.parametrize(
    ("order", "late", "frames"),
    [([0, 1, 1, 2, 3, 4, 5], 1, 0), ([0, 2, 1, 3, 4, 5], 1, 15), ([5, 0, 1, 2, 3, 4], 5, 75)],
)
def test_repeated_and_swapped_packets(order, late, frames):
    data = make(PACKETS)
    _, size = sizes(data)
    parts = [data[START + n * size :][:size] for n in order]
    damaged = data[:START] + b"".join(parts) + data[START + PACKETS * size :]
    items, losses = keep_going(damaged)
    assert (losses.late, losses.frames) == (late, frames)
    assert sum(item.frames for item in items) == PACKETS * 15
    with pytest.raises(BadFileError):
        read(damaged)


@settings(max_examples=60, deadline=None)
@given(st.integers(START, START + 6 * 86 - 1), st.integers(0, 200), st.binary(max_size=60))
def test_bytes_replaced_by_any_others(at, removed, inserted):
    data = make(PACKETS)
    whole = read(data)
    _, size = sizes(data)
    damaged = data[:at] + inserted + data[at + removed :]
    items, _ = keep_going(damaged)
    first, last = (at - START) // size, (at + removed - START) // size
    found = {item.first_frame // 15: item for item in items if isinstance(item, Packet)}
    for number in range(PACKETS):
        if number < first or number > last:
            assert same(found[number], whole[number])


@pytest.mark.parametrize("count", [1, 2])
def test_copies_replace_lost_packets(count):
    data = make(PACKETS, redundancy=(2, 2))
    whole = read(data)
    marks = [at for at in range(len(data)) if data[at : at + 3] == b"\xec\xdc\x00"]
    begin = data.rindex(b"\xec\xdc\x03", 0, marks[2])
    end = data.rindex(b"\xec\xdc\x03", 0, marks[2 + count])
    damaged = data[:begin] + data[end:]
    items, losses = keep_going(damaged)
    assert losses.recovered == count
    assert losses.frames == 0
    for number in range(PACKETS):
        layers = 2 if 2 <= number < 2 + count else 4
        assert np.array_equal(items[number].codes, whole[number].codes[:layers])


def test_damage_to_the_end_and_the_index():
    data = make(2)
    end = data.index(b"\xec\xdc\x01")
    for at in range(end, len(data)):
        damaged = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        items, losses = keep_going(damaged)
        assert len([item for item in items if isinstance(item, Packet)]) == 2
        index = data.index(b"\xec\xdc\x02")
        assert bool(losses) == (at < index)


def test_codes_beyond_their_codebook_are_damage():
    data = make(1, codebook_sizes=(1024, 1024))
    forged = make_header(codebook_sizes=(1024, 600)).to_bytes() + data[START:]
    [item] = read(forged[: len(data) - 8], keep_going=True)
    assert item.codes.shape[0] == 1


def test_the_digest_catches_what_checks_cannot():
    data, other = make(3), make(3, seed=1)
    _, size = sizes(data)
    at = START + size
    forged = data[:at] + other[at : at + size] + data[at + size :]
    items, losses = keep_going(forged)
    assert len(items) == 3
    assert losses.mismatch
    with pytest.raises(BadFileError, match="digest"):
        read(forged)


def test_one_of_a_kind_is_told_as_one():
    assert (
        str(Losses(layers=1, frames=1, skipped=1)) == "1 frame lost, 1 layer lost, 1 byte skipped"
    )
    assert str(Losses(layers=2, late=2)) == "2 layers lost, 2 packets late or repeated"
