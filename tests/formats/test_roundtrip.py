"""Writer and reader: what goes in comes out, from files and pipes, in every shape."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import EcdcReader, EcdcWriter, Packet, encode_packet, open_links
from ncodec_formats.errors import ArgumentError, BadFileError, LimitError
from ncodec_formats.packets import put_other
from tests.formats.files import (
    Pipe,
    Sink,
    Varints,
    headers,
    make,
    make_header,
    packets_of,
    random_codes,
    read,
    same,
    write,
)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_round_trip(data):
    header = data.draw(headers())
    packets = data.draw(packets_of(header))
    out = Sink()
    writer = EcdcWriter(out, header)
    for packet in packets:
        writer.write(packet.codes, packet.scale, first_frame=packet.first_frame)
    writer.finish(123)
    for file in (io.BytesIO(out.data), Pipe(out.data, data.draw(st.integers(1, 99)))):
        reader = EcdcReader(file, keep_going=True, max_seconds=None)
        found = [item for item in reader if isinstance(item, Packet)]
        assert len(found) == len(packets)
        assert all(map(same, found, packets))
        assert reader.header == header
        assert reader.end is not None
        assert reader.end.source_samples == reader.total_samples == 123
        faults = reader.losses
        assert (faults.packets, faults.skipped, faults.mismatch) == (0, 0, False)


def test_a_pipe_is_readable_from_the_first_packet():
    data = make(3)
    first = len(make_header().to_bytes()) + len(
        encode_packet(make_header(), Packet(0, 0, random_codes(make_header(), 3)[0]))
    )

    class Waiting(Pipe):
        def read(self, count):
            assert self._file.tell() < first, "read on although a packet was there"
            return self._file.read(min(count, first - self._file.tell()))

    assert next(EcdcReader(Waiting(data))).sequence == 0


def test_nothing_but_write_is_asked_of_the_output():
    assert read(make(3))[2].sequence == 2


def test_the_same_codes_give_the_same_bytes():
    assert make(5) == make(5)


def test_an_empty_file():
    reader = EcdcReader(io.BytesIO(make(0)))
    assert list(reader) == []
    assert (reader.end.packets, reader.end.end_frame, reader.total_samples) == (0, 0, 0)


def test_a_packet_sent_alone_is_what_the_file_has():
    header = make_header()
    packet = Packet(0, 0, random_codes(header, 1)[0])
    data = encode_packet(header, packet)
    assert make(1)[len(header.to_bytes()) :][: len(data)] == data


def test_unknown_packet_types_are_passed_over():
    data = make(3)
    at = len(make_header().to_bytes())
    reader = EcdcReader(io.BytesIO(data[:at] + put_other(9, b"?" * 300) + data[at:]), True)
    assert [item.sequence for item in reader] == [0, 1, 2]
    assert reader.losses.mismatch, "the digest is taken over all packets"
    reader.losses.mismatch = False
    assert not reader.losses


def test_layers_of_an_unknown_kind_are_left_out():
    plain = make(2)
    header = make_header(kinds=(0, 0, 5, 0))
    data = write(header, random_codes(header, 2), codings={5: Varints()})
    assert [item.codes.shape[0] for item in read(data)] == [2, 2]
    assert np.array_equal(read(data)[1].codes, read(plain)[1].codes[:2])


def test_a_writer_refuses_kinds_that_it_has_no_coding_for():
    header = make_header(kinds=(0, 7, 5, 0))
    out = Sink()
    with pytest.raises(ArgumentError, match="layer 2 is of kind 7"):
        EcdcWriter(out, header, codings={5: Varints()})
    assert out.data == b""
    with pytest.raises(ArgumentError, match="kind 7"):
        encode_packet(header, Packet(0, 0, random_codes(header, 1)[0]))


def test_a_writer_that_has_ended():
    out = Sink()
    writer = EcdcWriter(out, make_header())
    for wrong in (-1, 1.5, None, "7"):
        with pytest.raises(ArgumentError, match="source_samples"):
            writer.finish(wrong)
    writer.finish(np.int64(0))
    before = out.data
    for action in (lambda: writer.write(np.zeros((4, 1, 15), int)), lambda: writer.finish(0)):
        with pytest.raises(ArgumentError, match="end"):
            action()
    assert out.data == before


def test_chained_links():
    data = make(3) + make(0) + make(2, codebook_sizes=(16,), seed=1)
    for file in (io.BytesIO(data), Pipe(data)):
        found = [(r.header.codebook_sizes, len(list(r))) for r in open_links(file)]
        assert found == [((1024,) * 4, 3), ((1024,) * 4, 0), ((16,), 2)]
    unread = [reader.header.codebook_sizes[0] for reader in open_links(io.BytesIO(data))]
    assert unread == [1024, 1024, 16]
    ends = [reader.end.packets for reader in open_links(io.BytesIO(data))]
    assert ends == [3, 0, 2], "each link finds its own end from the end of the file"


def test_bytes_after_the_last_link():
    readers = open_links(io.BytesIO(make(2) + b"TAG" + bytes(125)))
    assert len(list(next(readers))) == 2
    with pytest.raises(BadFileError, match="no link"):
        next(readers)
    readers = open_links(io.BytesIO(make(2) + b"junk" + make(1)), keep_going=True)
    assert [len(list(reader)) for reader in readers] == [2, 1]


@pytest.mark.parametrize(
    ("codes", "scale", "first_frame"),
    [
        (np.zeros((5, 1, 15), int), None, None),
        (np.zeros((4, 2, 15), int), None, None),
        (np.zeros((4, 1, 16), int), None, None),
        (np.zeros((4, 1, 0), int), None, None),
        (np.zeros((4, 15), int), None, None),
        (np.full((4, 1, 15), 1024), None, None),
        (np.full((4, 1, 15), -1), None, None),
        (np.zeros((4, 1, 15), int), np.ones(2), None),
        (np.zeros((4, 1, 15), int), np.array([np.nan]), None),
        (np.zeros((4, 1, 15), int), None, 14),
    ],
)
def test_what_does_not_fit_is_refused(codes, scale, first_frame):
    writer = EcdcWriter(io.BytesIO(), make_header())
    writer.write(np.zeros((4, 1, 15), int))
    with pytest.raises(ArgumentError):
        writer.write(codes, scale, first_frame=first_frame)


@pytest.mark.parametrize("redundancy", [(0, 1), (5, 1), (1, 0), (1, 17)])
def test_redundancy_out_of_range(redundancy):
    with pytest.raises(ArgumentError):
        EcdcWriter(io.BytesIO(), make_header(), redundancy=redundancy)


def test_the_longest_timeline():
    data = make(10)
    assert len(read(data, max_seconds=2.0)) == 10
    with pytest.raises(LimitError):
        read(data, max_seconds=1.0)
    header = make_header()
    out = Sink()
    EcdcWriter(out, header).write(random_codes(header, 1)[0], first_frame=2**40)
    with pytest.raises((LimitError, BadFileError)):
        read(out.data)
    with pytest.raises(LimitError):
        read(out.data, keep_going=True)


def overhead(seconds: int) -> float:
    """Returns what an ECDC file of 6 kbps has beyond its codes, as a part of them."""
    header = make_header(
        model="ncodec_24khz", codebook_sizes=(1024,) * 8, packet_frames=75, preroll_frames=30
    )
    codes = random_codes(header, 1)[0]
    return len(write(header, (codes for _ in range(seconds)))) / (seconds * 750) - 1


def test_overhead_at_6_kbps_is_at_most_3_percent():
    assert overhead(60) < 0.027
    assert overhead(3600) < 0.023


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 700), st.booleans())
def test_seek_is_reading_from_there(frame, indexed):
    data = make(40)
    if not indexed:
        data = data[:-8] + b"XXXXXXXX"
    expected = [item for item in read(make(40)) if item.first_frame + 15 > frame]
    reader = EcdcReader(io.BytesIO(data))
    assert (reader.index is not None) == indexed
    list(reader)
    reader.seek(frame)
    found = list(reader)
    assert len(found) == len(expected)
    assert all(map(same, found, expected))


def test_seek_on_a_pipe_goes_forward_only():
    reader = EcdcReader(Pipe(make(10)))
    reader.seek(50)
    assert next(reader).first_frame == 45
    with pytest.raises(ArgumentError, match="behind"):
        reader.seek(10)


def test_the_index_jumps():
    data = make(400, packet_frames=75)

    class Counting(io.BytesIO):
        total = 0

        def read1(self, count=-1):
            chunk = super().read1(min(count, 2000))
            self.total += len(chunk)
            return chunk

    file = Counting(data)
    reader = EcdcReader(file)
    reader.seek(75 * 300)
    assert next(reader).sequence == 300
    assert file.total < 6000


def test_the_index_stays_small():
    header = make_header(codebook_sizes=(4,), packet_frames=75)
    codes = random_codes(header, 1)[0]
    short = len(write(header, [codes]))
    long = write(header, (codes[:, :, : 75 - (n % 2)] for n in range(9000)))
    reader = EcdcReader(io.BytesIO(long))
    assert len(reader.index.points) <= 4096
    reader.seek(75 * 8000)
    assert next(reader).sequence == 8000
    assert len(long) - 9000 * 30 < short + 40000
