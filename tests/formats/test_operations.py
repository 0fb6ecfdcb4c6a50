"""Peel, cut, cat, tags, repair, verify, info: copies of packets, sound and exact."""

import io
import json
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import (
    EcdcReader,
    EcdcWriter,
    Header,
    Loss,
    NcodecError,
    Report,
    cat,
    cut,
    info,
    open_links,
    peel,
    repair,
    set_tags,
    tail,
    verify,
)
from ncodec_formats.ending import FOOTER, HEADER_KEY, End, wants_header_copy, with_header_copy
from ncodec_formats.errors import ArgumentError, BadFileError, DamageError
from ncodec_formats.packets import END, Head, PacketLayout, put_other
from ncodec_formats.peeling import Digests
from ncodec_formats.raw_links import copy_item, raw_links
from ncodec_formats.scanner import ByteSource, Scanner, read_header
from ncodec_formats.writer import LinkWriter
from tests.formats.files import (
    CODED,
    Pipe,
    apply,
    headers,
    make,
    make_header,
    packets_of,
    random_codes,
    read,
    same,
    write,
)

SHAPES = [
    {},
    {"redundancy": (3, 2)},
    {"streams": 2, "source_channels": 2},
    {"codebook_sizes": (1000, 16, 300, 2)},
    {"segment": (4800, 4700)},
    {"packet_frames": 1, "preroll_frames": 0},
    CODED,
    {**CODED, "kinds": (5, 0, 5, 5), "streams": 2, "redundancy": (3, 2)},
    {"packets": 4200, "codebook_sizes": (16,) * 3, "streams": 2},
]
"""The last one is large enough to be handled many packets at once."""


def shape(**changes) -> bytes:
    packets = changes.pop("packets", 12)
    return make(packets, **changes)


def joined(parts: list[bytes]) -> bytes:
    out = io.BytesIO()
    cat([io.BytesIO(part) for part in parts], out)
    return out.getvalue()


def sound(data: bytes) -> bool:
    """Verifies from a file and from a pipe, which go different ways."""
    found = verify(io.BytesIO(data)).ok
    assert verify(Pipe(data, 5000)).ok == found
    return found


@pytest.mark.parametrize("changes", SHAPES)
def test_peeling_is_coding_with_fewer_codebooks(changes):
    sizes = changes.get("codebook_sizes", (1024,) * 4)
    whole = shape(**changes)
    for layers in range(1, len(sizes)):
        fewer = dict(changes, codebook_sizes=sizes[:layers])
        if "kinds" in fewer:
            fewer["kinds"] = fewer["kinds"][:layers] if any(fewer["kinds"][:layers]) else ()
        if "redundancy" in fewer:
            fewer["redundancy"] = (min(layers, 3), 2)
        expected = shape(**fewer, peeled=True)
        assert apply(peel, whole, layers) == expected
        plain = shape(**fewer)
        differ = sum(a != b for a, b in zip(plain, expected, strict=True))
        assert differ <= 5 * plain.count(b"\xa1F\xc2"), "flag and CRC, in the header and its copy"
        assert sound(expected)


def test_peeling_twice_and_not_at_all():
    whole = make(5)
    assert apply(peel, apply(peel, whole, 3), 2) == apply(peel, whole, 2)
    assert apply(peel, whole, 4) == whole
    for layers in (0, 5):
        with pytest.raises(ArgumentError):
            apply(peel, whole, layers)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_peeling_any_file(data):
    header = data.draw(headers())
    packets = data.draw(packets_of(header))
    layers = data.draw(st.integers(1, len(header.codebook_sizes)))
    fewer = header.peel(layers)

    def written(head: Header) -> bytes:
        out = io.BytesIO()
        writer = EcdcWriter(out, head)
        for packet in packets:
            codes = packet.codes[: len(head.codebook_sizes)]
            writer.write(codes, packet.scale, first_frame=packet.first_frame)
        writer.finish(7)
        return out.getvalue()

    whole = written(header)
    if verify(io.BytesIO(whole)).ok:
        assert apply(peel, whole, layers) == written(fewer)
    else:
        with pytest.raises(DamageError, match="missing"):
            apply(peel, whole, layers)
    mended = apply(peel, whole, layers, keep_going=True)
    assert mended == apply(repair, written(fewer))


@pytest.mark.parametrize("changes", SHAPES)
def test_cat_of_cuts_is_the_original(changes):
    whole = shape(**changes)
    total = EcdcReader(io.BytesIO(whole)).total_samples
    rng = np.random.default_rng(0)
    for _ in range(3):
        points = sorted({0, total, *rng.integers(1, total, 3).tolist()})
        parts = [apply(cut, whole, a, b) for a, b in pairwise(points)]
        assert all(map(sound, parts))
        assert joined(parts) == whole


def test_a_cut_has_what_it_needs_and_keeps_its_place():
    whole = make(40)
    part = apply(cut, whole, 10 * 9600 + 5, 20 * 9600)
    reader = EcdcReader(io.BytesIO(part))
    packets = list(reader)
    # 15 frames of 640 source samples a packet; 10 frames of preroll and 4 for the resampler.
    assert packets[0].first_frame == reader.header.first_frame == 135
    assert packets[-1].first_frame == 300
    assert (reader.header.start, reader.total_samples) == (10 * 9600 + 5, 20 * 9600)
    assert all(map(same, packets, read(whole)[9:]))
    assert not reader.losses


def test_cuts_of_cuts_and_of_chains():
    whole = make(40)
    part = apply(cut, whole, 100000, 300000)
    assert apply(cut, part, 20000, 50000) == apply(cut, whole, 120000, 150000)
    chain = part + make(5, seed=2)
    across = apply(cut, chain, 190000, 210000)
    spans = [(r.header.start, r.total_samples) for r in open_links(io.BytesIO(across))]
    assert spans == [(290000, 300000), (0, 10000)]


@pytest.mark.parametrize("worth_it", [1, 1 << 40], ids=["many at once", "one by one"])
def test_damage_behind_a_cut_does_not_matter(monkeypatch, worth_it):
    monkeypatch.setattr("ncodec_formats.scanner.WORTH_IT", worth_it)
    data = make(40)
    whole, part = io.BytesIO(), io.BytesIO()
    cut(io.BytesIO(data), whole, 0, 4000)
    damaged = bytearray(data)
    del damaged[len(data) * 3 // 4]
    with pytest.raises(BadFileError):
        cut(io.BytesIO(bytes(damaged)), part, 0, None)
    part = io.BytesIO()
    cut(io.BytesIO(bytes(damaged)), part, 0, 4000)
    assert part.getvalue() == whole.getvalue()


def test_a_pipe_s_reader_knows_where_a_cut_ends():
    part = apply(cut, make(40), 100000, 300000)
    assert EcdcReader(Pipe(part)).total_samples == 300000
    assert EcdcReader(Pipe(joined([part, make(1)]))).total_samples == 300000


def test_a_chain_of_many_links_is_searched_once(monkeypatch):
    """What closes its links is read a few times for each, not for each and each."""
    reads = []
    real = tail._read_tail
    monkeypatch.setattr(tail, "_read_tail", lambda *args: (reads.append(1), real(*args))[1])
    chain = make(2) * 40
    apply(cut, chain, 0, None)
    assert len(reads) <= 3 * 40
    reads.clear()
    for reader in open_links(io.BytesIO(chain)):
        assert reader.total_samples is not None
    assert len(reads) <= 3 * 40


def test_cut_reads_from_a_pipe():
    whole, out = make(40), io.BytesIO()
    cut(Pipe(whole), out, 100000, 300000)
    assert out.getvalue() == apply(cut, whole, 100000, 300000)


@pytest.mark.parametrize(
    ("start", "end"), [(5, 5), (6, 5), (-1, 5), (57600, None), (99999999, None)]
)
def test_empty_cuts(start, end):
    with pytest.raises(ArgumentError):
        apply(cut, make(6), start, end)
    with pytest.raises(ArgumentError):
        cut(Pipe(make(6)), io.BytesIO(), start, end)


def test_unrelated_files_become_a_chain():
    one, other = make(12), make(12, seed=5)
    assert joined([one, other]) == one + other
    # Parts that touch, but of two files.
    parts = [apply(cut, one, 0, 50000), apply(cut, other, 50000)]
    both = joined(parts)
    assert both.endswith(parts[1])
    assert [len(list(reader)) for reader in open_links(io.BytesIO(both))] == [
        len(read(part)) for part in parts
    ]
    assert joined([parts[1], parts[0]]) == parts[1] + parts[0]
    assert joined([one, one]) == one + one
    assert sound(one + other)


def test_tags():
    whole = make(5, tags=(("TITLE", "a"), ("ARTIST", "b"), ("artist", "c")))
    changed = apply(set_tags, whole, add=[("DATE", "2026")], remove=["Artist"])
    assert EcdcReader(io.BytesIO(changed)).header.tags == (("TITLE", "a"), ("DATE", "2026"))
    assert sound(changed)
    assert EcdcReader(io.BytesIO(changed)).index is not None
    back = [("TITLE", "a"), ("ARTIST", "b"), ("artist", "c")]
    assert apply(set_tags, changed, back) == whole
    with pytest.raises(ArgumentError):
        apply(set_tags, whole, [("A=B", "")])


def damage(data: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    start = len(make_header().to_bytes())
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(start, len(out)))
        match rng.integers(4):
            case 0:
                out[at] ^= 1 << int(rng.integers(8))
            case 1:
                del out[at : at + int(rng.integers(200))]
            case 2:
                out[at:at] = rng.bytes(int(rng.integers(100)))
            case _:
                out[at : at + 50] = bytes(50)
    return bytes(out)


@pytest.mark.parametrize("redundancy", [None, (2, 2)])
@pytest.mark.parametrize("seed", range(25))
def test_repaired_files_are_sound_and_say_the_same(seed, redundancy):
    broken = damage(make(8, redundancy=redundancy), seed)
    mended = apply(repair, broken)
    assert sound(mended)
    assert apply(repair, mended) == mended
    assert sound(apply(peel, mended, 2))
    before = EcdcReader(io.BytesIO(broken), keep_going=True)
    expected, found = list(before), read(mended)
    assert len(expected) == len(found)
    for a, b in zip(expected, found, strict=True):
        assert isinstance(a, Loss) == isinstance(b, Loss)
        assert (a.first_frame, a.frames) == (b.first_frame, b.frames)
        assert isinstance(a, Loss) or np.array_equal(a.codes, b.codes)


def test_repair_changes_nothing_in_a_sound_file():
    for data in (make(6), make(6, redundancy=(1, 3)), make(3) + make(2)):
        assert apply(repair, data) == data


def test_repair_reports_what_was_lost():
    data = make(6)
    start = len(make_header().to_bytes())
    size = data.index(b"\xec\xdc\x00\x01") - start
    out = io.BytesIO()
    report = repair(io.BytesIO(data[: start + size] + data[start + 2 * size :]), out)
    assert report.losses.frames == 15
    assert any("15 frames from frame 15" in text for text in report.problems)
    assert verify(io.BytesIO(out.getvalue())).losses.gone == 15


COPIERS = {
    "peel": partial(peel, codebooks=2),
    "peel all": partial(peel, codebooks=4),
    "cut": partial(cut, start=0),
    "tag": partial(set_tags, add=[("A", "b")]),
    "cat": lambda src, dst, **options: cat([src, io.BytesIO(make(3, seed=4))], dst, **options),
}


@pytest.mark.parametrize("name", COPIERS)
@pytest.mark.parametrize("worth_it", [1, 1 << 40], ids=["many at once", "one by one"])
@pytest.mark.parametrize("seed", range(8))
def test_those_who_copy_refuse_damage_or_mend_it(monkeypatch, name, worth_it, seed):
    monkeypatch.setattr("ncodec_formats.scanner.WORTH_IT", worth_it)
    copier = COPIERS[name]
    broken = damage(make(8, redundancy=(1, 1) if seed % 2 else None), seed)
    before = verify(io.BytesIO(broken))
    for source in (io.BytesIO(broken), Pipe(broken, 300)):
        if before.losses:
            with pytest.raises(DamageError, match="repair"):
                copier(source, io.BytesIO())
    for source in (io.BytesIO(broken), Pipe(broken, 300)):
        out, report = io.BytesIO(), Report()
        copier(source, out, keep_going=True, report=report)
        assert out.getvalue() == apply(copier, apply(repair, broken))
        assert sound(out.getvalue())
        assert report.losses == before.losses


@pytest.mark.parametrize("name", COPIERS)
@pytest.mark.parametrize("packets", [6, 3000])
def test_those_who_copy_name_the_packet_with_a_flipped_bit(name, packets):
    data = make(packets)
    begin = data.index(
        put_head := PacketLayout(make_header()).put_head(Head(2, 30, 15, (19,) * 4, b""))
    )
    for at in (0, 19, 20, 79):
        broken = bytearray(data)
        broken[begin + len(put_head) + at] ^= 4
        with pytest.raises(DamageError, match=f"packet 2 at byte {begin} is damaged from"):
            apply(COPIERS[name], bytes(broken))


def test_a_link_behind_whose_header_is_gone():
    data = bytearray(make(4) + make(3))
    data[len(make(4)) + 20] ^= 1
    report = Report()
    for name, copier in COPIERS.items():
        with pytest.raises(BadFileError):
            apply(copier, bytes(data))
        if name == "tag":
            assert apply(copier, bytes(data), keep_going=True, report=report) == apply(
                copier, make(4)
            )
    assert any("header is damaged" in problem for problem in report.problems)


LONG = 1000
"""Packets of a file that is long enough for a copy of its header."""


def long_file(**changes) -> bytes:
    return make(LONG, **changes)


def test_long_files_repeat_their_header():
    for data, copies in ((make(100), 1), (long_file(), 2)):
        assert data.count(make_header().to_map()) == copies
    header = make_header()
    assert len(long_file()) - len(make_header().to_map()) - 4 < 1.002 * len(long_file())
    piece = len(header.peel(1).to_bytes())
    assert not wants_header_copy(header, 512 * piece - 1)
    assert wants_header_copy(header, 512 * piece)
    assert wants_header_copy(header.peel(2), 512 * piece)
    assert not wants_header_copy(make_header(tags=(("A", "x" * 70000),)), 1 << 40)


def test_copies_of_the_header_through_every_operation():
    data = long_file()
    for result in (
        apply(peel, data, 3),
        apply(set_tags, data, [("A", "b")]),
        apply(cut, data, 1000, 20000),
        apply(repair, data),
        joined([data, data]),
    ):
        for reader in open_links(io.BytesIO(result)):
            assert Header.from_map(reader.end.extra[HEADER_KEY]) == reader.header
    # Short for a copy, once peeled: as coding with so few layers would be.
    assert HEADER_KEY not in EcdcReader(io.BytesIO(apply(peel, data, 1))).end.extra
    # A file that has none, as those of older writers, gets none.
    old = without_copy(data)
    parts = [apply(cut, old, 0, 100000), apply(cut, old, 100000)]
    assert joined(parts) == old
    assert apply(repair, old) == old
    assert apply(peel, old, 4) == old


def without_copy(data: bytes) -> bytes:
    out = io.BytesIO()
    for link in raw_links(io.BytesIO(data)):
        writer = link.writer(out, link.header)
        for item in link.items():
            copy_item(writer, item)
        end = with_header_copy(link.end, None)
        writer.finish(end, copy_header=False)
    return out.getvalue()


def test_any_flipped_bit_of_the_header_is_mended():
    data = long_file(tags=(("TITLE", "x"),))
    size = len(EcdcReader(io.BytesIO(data)).header.to_bytes())
    whole = read(data)
    for bit in range(0, 8 * size, 7):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        reader = EcdcReader(io.BytesIO(bytes(broken)), keep_going=True)
        assert reader.losses.header
        assert all(map(same, reader, whole))
        reader.next_link()
        assert str(reader.losses) == "header replaced"
        with pytest.raises(NcodecError):
            EcdcReader(io.BytesIO(bytes(broken)))
        with pytest.raises(NcodecError):
            EcdcReader(Pipe(bytes(broken)), keep_going=True)
        if bit % 3 == 0:
            assert apply(repair, bytes(broken)) == data
            assert not verify(io.BytesIO(bytes(broken))).ok


@pytest.mark.parametrize("place", [0, 1])
def test_a_header_is_mended_in_a_chain_and_beside_other_damage(place):
    one, other = long_file(), long_file(seed=3, packet_frames=20)
    broken = bytearray(one + other)
    at = (len(one) if place else 0) + 30
    broken[at : at + 20] = bytes(20)
    assert apply(repair, bytes(broken)) == one + other
    del broken[at + 400]
    mended = apply(repair, bytes(broken))
    assert sound(mended)
    assert sum(isinstance(item, Loss) for r in open_links(io.BytesIO(mended)) for item in r) <= 1
    # The header is gone altogether.
    del broken[at - 20 : at + 60]
    if not place:
        assert sound(apply(repair, bytes(broken)))


def test_the_copy_of_another_link_is_not_taken():
    one, other = make(5), long_file(seed=3)
    broken = bytearray(one + other)
    broken[30] ^= 1
    with pytest.raises(BadFileError, match="header is damaged"):
        apply(repair, bytes(broken))
    # Nor is one that a tool has kept which did not know what it is.
    out, link = io.BytesIO(), next(raw_links(io.BytesIO(other)))
    writer = link.writer(out, replace(link.header, tags=(("A", "longer"),)))
    for item in link.items():
        copy_item(writer, item)
    tail = link.end.to_packet() + writer.index.to_packet()
    stale = bytearray(out.getvalue() + tail + FOOTER.pack(b"CDCE", len(tail) + FOOTER.size))
    assert sound(bytes(stale))
    stale[30] ^= 1
    with pytest.raises(BadFileError, match="header is damaged"):
        apply(repair, bytes(stale))


def test_a_sister_s_header():
    data, sister = make(8), make_header(source_samples=7, tags=(("A", "b"),), start=3)
    broken = bytearray(data)
    broken[30] ^= 1
    with pytest.raises(BadFileError, match="header is damaged"):
        apply(repair, bytes(broken))
    assert apply(repair, bytes(broken), sister=sister) == data
    assert apply(repair, data, sister=make_header(model="other")) == data
    for wrong in ({"codebook_sizes": (1024,) * 3}, {"codebook_sizes": (512,) * 4}):
        with pytest.raises(BadFileError):
            apply(repair, bytes(broken), sister=make_header(**wrong))
    short = bytes(broken[:-200])
    assert sound(apply(repair, short, sister=sister))
    with pytest.raises(BadFileError, match="do not fit"):
        apply(repair, short, sister=make_header(packet_frames=20))


def test_damage_before_a_cut_does_not_matter():
    data = make(40)
    broken = bytearray(data)
    broken[len(make_header().to_bytes()) + 3] ^= 1
    del broken[400:500]
    assert apply(cut, bytes(broken), 200000) == apply(cut, data, 200000)
    with pytest.raises(DamageError):
        apply(cut, bytes(broken), 20000)


def test_a_gap_at_the_end_of_a_cut():
    data = make(40)
    start = len(make_header().to_bytes())
    size = data.index(b"\xec\xdc\x00\x01") - start
    mended = apply(repair, data[: start + 30 * size] + data[start + 34 * size :])
    for stop in (30 * 9600, 31 * 9600, 33 * 9600, 36 * 9600):
        part = apply(cut, mended, 100000, stop)
        assert sound(part), verify(io.BytesIO(part)).problems
    parts = [apply(cut, mended, 0, 31 * 9600), apply(cut, mended, 31 * 9600)]
    assert joined(parts) == mended


def test_damaged_heads_are_refused_by_those_who_copy():
    data = bytearray(make(6))
    data[len(make_header().to_bytes()) + 4] ^= 1
    for operation, arguments in ((peel, (2,)), (cut, (0,)), (set_tags, ())):
        with pytest.raises(BadFileError, match="repair"):
            apply(operation, bytes(data), *arguments)
        with pytest.raises(BadFileError, match="repair"):
            apply(operation, make(6)[:-100], *arguments)


@pytest.mark.parametrize("packets", [6, 2000])
def test_verify_sees_every_byte(packets):
    data = make(packets)
    assert sound(data)
    rng = np.random.default_rng(0)
    for at in range(len(data)) if packets == 6 else rng.integers(90, len(data), 10):
        wrong = bytearray(data)
        wrong[at] ^= 1 << int(rng.integers(8))
        try:
            assert not verify(io.BytesIO(bytes(wrong))).ok
        except NcodecError:
            assert at < len(make_header().to_bytes())


def test_verify_judges_checks_that_a_digest_was_taken_over():
    # A writer at fault: the third layer's check is wrong, but all digests are right.
    data = make(2000)
    layout = PacketLayout(make_header())
    lengths = layout.lengths(15, 4)
    for number in (0, 1000, 1999):
        head = layout.put_head(Head(number, number * 15, 15, lengths, b""))
        begin = data.index(head)
        broken = bytearray(data)
        broken[begin + len(head) + sum(lengths[:3]) + 2] ^= 1
        report = verify(io.BytesIO(reseal(bytes(broken))))
        assert report.problems == [f"packet {number} at byte {begin} is damaged from codebook 3 on"]


def reseal(data: bytes) -> bytes:
    """Returns a file with digests over its packets as they are."""
    out = io.BytesIO()
    source = ByteSource(io.BytesIO(data))
    header = read_header(source)
    layout = PacketLayout(header)
    scanner, writer = Scanner(source, layout, 0), LinkWriter(out, header, Digests(layout))
    while (element := scanner.next()).kind != END:
        writer.add(element.head, element.data)
    writer.finish(writer.end(End.parse(element.payload, 4).source_samples))
    return out.getvalue()


def test_unknown_packets_survive_every_operation():
    start = len(make_header().to_bytes())
    plain = make(6)
    extra = put_other(9, b"unknown")
    broken = plain[:start] + extra + plain[start:]
    data = apply(repair, broken)
    assert data.count(extra) == 1
    assert apply(peel, data, 2).count(extra) == 1
    assert apply(set_tags, data, [("A", "b")]).count(extra) == 1
    parts = [apply(cut, data, 0, 20000), apply(cut, data, 20000)]
    assert joined(parts) == data


def test_info_reads_little_of_a_file_with_an_index():
    data = make(3000) + make(10, seed=3, tags=(("A", "b"),))

    class Counting(io.BytesIO):
        total = 0

        def read(self, count=-1):
            chunk = super().read(count)
            self.total += len(chunk)
            return chunk

        def read1(self, count=-1):
            return self.read(min(count, 4096))

    file = Counting(data)
    found = info(file)
    assert file.total < 30000
    json.dumps(found)
    first, second = found["links"]
    assert (first["packets"], first["seconds"], first["indexed"]) == (3000, 600.0, True)
    assert second["tags"] == [["A", "b"]]
    assert found["seconds"] == 602.0
    scanned = info(io.BytesIO(data[:-8]))["links"][1]
    assert not scanned["indexed"]
    for key in ("packets", "frames", "seconds", "digest", "samples", "codebooks", "source_rate"):
        assert scanned[key] == second[key]


@pytest.mark.parametrize("start", [b"", b"RIFF....WAVE", b"fLaC", b"OggS", b"ID3", b"ECDD\x01"])
def test_other_files(start):
    with pytest.raises(BadFileError):
        info(io.BytesIO(start))


def test_random_access_after_a_cut():
    part = apply(cut, make(400, packet_frames=75), 75 * 640 * 100)
    reader = EcdcReader(io.BytesIO(part))
    reader.seek(75 * 350)
    assert next(reader).first_frame == 75 * 350


def test_the_source_may_have_been_written_with_its_length_known():
    header = make_header(source_samples=12 * 9600)
    whole = write(header, random_codes(header, 12))
    parts = [apply(cut, whole, 0, 50000), apply(cut, whole, 50000)]
    assert EcdcReader(io.BytesIO(parts[0])).total_samples == 50000
    assert joined(parts) == whole
