"""Kind 1: predicted layers, with toy tables."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import (
    EcdcReader,
    Header,
    cat,
    cut,
    info,
    open_links,
    peel,
    repack,
    repair,
    verify,
)
from ncodec_formats.entropy import (
    PACKED,
    LayerTables,
    Predicted,
    Tables,
    predicted,
    range_coder,
    tables,
)
from ncodec_formats.entropy.predictor import Predictor
from ncodec_formats.entropy.range_coder import Decoder, Decoders, encode
from ncodec_formats.entropy.toy import toy_tables
from ncodec_formats.errors import (
    ArgumentError,
    BadFileError,
    DamageError,
    LimitError,
    TablesError,
    UnsupportedVersionError,
)
from tests.formats.files import CODED, apply, make_header, read, write

SIZES = (1024,) * 4
TOY = toy_tables(SIZES)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_FOUND", {})
    monkeypatch.setattr(tables, "_FINDERS", [lambda wanted: {TOY.hash: TOY}.get(wanted)])


def likely_codes(its: Tables, packets: int, streams: int, frames: int, seed: int = 0) -> np.ndarray:
    """Return codes `[N, K, S, F]` that the tables expect: what random bytes decode to."""
    rng = np.random.default_rng(seed)
    sizes, count = its.sizes, len(its.sizes)
    most = [PACKED.size(frames, streams, size) for size in sizes]
    data = [[rng.bytes(n // 2)[: n - 1] for n in most] for _ in range(packets)]
    codes = np.zeros((packets, count, streams, frames), np.uint16)
    Predicted(its).decode(data, codes, range(count), sizes)
    return codes


def header_of(its: Tables = TOY, **changes) -> Header:
    kinds = (1,) * len(its.sizes)
    return make_header(codebook_sizes=its.sizes, kinds=kinds, tables=its.hash, **changes)


def make(packets: int = 6, seed: int = 0, redundancy=None, **changes) -> bytes:
    header = header_of(**changes)
    codes = likely_codes(TOY, packets, header.streams, header.packet_frames, seed)
    return write(header, codes[:, : len(header.codebook_sizes)], redundancy=redundancy)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_codes_come_back_however_many_there_are(data: st.DataObject) -> None:
    draw = data.draw
    sizes = tuple(draw(st.lists(st.sampled_from((2, 6, 64, 1024)), min_size=1, max_size=4)))
    its = toy_tables(
        sizes,
        before=draw(st.integers(0, 3)),
        after=draw(st.integers(0, 3)),
        own=draw(st.integers(0, 4)),
        seed=draw(st.integers(0, 99)),
    )
    packets, streams = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    frames, seed = draw(st.integers(1, 12)), draw(st.integers(0, 99))
    codes = likely_codes(its, packets, streams, frames, seed)
    if draw(st.booleans()):
        wild = np.random.default_rng(seed)
        codes[0] = np.stack([wild.integers(0, n, (streams, frames)) for n in sizes])
    coding, layers = Predicted(its), range(len(sizes))
    coded = coding.encode(codes, layers, sizes)
    for packet in coded:
        for k, layer in enumerate(packet):
            assert len(layer) <= PACKED.size(frames, streams, sizes[k])
            assert coding.is_sound(layer, frames, streams, sizes[k])
    together, alone = np.zeros_like(codes), np.zeros_like(codes)
    coding.decode(coded, together, layers, sizes)
    for n in range(packets):
        assert coding.encode(codes[n : n + 1], layers, sizes) == coded[n : n + 1]
        coding.decode(coded[n : n + 1], alone[n : n + 1], layers, sizes)
    assert np.array_equal(together, codes)
    assert np.array_equal(alone, codes)
    fewer = draw(st.integers(1, len(sizes)))
    lower = coding.encode(codes[:, :fewer], range(fewer), sizes)
    assert lower == [packet[:fewer] for packet in coded]


def test_frequencies_are_those_of_whole_numbers() -> None:
    """The arithmetic of SPEC.md, written down once more in Python's own integers."""
    its = toy_tables((64, 64), own=1, seed=5)
    codes = np.random.default_rng(0).integers(0, 64, (1, 2, 7))
    predictor = Predictor(its)
    below = predictor.sums(codes[:, :1])
    context = predictor.context(below, below)[0]
    units = predictor.units(1, context)
    blocks = np.arange(7) % 8
    found = predictor.block_frequencies(1, units), predictor.place_frequencies(1, units, blocks)
    layer = its.layers[1]
    for t in range(7):
        parts = [t, t - 1, t - 2, t + 1, t + 2]
        x = [
            int(its.embeddings[0][codes[0, 0, u], d]) if 0 <= u < 7 else 0
            for u in parts
            for d in range(4)
        ]
        x = [max(-127, min(127, value)) for value in x]
        assert x == context[t].tolist()
        a = [
            max(0, min(127, (_dot(x, layer.inputs[:, h]) + int(layer.input_bias[h]) + 16) >> 5))
            for h in range(8)
        ]
        assert a == units[t].tolist()
        first = 8 * int(blocks[t])
        for frequencies, matrix, bias in (
            (found[0], layer.blocks, layer.block_bias),
            (found[1], layer.entries[:, first : first + 8], layer.entry_bias[first : first + 8]),
        ):
            logits = [_dot(a, matrix[:, n]) + int(bias[n]) for n in range(8)]
            steps = [min((max(logits) - value + 64) >> 7, 255) for value in logits]
            weights = [int(its.weights[step]) for step in steps]
            scale = (1 << 42) // sum(weights)
            assert frequencies[t].tolist() == [max(w * scale >> 26, 1) for w in weights]


def _dot(a: list[int], b: np.ndarray) -> int:
    return sum(x * int(y) for x, y in zip(a, b, strict=True))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_range_coder_gives_back_what_it_takes(data: st.DataObject) -> None:
    draw = data.draw
    rows, steps = draw(st.integers(1, 5)), draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    steep = draw(st.sampled_from((1, 300, 60000)))
    frequencies = rng.integers(1, steep + 1, (rows, steps, 4))
    symbols = rng.integers(0, 4, (rows, steps))
    if draw(st.booleans()):
        symbols[:] = 3  # the last takes what the division leaves: carries
    ends = frequencies.cumsum(axis=2)
    widths = np.take_along_axis(frequencies, symbols[..., None], 2)[..., 0]
    begins = np.take_along_axis(ends, symbols[..., None], 2)[..., 0] - widths
    coded = encode(begins, widths, ends[..., -1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(range_coder, "_FEW", 0)
        assert encode(begins, widths, ends[..., -1]) == coded, "side by side"
    matrix = np.zeros((rows, max(map(len, coded)) + 4), np.uint8)
    for row, code in zip(matrix, coded, strict=True):
        row[: len(code)] = np.frombuffer(code, np.uint8)
    many = Decoders(matrix)
    for t in range(steps):
        assert np.array_equal(many.pull(frequencies[:, t]), symbols[:, t])
    for n, code in enumerate(coded):
        decoder = Decoder(code)
        assert [decoder.pull(ends[n, t].tolist()) for t in range(steps)] == symbols[n].tolist()
        assert not code.endswith(b"\0")


@pytest.mark.parametrize("few", [0, 1])
def test_a_carry_runs_through_full_bytes(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbol just below the middle of the range, then the first above it, as far as it goes."""
    begins = np.array([[(1 << 15) - 1, 65535, 65535, 65535, 65535]])
    widths = np.ones_like(begins)
    totals = np.full_like(begins, 1 << 16)
    monkeypatch.setattr(range_coder, "_FEW", few)
    (code,) = encode(begins, widths, totals)
    decoder = Decoder(code)
    ends = list(range(1, (1 << 16) + 1))
    assert [decoder.pull(ends) for _ in range(5)] == begins[0].tolist()


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("packets", [1, 8])
def test_long_packets_are_predicted_in_spans(
    streams: int, packets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, layers = likely_codes(TOY, packets, streams, 40), range(4)
    coded = Predicted(TOY).encode(codes, layers, SIZES)
    monkeypatch.setattr(predicted, "_ROWS", 7)
    assert Predicted(TOY).encode(codes, layers, SIZES) == coded
    monkeypatch.setattr(predicted, "_parts", lambda codes: [slice(None)])
    assert Predicted(TOY).encode(codes, layers, SIZES) == coded
    found = np.zeros_like(codes)
    Predicted(TOY).decode(coded, found, layers, SIZES)
    assert np.array_equal(found, codes)


def test_a_layer_has_a_byte_for_so_many_codes() -> None:
    its = toy_tables((2,), own=0)
    coding, frames = Predicted(its), 2000
    codes = likely_codes(its, 1, 1, frames)
    ((layer,),) = coding.encode(codes, range(1), (2,))
    assert coding.is_sound(layer, frames, 1, 2)
    assert not coding.is_sound(bytes(6), frames, 1, 2)
    assert coding.is_sound(bytes(7), frames, 1, 2)
    # The likeliest codes of all, which take next to nothing.
    zeros = np.zeros_like(codes)
    coding.decode([[bytes(7)]], zeros, range(1), (2,))
    ((short,),) = coding.encode(zeros, range(1), (2,))
    assert len(short) == 7


def test_one_block_of_all_codes() -> None:
    layer = TOY.layers[0]
    values = {**vars(layer), "blocks": layer.blocks[:, :1], "block_bias": layer.block_bias[:1]}
    its = Tables(2, 2, 0, TOY.weights, TOY.embeddings[:1], (LayerTables(**values),))
    codes = likely_codes(its, 9, 1, 15)
    coded = Predicted(its).encode(codes, range(1), (1024,))
    found = np.zeros_like(codes)
    Predicted(Tables.parse(its.data)).decode(coded, found, range(1), (1024,))
    assert np.array_equal(found, codes)


@pytest.mark.parametrize("streams", [1, 2])
def test_files(streams: int) -> None:
    header = header_of(streams=streams, source_channels=streams)
    codes = likely_codes(TOY, 40, streams, header.packet_frames)
    data = write(header, codes, redundancy=(2, 1))
    packed = write(make_header(streams=streams, source_channels=streams), codes)
    assert len(data) < len(packed)
    for item, expected in zip(read(data), codes, strict=True):
        assert np.array_equal(item.codes, expected)
    reader = EcdcReader(io.BytesIO(data))
    reader.together = 64
    assert all(np.array_equal(a.codes, b) for a, b in zip(reader, codes, strict=True))
    assert verify(io.BytesIO(data)).ok
    assert apply(repair, data) == data
    parts = [apply(cut, data, 0, 100000), apply(cut, data, 100000)]
    out = io.BytesIO()
    cat([io.BytesIO(part) for part in parts], out)
    assert out.getvalue() == data


def pack(header: Header) -> Header:
    return replace(header, kinds=(), tables=None)


def predict(header: Header) -> Header:
    return replace(header, kinds=(1,) * len(header.codebook_sizes), tables=TOY.hash)


@given(
    packets=st.integers(0, 90),
    streams=st.integers(1, 2),
    redundancy=st.sampled_from([None, (2, 1), (4, 2)]),
    lower=st.integers(1, 4),
    wild=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_codes_are_packed_and_predicted_again(
    packets: int, streams: int, redundancy: tuple[int, int] | None, lower: int, wild: bool
) -> None:
    header = make_header(streams=streams, source_channels=streams, packet_frames=8)
    codes = list(likely_codes(TOY, packets, streams, 8)) if packets else []
    if wild:
        codes = [np.random.default_rng(0).integers(0, 1024, one.shape) for one in codes]
    codes = [one[: lower if n % 3 else 4] for n, one in enumerate(codes)]
    codes[-1:] = [one[:, :, :3] for one in codes[-1:]]
    packed, predicted_file = (write(h, codes, 9999, redundancy=redundancy) for h in (
        header, predict(header)
    ))  # fmt: skip
    assert apply(repack, packed, predict) == predicted_file
    assert apply(repack, predicted_file, pack) == packed
    assert apply(repack, packed, pack) == packed


def test_what_is_repacked_is_all_there() -> None:
    whole = make(30, tags=(("A", "b"),))
    parts = apply(cut, whole, 100000, 150000) + make(2)
    packed = apply(repack, parts, pack)
    assert apply(repack, packed, predict) == parts
    codes = [[item.codes for item in link] for link in open_links(io.BytesIO(packed))]
    again = [[item.codes for item in link] for link in open_links(io.BytesIO(parts))]
    assert all(np.array_equal(a, b) for x, y in zip(codes, again, strict=True)
               for a, b in zip(x, y, strict=True))  # fmt: skip
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 1
    with pytest.raises(DamageError):
        apply(repack, bytes(broken), pack)
    mended = apply(repair, bytes(broken))
    assert apply(repack, bytes(broken), pack, keep_going=True) == apply(repack, mended, pack)
    assert verify(io.BytesIO(apply(repack, mended, pack))).ok


def test_kinds_without_a_coding_are_not_repacked() -> None:
    header = make_header(kinds=(0, 0, 5, 0))
    data = write(header, [np.zeros((4, 1, 15), int)], codings=CODED["codings"])
    with pytest.raises(ArgumentError, match="kind 5"):
        apply(repack, data, pack)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_peeled_file_is_one_of_fewer_layers(kept: int) -> None:
    data = make(20, redundancy=(1, 2))
    header = header_of()
    lower = Header.peel(header, kept)
    codes = likely_codes(TOY, 20, 1, header.packet_frames)[:, :kept]
    assert apply(peel, data, kept) == write(lower, codes, redundancy=(1, 2))


def test_who_copies_needs_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make(20)
    monkeypatch.setattr(tables, "_FINDERS", [])
    monkeypatch.setattr(tables, "_FOUND", {})
    assert verify(io.BytesIO(data)).ok
    (link,) = info(io.BytesIO(data))["links"]
    assert (link["packets"], link["predicted"], link["tables"]) == (20, 4, TOY.hash.hex())
    assert verify(io.BytesIO(apply(peel, data, 2))).ok
    with pytest.raises(TablesError, match=TOY.hash.hex()[:12]):
        read(data)
    other = toy_tables(SIZES, seed=1)
    monkeypatch.setattr(tables, "_FINDERS", [lambda _: other])
    with pytest.raises(TablesError, match=other.hash.hex()[:12]):
        read(data)
    with pytest.raises(TablesError, match=other.hash.hex()[:12]):
        read(data, codings={1: Predicted(other)})
    monkeypatch.setattr(tables, "_FINDERS", [])
    assert len(read(data, codings={1: Predicted(TOY)})) == 20, "given by the caller"


def test_tables_of_other_codebooks() -> None:
    for sizes in ((1024,) * 5, (1024, 512)):
        header = make_header(codebook_sizes=sizes, kinds=(1,) * len(sizes), tables=TOY.hash)
        with pytest.raises(TablesError, match="codebooks"):
            write(header, [np.zeros((len(sizes), 1, 15), int)])


def test_damage_stays_in_its_packet() -> None:
    data = make(6)
    codes = likely_codes(TOY, 6, 1, 15)
    reader = EcdcReader(io.BytesIO(data))
    header_size = len(reader.header.to_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        broken[int(rng.integers(header_size, len(data) - 200))] ^= 1 << int(rng.integers(8))
        with pytest.raises(DamageError):
            read(bytes(broken))
        reader = EcdcReader(io.BytesIO(broken), True)
        whole = 0
        for item in reader:
            if hasattr(item, "codes"):
                expected = codes[item.first_frame // 15][: len(item.codes)]
                assert np.array_equal(item.codes, expected)
                whole += len(item.codes) == 4
        assert whole >= 5


def test_layers_that_cannot_be_are_damage() -> None:
    size = PACKED.size(15, 1, 1024)
    coding = Predicted(TOY)
    assert coding.is_sound(bytes(size), 15, 1, 1024)
    assert coding.is_sound(b"", 15, 1, 1024)
    assert not coding.is_sound(bytes(size + 1), 15, 1, 1024)
    assert not coding.is_sound(b"\xff" * 4, 15, 1, 1024)
    assert coding.is_sound(b"\xff" * 3, 15, 1, 1024)


@given(st.binary(max_size=18), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_bytes_decode_to_codes_of_the_codebook(data: bytes, layer: int) -> None:
    coding = Predicted(TOY)
    if not coding.is_sound(data, 15, 1, 1024):
        return
    codes = np.zeros((1, 4, 1, 15), np.uint16)
    coding.decode([[data]], codes, range(layer, layer + 1), SIZES)
    assert int(codes.max()) < 1024


def test_headers_say_that_a_reader_must_know_the_tables() -> None:
    header = header_of()
    data = header.to_bytes()
    assert b"\xa1u\x91\xa1e" in data  # u: ["e"]
    assert Header.parse(data) == header
    with_more = header_of(extra={"u": ["t"]})
    assert Header.parse(with_more.to_bytes()) == with_more
    assert Header.peel(header, 2).tables == TOY.hash
    for wrong in (
        {"kinds": (1,) * 4},
        {"tables": TOY.hash},
        {"kinds": (0, 1, 1, 1), "tables": TOY.hash},
        {"kinds": (1, 0, 1, 0), "tables": TOY.hash},
        {"kinds": (1,) * 4, "tables": bytes(15)},
    ):
        with pytest.raises(ArgumentError):
            make_header(**wrong)
    mixed = make_header(kinds=(1, 1, 0, 0), tables=TOY.hash)
    assert Header.parse(mixed.to_bytes()) == mixed
    with pytest.raises((UnsupportedVersionError, BadFileError)):
        Header.parse(header_of(extra={"u": ["x"]}).to_bytes())


def test_tables_are_their_bytes() -> None:
    again = Tables.parse(TOY.data)
    assert (again.hash, again.data) == (TOY.hash, TOY.data)
    assert TOY.hash.hex() == "8b8d54dfe61e50484b7525257d79b279"
    for broken in (TOY.data[:-1], TOY.data + b"\0", b"X" + TOY.data[1:], b"", TOY.data[:9]):
        with pytest.raises(BadFileError):
            Tables.parse(broken)
    with pytest.raises(LimitError):
        Tables.parse(bytes(5 << 20))


def test_tables_whose_sums_are_not_exact_are_refused() -> None:
    layer = TOY.layers[0]
    loud = np.full_like(layer.entry_bias, 1 << 24)
    values = {**vars(layer), "entry_bias": loud}
    with pytest.raises(ArgumentError, match="16777216"):
        Tables(2, 2, 2, TOY.weights, TOY.embeddings, (LayerTables(**values), *TOY.layers[1:]))
    twice = {**vars(layer), "places": np.zeros(1024, int)}
    with pytest.raises(ArgumentError, match="places"):
        Tables(2, 2, 2, TOY.weights, TOY.embeddings, (LayerTables(**twice), *TOY.layers[1:]))
