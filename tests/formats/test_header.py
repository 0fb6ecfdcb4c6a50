"""The header: what is written is read, what is unknown is kept, what is wrong is refused."""

import io
import struct
import zlib
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings

from ncodec_formats import (
    EcdcReader,
    EcdcWriter,
    Header,
    Loss,
    NcodecError,
    Packet,
    info,
    limits,
)
from ncodec_formats.errors import (
    ArgumentError,
    BadFileError,
    LimitError,
    UnsupportedVersionError,
)
from tests.formats.files import headers, make, make_header, write


def packed(values: object, version: int = 1) -> bytes:
    """Returns a header of any map, with a right CRC."""
    body = msgpack.packb(values)
    data = struct.pack("!4sBI", b"ECDC", version, len(body)) + body
    return data + struct.pack("!I", zlib.crc32(data)) + b"\r\n"


def values_of(header: Header) -> dict:
    return msgpack.unpackb(header.to_bytes()[9:-6])


@settings(max_examples=60, deadline=None)
@given(headers())
def test_round_trip(header):
    assert Header.parse(header.to_bytes()) == header


def test_bytes_are_those_of_the_specification():
    header = make_header(model="m", model_hash=b"h" * 32)
    assert header.to_bytes().hex(" ") == (
        "45 43 44 43 01 00 00 00 51 8c a1 6d a1 6d a1 68 c4 20 "
        + "68 " * 32
        + "a1 72 cd 5d c0 a1 70 cd 01 40 a1 73 01 a1 63 92 04 cd 04 00 a1 66 0f a1 71 0a a1 62 0f "
        "a1 52 cd bb 80 a1 43 01 a1 46 c2 " + header.to_bytes()[-6:-2].hex(" ") + " 0d 0a"
    )


def test_every_flipped_bit_is_refused():
    data = bytearray(make_header().to_bytes())
    for at in range(len(data) * 8):
        data[at // 8] ^= 1 << at % 8
        with pytest.raises(NcodecError):
            EcdcReader(io.BytesIO(bytes(data)))
        data[at // 8] ^= 1 << at % 8
    assert EcdcReader(io.BytesIO(bytes(data))).header == make_header()


def test_every_length_is_refused_but_the_whole():
    data = make_header().to_bytes()
    for length in range(len(data)):
        with pytest.raises(BadFileError):
            EcdcReader(io.BytesIO(data[:length]))


def test_unknown_keys_are_kept():
    values = {**values_of(make_header()), "zz": [1, {"a": b"b"}]}
    header = Header.parse(packed(values))
    assert header.extra == {"zz": [1, {"a": b"b"}]}
    assert Header.parse(header.to_bytes()).extra == header.extra


def test_a_key_that_must_be_understood():
    values = {**values_of(make_header()), "zz": 1, "u": ["m", "zz"]}
    with pytest.raises(UnsupportedVersionError, match="'zz'"):
        Header.parse(packed(values))
    assert Header.parse(packed({**values, "u": ["m"]})).extra == {"zz": 1, "u": ["m"]}


def test_least_reader_version():
    values = values_of(make_header())
    assert Header.parse(packed({**values, "v": 1})).model == "test"
    with pytest.raises(UnsupportedVersionError, match="version 2"):
        Header.parse(packed({**values, "v": 2}))


@pytest.mark.parametrize("version", [0, 2, 192, 255])
def test_other_versions_of_the_file(version):
    with pytest.raises(UnsupportedVersionError, match=str(version)):
        EcdcReader(io.BytesIO(packed(values_of(make_header()), version)))


def test_a_claimed_size_is_not_allocated():
    with pytest.raises(LimitError):
        EcdcReader(io.BytesIO(b"ECDC\x01" + struct.pack("!I", limits.MAX_HEADER + 1)))


@pytest.mark.parametrize(("before", "after"), [(b"\r\n", b"\n"), (b"\n", b"\r\n")])
def test_text_mode_damage_is_named(before, after):
    with pytest.raises(BadFileError, match="text mode"):
        EcdcReader(io.BytesIO(make(3, preroll_frames=11, block_frames=1).replace(before, after)))


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("model", "", ArgumentError),
        ("model", 3, ArgumentError),
        ("model_hash", b"short", ArgumentError),
        ("sample_rate", 0, ArgumentError),
        ("sample_rate", limits.MAX_RATE + 1, LimitError),
        ("hop", 0, ArgumentError),
        ("hop", True, ArgumentError),
        ("streams", 0, ArgumentError),
        ("streams", 9, LimitError),
        ("codebook_sizes", (), ArgumentError),
        ("codebook_sizes", (1024,) * 65, LimitError),
        ("codebook_sizes", (1,), ArgumentError),
        ("codebook_sizes", (65537,), LimitError),
        ("packet_frames", 0, ArgumentError),
        ("packet_frames", 2**31, LimitError),
        ("preroll_frames", -1, ArgumentError),
        ("block_frames", 0, ArgumentError),
        ("source_rate", 0, ArgumentError),
        ("source_channels", 9, LimitError),
        ("source_samples", -1, ArgumentError),
        ("source_samples", 2**60, LimitError),
        ("start", -1, ArgumentError),
        ("segment", (10, 20), ArgumentError),
        ("segment", True, ArgumentError),
        ("segment", {0: 1, 1: 1}, ArgumentError),
        ("gain_db", float("nan"), ArgumentError),
        ("tags", (("A=B", "x"),), ArgumentError),
        ("tags", (("", "x"),), ArgumentError),
        ("kinds", (0,), ArgumentError),
        ("extra", {"m": 1}, ArgumentError),
        ("extra", {"zz": 2**64}, ArgumentError),
    ],
)
def test_impossible_values(field, value, error):
    with pytest.raises(error):
        replace(make_header(), **{field: value}).to_bytes()


@pytest.mark.parametrize("mask", [0x3F, 0x60F, 0x3F << 12, 0, None])
def test_speakers(mask):
    header = make_header(source_channels=6, channel_mask=mask)
    assert Header.parse(header.to_bytes()).channel_mask == mask
    assert len(header.speakers) == (0 if mask == 0 else 6)
    [link] = info(io.BytesIO(make(source_channels=6, channel_mask=mask)))["links"]
    assert link["channel_mask"] == (None if mask is None else mask)
    assert link["speakers"] == list(header.speakers)


def test_the_usual_speakers_are_as_many_as_channels():
    for channels in range(1, 9):
        assert len(make_header(source_channels=channels).speakers) == channels
    assert make_header(source_channels=6).speakers == ("FL", "FR", "FC", "LFE", "BL", "BR")


@pytest.mark.parametrize("mask", [1, 0x7F, -1, 1.5, "5.1"])
def test_a_mask_of_other_speakers_than_channels(mask):
    with pytest.raises(ArgumentError, match="channel_mask"):
        make_header(source_channels=6, channel_mask=mask)
    with pytest.raises(LimitError, match="channel_mask"):
        make_header(source_channels=6, channel_mask=0x3F << 13)


def test_numbers_of_other_kinds():
    plain = make_header(segment=(48000, 47520), gain_db=3.0, source_samples=5, channel_mask=4)
    header = make_header(
        sample_rate=np.int64(24000),
        codebook_sizes=[np.uint16(1024)] * 4,
        segment=np.array([48000, 47520]).tolist(),
        gain_db=np.float32(3),
        source_samples=np.int32(5),
        channel_mask=np.uint8(4),
    )
    assert header == plain
    assert header.to_bytes() == plain.to_bytes()
    assert make_header(gain_db=3).to_bytes() == make_header(gain_db=3.0).to_bytes()
    for wrong in (np.float64(24000), np.True_, True, "24000", None):
        with pytest.raises(ArgumentError, match="sample_rate"):
            make_header(sample_rate=wrong)


def packet(**changes) -> Packet:
    values = {"sequence": 2, "first_frame": 30, "codes": np.zeros((4, 1, 15), np.int64)}
    return Packet(**{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        *({"sequence": value} for value in (-1, 1.0, True, None, 1 << 32)),
        *({"first_frame": value} for value in (-1, 1.5, "0", None, (1 << 48) + 1)),
        {"codes": np.zeros((4, 1, 15), np.float32)},
        {"codes": np.zeros((4, 1, 15), bool)},
        {"codes": np.zeros((4, 1, 15)).tolist()},
        {"codes": None},
        {"codes": np.zeros((5, 1, 15), np.int64)},
        {"codes": np.zeros((4, 2, 15), np.int64)},
        {"codes": np.zeros((4, 1, 16), np.int64)},
        {"codes": np.zeros((4, 1, 0), np.int64)},
        {"codes": np.zeros((4, 15), np.int64)},
        {"codes": np.full((4, 1, 15), 1024)},
        {"codes": np.full((4, 1, 15), -1, np.int16)},
        {"scale": np.array([np.nan], np.float32)},
        {"scale": np.array([1e30], np.float32)},
        {"scale": np.array([-1.0], np.float32)},
        {"scale": np.ones(2, np.float32)},
        {"scale": np.ones((1, 1), np.float32)},
        {"scale": np.array([1])},
        {"scale": 1.0},
    ],
    ids=str,
)
def test_packets_that_do_not_fit(changes):
    header = make_header()
    header.check_packet(packet())
    header.check_packet(packet(codes=np.zeros((0, 1, 1), np.uint16), sequence=np.int64(3)))
    with pytest.raises(ArgumentError):
        header.check_packet(packet(**changes))


def test_segments_need_a_scale():
    header = make_header(segment=(4800, 4750))
    header.check_packet(packet(scale=np.ones(1, np.float32)))
    header.check_packet(packet(codes=np.zeros((0, 1, 15), np.uint16)))
    with pytest.raises(ArgumentError, match="scale is missing"):
        header.check_packet(packet())
    with pytest.raises(ArgumentError, match="scale is missing"):
        write(header, []) and EcdcWriter(io.BytesIO(), header).write(packet().codes)


@pytest.mark.parametrize(("first", "frames"), [(-1, 5), (0, 0), (0, -5), (0, 2.5), (None, 1)])
def test_losses_that_can_not_be(first, frames):
    make_header().check_packet(Loss(0, 1, "missing"))
    with pytest.raises(ArgumentError):
        make_header().check_packet(Loss(first, frames, "missing"))


def test_packets_too_long_for_the_format():
    with pytest.raises(LimitError, match="packets of up to"):
        make_header(packet_frames=65536, streams=8, codebook_sizes=(65536,) * 64)


@pytest.mark.parametrize("key", "mhrpscfqbRC")
def test_each_key_is_needed_and_typed(key):
    values = values_of(make_header())
    for wrong in ({**values, key: None}, {**values, key: [[]]}, {**values, key: -1.5}):
        with pytest.raises(BadFileError):
            Header.parse(packed(wrong))
    del values[key]
    with pytest.raises(BadFileError, match=f"'{key}'"):
        Header.parse(packed(values))


@pytest.mark.parametrize("values", [[], 7, {1: 2}, {"t": ["A"]}, {"c": [2**40, 4]}])
def test_maps_of_another_shape(values):
    if isinstance(values, dict) and 1 not in values:
        values = {**values_of(make_header()), **values}
    with pytest.raises((BadFileError, LimitError)):
        Header.parse(packed(values))


def test_a_key_that_stands_twice():
    body = b"\x82\xa1m\xa1a\xa1m\xa1b"
    data = struct.pack("!4sBI", b"ECDC", 1, len(body)) + body
    with pytest.raises(BadFileError, match="twice"):
        Header.parse(data + struct.pack("!I", zlib.crc32(data)) + b"\r\n")


def test_a_loss_is_no_longer_than_a_timeline_that_is_followed() -> None:
    from ncodec_formats.packets import Loss

    header = make_header()
    most = int(100 * 3600 * header.sample_rate / header.hop)
    header.check_packet(Loss(0, most, "gone"))
    for frames in (0, most + 1, 10**12):
        with pytest.raises(ArgumentError, match=f"a loss of {frames} frames; it must be of 1 to"):
            header.check_packet(Loss(0, frames, "gone"))
