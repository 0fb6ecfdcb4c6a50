"""Integers, bits and checks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncodec_formats.entropy.packed import Packer, pack, unpack
from ncodec_formats.wire import count_good_layers, crc16, get_varint, put_layers, put_varint


@given(st.integers(0, 2**56 - 1))
def test_varint_round_trip(value):
    data = put_varint(value)
    assert get_varint(b"x" + data + b"y", 1, 2**56) == (value, 1 + len(data))


def test_varint_bytes():
    assert put_varint(300) == b"\xac\x02"


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff" * 9 + b"\x01", b"\xac\x03"])
def test_varint_refuses_other_forms_and_larger_values(data):
    with pytest.raises(ValueError, match="variable-length"):
        get_varint(data, 0, 300)


def test_crc16_is_the_standard_one():
    assert crc16(b"123456789") == 0x29B1


def test_bits_are_least_significant_first():
    # The example of EnCodec's own packing.
    assert pack(np.array([1, 2, 3, 1023]), 10).hex(" ") == "01 08 30 c0 ff"


@given(st.integers(1, 16), st.integers(0, 99), st.integers(0, 9))
def test_bits_round_trip(bits, count, seed):
    codes = np.random.default_rng(seed).integers(0, 1 << bits, count)
    data = pack(codes, bits)
    assert len(data) == (count * bits + 7) // 8
    assert np.array_equal(unpack(data, bits, count), codes)


@given(st.lists(st.integers(0, 20), max_size=6), st.integers(1, 16))
def test_packing_in_pieces_is_packing_at_once(pieces, bits):
    codes = np.random.default_rng(0).integers(0, 1 << bits, sum(pieces))
    packer = Packer(bits)
    parts = np.split(codes, np.cumsum(pieces)[:-1]) if pieces else []
    data = b"".join([packer.push(part) for part in parts]) + packer.flush()
    assert data == pack(codes, bits)


def test_layers_are_those_of_the_specification():
    # 01 aa bb = 109243 = 56 mod 227, 58 mod 251; then 3a 07 = 14855 = 100 mod 227.
    assert put_layers([b"\xaa\xbb", b"\x07"]) == b"\xaa\xbb\x38\x07\x64"


def test_one_flipped_bit_is_seen_at_its_own_layer():
    rng = np.random.default_rng(0)
    layers = [rng.bytes(94) for _ in range(4)]
    body = bytearray(put_layers(layers))
    for at in range(len(body) * 8):
        body[at // 8] ^= 1 << at % 8
        assert count_good_layers(bytes(body), (94,) * 4) == at // 8 // 95
        body[at // 8] ^= 1 << at % 8
    assert count_good_layers(bytes(body), (94,) * 4) == 4


def test_two_close_flipped_bits_are_seen():
    body = bytearray(put_layers([bytes(range(40))]))
    for first in range(0, 300, 7):
        for second in range(first + 1, min(first + 113, 320)):
            for at in (first, second):
                body[at // 8] ^= 0x80 >> at % 8
            assert count_good_layers(bytes(body), (40,)) == 0
            for at in (first, second):
                body[at // 8] ^= 0x80 >> at % 8


def test_damage_that_slips_past_one_check_meets_the_next():
    layers = [bytes(90)] * 6
    body = put_layers(layers)
    # Adding the modulus to a layer's number leaves its own check right.
    forged = (227).to_bytes(90, "big") + body[90:]
    assert count_good_layers(forged, (90,) * 6) == 1


def test_a_body_cut_short_has_the_layers_that_are_whole():
    body = put_layers([b"abc", b"def"])
    assert [count_good_layers(body[:n], (3, 3)) for n in range(9)] == [0] * 4 + [1] * 4 + [2]
