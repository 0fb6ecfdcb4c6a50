"""Layer codings by kind: a toy one of variable lengths goes wherever files go."""

import io

import numpy as np
import pytest

from ncodec_formats import (
    EcdcReader,
    Loss,
    Packet,
    cat,
    cut,
    info,
    open_links,
    peel,
    repair,
    set_tags,
    verify,
)
from ncodec_formats.entropy import CODINGS, PACKED
from ncodec_formats.errors import BadFileError, DamageError, LimitError
from ncodec_formats.packets import PacketLayout
from tests.formats.files import CODED, Pipe, Varints, apply, make, make_header, random_codes, read

CODINGS_5 = CODED["codings"]
KINDS = [(0, 5, 5, 5), (5, 5, 5, 5), (5, 0, 5, 0)]


@pytest.fixture(params=KINDS, ids=str)
def kinds(request):
    return request.param


def codes_of(items) -> list[np.ndarray]:
    return [item.codes for item in items]


def codes_in(data: bytes, **options) -> list[np.ndarray]:
    return codes_of(read(data, codings=CODINGS_5, **options))


def test_codes_come_back(kinds):
    data, plain = make(6, kinds=kinds, codings=CODINGS_5), read(make(6))
    for item, expected in zip(codes_in(data), plain, strict=True):
        assert np.array_equal(item, expected.codes)
    piped = EcdcReader(Pipe(data), codings=CODINGS_5)
    assert all(map(np.array_equal, codes_of(piped), codes_of(plain)))
    chained = [codes_of(link) for link in open_links(io.BytesIO(data + data), codings=CODINGS_5)]
    assert all(map(np.array_equal, chained[1], codes_of(plain)))
    known = kinds.index(5)
    assert [len(item.codes) for item in read(data)] == [known] * 6, "without the coding"
    assert info(io.BytesIO(data))["links"][0]["overhead"] is None


def test_packets_to_and_from_bytes(kinds):
    header = make_header(kinds=kinds)
    packet = Packet(3, 45, random_codes(header, 1)[0].astype(np.uint16))
    data = packet.to_bytes(header, CODINGS_5)
    found = Packet.from_bytes(data, header, codings=CODINGS_5)
    assert np.array_equal(found.codes, packet.codes)
    assert len(Packet.from_bytes(data, header).codes) == kinds.index(5)


def test_operations_need_no_coding(kinds):
    data = make(40, kinds=kinds, codings=CODINGS_5, redundancy=(2, 1))
    plain = [item.codes for item in read(make(40))]
    assert verify(io.BytesIO(data)).ok
    assert apply(repair, data) == data
    assert all(
        np.array_equal(a, b[:2]) for a, b in zip(codes_in(apply(peel, data, 2)), plain, strict=True)
    )
    parts = [
        apply(cut, data, 0, 100000),
        apply(cut, data, 100000, 200000),
        apply(cut, data, 200000),
    ]
    out = io.BytesIO()
    cat([io.BytesIO(part) for part in parts], out)
    assert out.getvalue() == data
    tagged = apply(set_tags, data, [("A", "b")])
    assert all(map(np.array_equal, codes_in(tagged), plain))


def test_seeking(kinds):
    data = make(400, kinds=kinds, codings=CODINGS_5)
    plain = read(make(400))
    reader = EcdcReader(io.BytesIO(data), codings=CODINGS_5)
    for frame in (5000, 17, 3000):
        reader.seek(frame)
        packet = next(reader)
        assert packet.first_frame <= frame < packet.first_frame + packet.frames
        assert np.array_equal(packet.codes, plain[frame // 15].codes)


def test_a_flipped_bit_costs_its_layer_and_those_above(kinds):
    header = make_header(kinds=kinds)
    data = make(4, kinds=kinds, codings=CODINGS_5)
    layout = PacketLayout(header, CODINGS_5)
    codes = random_codes(header, 4)
    right = layout.put_packet(Packet(1, 15, codes[1].astype(np.uint16)))
    head, begin = layout.get_head(right, 0), data.index(right)
    at = head.size
    for layer, length in enumerate(head.lengths):
        broken = bytearray(data)
        broken[begin + at + length // 2] ^= 1
        with pytest.raises(DamageError, match=f"codebook {layer + 1} on"):
            codes_in(bytes(broken))
        items = read(bytes(broken), codings=CODINGS_5, keep_going=True)
        if layer == 0:
            assert items[1] == Loss(15, 15, "damaged")
        else:
            assert np.array_equal(items[1].codes, codes[1][:layer])
        mended = apply(repair, bytes(broken))
        assert verify(io.BytesIO(mended)).ok
        at += length + 1


def test_a_lost_packet_comes_back_from_copies(kinds):
    data = make(6, kinds=kinds, codings=CODINGS_5, redundancy=(3, 1))
    layout = PacketLayout(make_header(kinds=kinds), CODINGS_5)
    codes = random_codes(make_header(), 6)
    lost = layout.put_packet(Packet(2, 30, codes[2].astype(np.uint16)))
    assert lost in data
    reader = EcdcReader(io.BytesIO(data.replace(lost, b"")), True, codings=CODINGS_5)
    items = list(reader)
    assert np.array_equal(items[2].codes, codes[2][:3])
    assert reader.losses.recovered == 1


def test_bytes_that_a_coding_refuses_are_damage():
    class Short(Varints):
        def encode_layer(self, *arguments):
            return super().encode_layer(*arguments)[:-1]

    data = make(3, kinds=(0, 0, 5, 0), codings={5: Short()})
    assert verify(io.BytesIO(data)).ok, "nobody who copies can see it"
    with pytest.raises(BadFileError, match="codebook 3 on"):
        codes_in(data)
    reader = EcdcReader(io.BytesIO(data), True, codings=CODINGS_5)
    assert [len(item.codes) for item in reader] == [2, 2, 2]
    assert (reader.losses.packets, reader.losses.layers) == (3, 6)


def test_who_copies_decodes_nothing():
    class Counting(Varints):
        calls = 0

        def decode(self, data, codes, layers, sizes):
            self.calls += len(data) * len(layers)
            super().decode(data, codes, layers, sizes)

    coding = Counting()
    data = make(6, kinds=(0, 5, 5, 5), codings=CODINGS_5)
    assert len(read(data, codings={5: coding})) == 6
    assert coding.calls == 18
    verify(io.BytesIO(data))
    assert coding.calls == 18


def test_packets_that_are_read_ahead_are_the_same_and_faults_wait_their_turn(kinds):
    data = make(20, kinds=kinds, codings=CODINGS_5)
    plain = read(data, codings=CODINGS_5)
    ahead = EcdcReader(io.BytesIO(data), codings=CODINGS_5)
    ahead.together = 8
    ahead.most_layers = 3
    for item, expected in zip(ahead, plain, strict=True):
        assert np.array_equal(item.codes, expected.codes[:3])
    ahead.seek(100)
    assert next(ahead).first_frame == 90
    broken = bytearray(data)
    broken[len(data) // 2] ^= 255
    one_by_one, together = (EcdcReader(io.BytesIO(broken), codings=CODINGS_5) for _ in range(2))
    together.together = 64
    found: list[list[np.ndarray]] = [[], []]
    for reader, items in zip((one_by_one, together), found, strict=True):
        with pytest.raises(DamageError):
            items.extend(item.codes for item in reader)
    assert len(found[0]) == len(found[1]) > 5


def test_packets_that_grow_too_long():
    class Long(Varints):
        def encode_layer(self, *arguments):
            return bytes(1 << 20)

    with pytest.raises(LimitError, match="bytes"):
        make(1, kinds=(0, 0, 0, 5), codings={5: Long()})


def test_packed_bits():
    assert set(CODINGS) == {0, 1}
    codes = np.arange(60, dtype=np.uint16).reshape(1, 2, 2, 15)
    layers, sizes = range(2), (1024, 1000)
    ((first, second),) = PACKED.encode(codes, layers, sizes)
    assert len(first) == PACKED.size(15, 2, 1024) == 38
    found = np.zeros_like(codes)
    PACKED.decode([[first, second]], found, layers, sizes)
    assert np.array_equal(found, codes)
    assert PACKED.is_sound(first, 15, 2, 1024)
    assert not PACKED.is_sound(first[:-1], 15, 2, 1024)
    beyond = PACKED.pack(np.full((2, 15), 1000), 1001)
    assert PACKED.is_sound(beyond, 15, 2, 1001)
    assert not PACKED.is_sound(beyond, 15, 2, 1000)
