"""RTP payloads: what is packed comes back, what is damaged is refused, and a relay may cut."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import Header
from ncodec_formats.errors import ArgumentError, BadFileError
from ncodec_formats.rtp import Counter, Payload, Rtp, cut_payload, parse_sdp, sdp_lines

PLAIN = Header(
    model="toy", model_hash=bytes(32), sample_rate=24000, hop=320, streams=1,
    codebook_sizes=(1024,) * 8, packet_frames=3, preroll_frames=0, block_frames=3,
    source_rate=24000, source_channels=1, source_samples=None,
)  # fmt: skip
ODD = replace(PLAIN, streams=2, source_channels=2, codebook_sizes=(1000, 2, 33, 65536, 1024))
headers = st.sampled_from([PLAIN, ODD])


@st.composite
def payloads(draw):
    header = draw(headers)
    dice = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames, count = draw(st.integers(1, 8)), draw(st.integers(0, 7))
    layers = draw(st.integers(0, len(header.codebook_sizes)))
    below = draw(st.integers(1, len(header.codebook_sizes)))

    def codes(height):
        sizes = np.array(header.codebook_sizes[:height]).reshape(-1, 1, 1)
        return dice.integers(0, sizes, (height, header.streams, frames)).astype(np.uint16)

    return header, Payload(codes(layers), tuple(codes(below) for _ in range(count)))


def same(a, b):
    return len(a.copies) == len(b.copies) and all(
        np.array_equal(x, y)
        for x, y in zip((*a.copies, a.codes), (*b.copies, b.codes), strict=True)
    )


@settings(max_examples=40)
@given(payloads())
def test_what_is_packed_comes_back(case):
    header, payload = case
    data = payload.to_bytes(header)
    assert same(Payload.from_bytes(data, header), payload)
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(BadFileError):
            Payload.from_bytes(wrong, header)


@settings(max_examples=40)
@given(payloads(), st.integers(1, 8))
def test_a_relay_cuts_layers_off_the_end(case, layers):
    header, payload = case
    whole = payload.to_bytes(header)
    data = cut_payload(whole, header, layers)
    found = Payload.from_bytes(data, header)
    assert np.array_equal(found.codes, payload.codes[:layers])
    assert same(Payload(payload.codes, found.copies), payload)
    assert data[1:-1] == whole[1 : len(data) - 1]


@settings(max_examples=40)
@given(st.binary(max_size=80), headers)
def test_any_bytes_are_read_or_refused(data, header):
    for read in (Rtp.from_bytes, lambda d: Payload.from_bytes(d, header)):
        try:
            found = read(data)
        except BadFileError:
            continue
        if isinstance(found, Payload):
            assert found.to_bytes(header) == data
        else:
            assert len(found.payload) <= len(data)


def test_sizes_are_those_of_the_document():
    def size(layers, frames, below=0):
        codes = np.zeros((layers, 1, frames), np.uint16)
        copies = (codes[:below],) if below else ()
        return len(Payload(codes, copies).to_bytes(PLAIN))

    assert [size(8, 1), size(8, 3), size(0, 3)] == [12, 32, 2]
    assert [size(8, 1, 4) - size(8, 1), size(8, 3, 4) - size(8, 3)] == [5, 15]


@settings(max_examples=40)
@given(
    st.integers(0, 127), st.booleans(), st.integers(0, 2**40), st.integers(0, 2**40),
    st.integers(0, 2**32 - 1), st.binary(max_size=30),
)  # fmt: skip
def test_rtp_comes_back(kind, marker, sequence, timestamp, ssrc, payload):
    data = Rtp(kind, marker, sequence, timestamp, ssrc, payload).to_bytes()
    expected = Rtp(kind, marker, sequence % 2**16, timestamp % 2**32, ssrc, payload)
    assert Rtp.from_bytes(data) == expected
    longer = bytes([data[0] | 0x31]) + data[1:12] + b"srce" + b"\xbe\xde\0\1ext!" + payload
    assert Rtp.from_bytes(longer + b"\0\0\3") == expected
    with pytest.raises(BadFileError):
        Rtp.from_bytes(longer + b"\xff")


@settings(max_examples=40)
@given(st.integers(0, 2**16), st.lists(st.integers(-30000, 30000), max_size=50))
def test_counters_are_made_whole(start, steps):
    counter, number, largest = Counter(16), start, start
    assert counter.see(start % 2**16) - start % 2**16 == 0
    base = start - start % 2**16
    for step in steps:
        number = max(largest + step, base)
        assert counter.see(number % 2**16) + base == number
        largest = max(largest, number)


def test_what_does_not_fit_is_refused():
    codes = np.zeros((8, 1, 3), np.uint16)
    bad = [
        Payload(codes[:, :, :0]), Payload(np.zeros((8, 1, 9), np.uint16)),
        Payload(np.zeros((9, 1, 3), np.uint16)), Payload(np.zeros((8, 2, 3), np.uint16)),
        Payload(codes, (codes[:0],)),
        Payload(codes, (codes[:, :, :1],)),
        Payload(codes, (codes,) * 8),
        Payload(codes, (codes[:2], codes[:3])), Payload(codes + 1024),
    ]  # fmt: skip
    for payload in bad:
        with pytest.raises(ArgumentError):
            payload.to_bytes(PLAIN)
    with pytest.raises(ArgumentError):
        cut_payload(Payload(codes).to_bytes(PLAIN), PLAIN, 0)


def test_a_session_description_says_what_is_needed():
    lines = ["v=0", "a=rtpmap:111 opus/48000/2", *sdp_lines(PLAIN, 97)]
    said = parse_sdp(lines)
    assert said["payload_type"] == 97
    assert (said["rate"], said["channels"], said["frames"]) == (24000, 1, "3")
    assert bytes.fromhex(str(said["hash"])) == PLAIN.model_hash
    assert lines[-1] == "a=ptime:40"
    with pytest.raises(BadFileError):
        parse_sdp(lines[:2])
