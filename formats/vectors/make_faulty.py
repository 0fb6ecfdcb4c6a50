"""The group of the conformance kit that is faulty."""

import struct
import zlib
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
from make_parts import (
    Entry,
    Packets,
    bad,
    header,
    likely,
    link,
    packets_of,
    predicted,
    samples_of,
    seal,
    write,
)

from ncodec_formats import End, Packet
from ncodec_formats.ending import FOOTER, Index
from ncodec_formats.entropy import PACKED
from ncodec_formats.packets import END, Head, PacketLayout, put_gap, put_other
from ncodec_formats.wire import put_layers, put_varint


def faulty() -> dict[str, Entry]:
    """Returns what must be refused or reported."""
    return {**wrong_headers(), **damaged(), **wrong_ends(), **wrong_predictions()}


def wrong_headers() -> dict[str, Entry]:
    """Returns files with a header that must be refused."""
    base = header()
    plain = write(base, packets_of(base, 2))
    head, rest = base.to_bytes(), plain[len(base.to_bytes()) :]
    values = msgpack.unpackb(head[9:-6])
    flipped = bytearray(plain)
    flipped[20] ^= 4
    # A hash without line ends, so that only the guard at the header's end changes.
    text = write(header(model_hash=b"h" * 32, preroll_frames=9), packets_of(base, 1))
    twice = b"\x82\xa1m\xa1a\xa1m\xa1b"
    twice = struct.pack("!4sBI", b"ECDC", 1, len(twice)) + twice
    twice += struct.pack("!I", zlib.crc32(twice)) + b"\r\n"
    claims = bytearray(seal({**values, "t": ["A"] * 16})[:-6])
    at = claims.rindex(b"\xdc\x00\x10")
    claims[at : at + 3] = b"\xdc\xff\xff"
    claimed = bytes(claims) + struct.pack("!I", zlib.crc32(claims)) + b"\r\n"
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(24)
    old = b"ECDC\x00\x00\x00\x00\x02{}"
    entries = {
        "nothing.ecdc": bad("an empty file", b"", "BadFileError"),
        "text.ecdc": bad("a text file", b"Not audio.\n" * 20, "BadFileError"),
        "wav.ecdc": bad("a WAV file renamed", wav, "BadFileError"),
        "flac.ecdc": bad(
            "a FLAC file renamed", b"fLaC\x80\x00\x00\x22" + bytes(34), "BadFileError"
        ),
        "ogg.ecdc": bad("an Ogg file renamed", b"OggS\x00\x02" + bytes(50), "BadFileError"),
        "version-0.ecdc": bad("version 0", old, "UnsupportedVersionError"),
        "version-2.ecdc": bad("version 2", seal(values, 2) + rest, "UnsupportedVersionError"),
        "header-cut.ecdc": bad("ends inside the header", head[:50], "BadFileError"),
        "header-crc.ecdc": bad("a flipped bit in the header", bytes(flipped), "BadFileError"),
        "header-huge.ecdc": bad(
            "claims a header of 4 GiB", head[:5] + b"\xff" * 4 + rest, "LimitError"
        ),
        "text-mode.ecdc": bad("line ends changed", text.replace(b"\r\n", b"\n"), "BadFileError"),
        "key-twice.ecdc": bad("a key stands twice", twice, "BadFileError"),
        "tags-overrun.ecdc": bad("tag count beyond the header", claimed + rest, "BadFileError"),
        "must-unknown.ecdc": bad(
            "an unknown key must be understood",
            seal({**values, "zz": 1, "u": ["zz"]}) + rest,
            "UnsupportedVersionError",
        ),
        "newer-reader.ecdc": bad(
            "asks for a reader of version 2",
            seal({**values, "v": 2}) + rest,
            "UnsupportedVersionError",
        ),
    }
    limits = {"s": 9, "C": 9, "r": 1 << 21, "R": 1 << 21, "p": 1 << 17, "f": 1 << 31, "S": 1 << 50}
    limits.update({"N": 1 << 50, "c": [65, 1024], "M": 1 << 18})
    for key, value in limits.items():
        data = seal({**values, key: value}) + rest
        entries[f"limit-{ord(key)}.ecdc"] = bad(f"{key} is beyond its limit", data, "LimitError")
    for key in "mhrpscfqbRC":
        wrong = {name: value for name, value in values.items() if name != key}
        data = seal(wrong) + rest
        entries[f"without-{ord(key)}.ecdc"] = bad(f"{key} is missing", data, "BadFileError")
    zeros = {"m": "", "h": b"short", "c": [], "G": float("nan"), "k": [1, 0], "t": ["A"], "F": 1}
    zeros.update(dict.fromkeys("rpsfbRC", 0))
    zeros.update(dict.fromkeys("qNSi", -1))
    zeros.update({"g": [5, 10], "M": 3})
    for key, value in zeros.items():
        data = seal({**values, key: value}) + rest
        entries[f"wrong-{ord(key)}.ecdc"] = bad(f"{key} is {value!r}", data, "BadFileError")
    return entries


def damaged() -> dict[str, Entry]:
    """Returns files with packets damaged, missing or out of place."""
    base, found = header(), packets_of(header(), 4, 15)
    plain = write(base, found)
    begin = len(base.to_bytes())
    size = plain.index(b"\xec\xdc\x00\x01") - begin
    parts = [plain[begin + n * size :][:size] for n in range(4)]
    tail = plain[begin + 4 * size :]
    layer = (size - 6) // 4

    def put(*numbers: int) -> bytes:
        return plain[:begin] + b"".join(parts[n] for n in numbers) + tail

    def flip(at: int) -> bytes:
        data = bytearray(plain)
        data[begin + size + at] ^= 0x10
        return bytes(data)

    def despite(packets: Packets, /, **losses: Any) -> dict[str, Any]:
        return link(base, packets, end=samples_of(base, found), losses=losses)

    def cut_short(packets: Packets, /, **losses: Any) -> dict[str, Any]:
        return link(base, packets, end=None, losses={**losses, "truncated": True})

    two = [found[0], (15, found[1][1][:2], None), *found[2:]]
    without = [found[0], *found[2:]]
    second = begin + size
    spread = write(base, found, (2, 1))
    marks = [at for at in range(len(spread)) if spread[at : at + 3] == b"\xec\xdc\x00"]
    copied = spread[: spread.rindex(b"\xec\xdc\x03", 0, marks[1])] + spread[marks[1] + size :]
    odd = header(codebook_sizes=(1024, 600, 1024, 1024)).to_bytes() + plain[begin:]
    kept = [
        (first, codes[: 1 if int(codes[1].max()) >= 600 else 4], None) for first, codes, _ in found
    ]
    assert all(len(codes) == 1 for _, codes, _ in kept)
    segments = header(packet_frames=30, segment=(9600, 9504))
    scaled = packets_of(segments, 3, 30)
    silenced = [scaled[0], scaled[2]]

    def rescaled(value: float | None) -> bytes:
        layout = PacketLayout(segments)
        scales = [None if value is None else np.array([value], np.float32), scaled[1][2]]
        wrong, right = (layout.put_packet(Packet(1, 30, scaled[1][1], each)) for each in scales)
        return write(segments, scaled).replace(right, wrong)

    scale_lost = link(
        segments,
        silenced,
        end=samples_of(segments, scaled),
        losses={"frames": 30, "packets": 1, "mismatch": True},
    )
    long = header(packet_frames=75, source_samples=150 * 75 * 640)
    many = packets_of(long, 150, 75)
    copied_header = bytearray(write(long, many))
    copied_header[20] ^= 4
    far = write(header(), [(1 << 38, found[0][1], None)])
    error = "DamageError"
    faults: dict[str, Entry] = {
        "layer-3.ecdc": bad(
            "a flipped bit in the third layer of the second packet",
            flip(6 + 2 * layer + 3),
            error,
            despite(two, packets=1, layers=2, mismatch=True),
        ),
        "layer-1.ecdc": bad(
            "a flipped bit in the first layer of the second packet",
            flip(8),
            error,
            despite(without, packets=1, frames=15, mismatch=True),
        ),
        "head.ecdc": bad(
            "a flipped bit in the head of the second packet",
            flip(3),
            error,
            despite(without, skipped=size, frames=15, mismatch=True),
        ),
        "missing.ecdc": bad(
            "the second packet is missing",
            put(0, 2, 3),
            error,
            despite(without, frames=15, mismatch=True),
        ),
        "missing-first.ecdc": bad(
            "the first packet is missing",
            put(1, 2, 3),
            error,
            despite(found[1:], frames=15, mismatch=True),
        ),
        "missing-last.ecdc": bad(
            "the last packet is missing",
            put(0, 1, 2),
            error,
            despite(found[:3], frames=15, mismatch=True),
        ),
        "missing-all.ecdc": bad(
            "all packets are missing", put(), error, despite([], frames=60, mismatch=True)
        ),
        "twice.ecdc": bad(
            "the second packet comes twice",
            put(0, 1, 1, 2, 3),
            error,
            despite(found, late=1, mismatch=True),
        ),
        "swapped.ecdc": bad(
            "second and third packet are swapped",
            put(0, 2, 1, 3),
            error,
            despite(without, late=1, frames=15, mismatch=True),
        ),
        "copied.ecdc": bad(
            "a packet is missing, but the next brings a copy of two layers",
            copied,
            error,
            despite(two, recovered=1, mismatch=True),
        ),
        "inserted.ecdc": bad(
            "ten bytes before the second packet",
            plain[:second] + b"0123456789" + plain[second:],
            error,
            despite(found, skipped=10),
        ),
        "deleted.ecdc": bad(
            "the last five bytes of the second packet are missing",
            plain[: second + size - 5] + plain[second + size :],
            error,
            despite(
                [found[0], (15, found[1][1][:3], None), *found[2:]],
                packets=1,
                layers=1,
                mismatch=True,
            ),
        ),
        "cut-short.ecdc": bad(
            "ends inside the third layer of the second packet",
            plain[: second + 6 + 2 * layer + 1],
            error,
            cut_short([found[0], (15, found[1][1][:2], None)], packets=1, layers=2),
        ),
        "header-only.ecdc": bad("ends after the header", plain[:begin], error, cut_short([])),
        "beyond-codebook.ecdc": bad(
            "codes beyond the second codebook",
            odd,
            error,
            link(
                header(codebook_sizes=(1024, 600, 1024, 1024)),
                kept,
                end=samples_of(base, found),
                losses={"packets": 4, "layers": 12},
            ),
        ),
        "zeros.ecdc": bad(
            "a hole of zeros over the second packet",
            plain[:second] + bytes(size) + plain[second + size :],
            error,
            despite(without, skipped=size, frames=15, mismatch=True),
        ),
        **{
            f"scale-{name}.ecdc": bad(
                f"the second packet's scale is {value}", rescaled(value), error, scale_lost
            )
            for name, value in (
                ("nan", float("nan")),
                ("infinite", float("inf")),
                ("huge", 1e30),
                ("negative", -0.5),
                ("missing", None),
            )
        },
        "header-with-copy.ecdc": bad(
            "a damaged header, with a copy at the end",
            bytes(copied_header),
            "BadFileError",
            link(long, many, losses={"header": True}),
        ),
        "far.ecdc": bad("a packet at frame 2^38", far, "LimitError"),
        "gap-overlaps.ecdc": bad(
            "a gap packet over frames that are there",
            plain[:second] + put_gap(0, 15) + plain[second:],
            error,
            despite(found, mismatch=True),
        ),
        "unknown-damaged.ecdc": bad(
            "a damaged packet of an unknown type",
            plain[:second] + put_other(9, b"payload")[:-1] + b"?" + plain[second:],
            error,
            despite(found, packets=1, mismatch=True),
        ),
        "junk-after.ecdc": bad(
            "a tag of another format after the link",
            plain + b"TAG" + bytes(125),
            error,
            link(base, found),
        ),
        "junk-between.ecdc": bad(
            "junk between two links",
            plain + b"junk" + plain,
            error,
            link(base, found),
            link(base, found),
        ),
    }
    return faults


def wrong_predictions() -> dict[str, Entry]:
    """Returns files with predicted layers that cannot be."""
    head = predicted()
    found = likely(head, 3, 15)
    values = msgpack.unpackb(head.to_bytes()[9:-6])
    data, begin = write(head, found), len(head.to_bytes())
    layout = PacketLayout(head)
    places = [data.index(b"\xec\xdc\x00" + bytes([n])) for n in range(3)]
    right = data[places[1] : places[2]]
    was = layout.get_head(right, 0)
    layers: list[bytes] = []
    at = was.size
    for length in was.lengths:
        layers.append(right[at : at + length])
        at += length + 1

    def without(text: str, k: int, layer: bytes) -> Entry:
        """Puts another layer into the second packet, with right checks."""
        its = [*layers[:k], layer, *layers[k + 1 :]]
        packet = layout.put_head(replace(was, lengths=tuple(map(len, its)))) + put_layers(its)
        kept = [found[0], (15, found[1][1][:k], None), found[2]] if k else [found[0], found[2]]
        lost = {"packets": 1, **({"layers": 4 - k} if k else {"frames": 15}), "mismatch": True}
        there = link(head, kept, losses=lost, end=samples_of(head, found))
        broken = data[: places[1]] + packet + data[places[2] :]
        return bad(text, broken, "DamageError", there)

    def headed(text: str, error: str, **changes: Any) -> Entry:
        changed = {**values, **changes}
        its = {key: value for key, value in changed.items() if value is not None}
        return bad(text, seal(its) + data[begin:], error)

    beyond = PACKED.pack(np.full((1, 15), 61), 64)
    long = predicted(1, packet_frames=1000)
    short = PacketLayout(long).put_head(Head(0, 0, 1000, (2,), b"")) + put_layers([b"ab"])
    whole = likely(long, 1, 1000)
    starved = write(long, whole)
    first = len(long.to_bytes())
    starved = starved[:first] + short + starved[starved.rindex(b"\xec\xdc\x01") :]
    missing = {"packets": 1, "frames": 1000, "mismatch": True}
    return {
        "predicted-long-layer.ecdc": without("a layer longer than packed bits", 2, bytes(13)),
        "predicted-forbidden.ecdc": without("a layer that begins FF FF FF FF", 3, b"\xff" * 5),
        "predicted-beyond.ecdc": without("a packed layer with a code of no codebook", 1, beyond),
        "predicted-first.ecdc": without("a lowest layer longer than packed bits", 0, bytes(20)),
        "predicted-starved.ecdc": bad(
            "a layer of fewer bytes than its codes need",
            starved,
            "DamageError",
            link(long, [], losses=missing, end=samples_of(long, whole)),
        ),
        "predicted-no-tables.ecdc": headed("no tables", "BadFileError", e=None, u=None),
        "predicted-no-kinds.ecdc": headed(
            "tables without predicted layers", "BadFileError", k=None
        ),
        "predicted-above.ecdc": headed(
            "a packed layer below predicted ones", "BadFileError", k=[1, 0, 3, 1]
        ),
        "predicted-short-name.ecdc": headed("a name of 15 bytes", "BadFileError", e=bytes(15)),
        "predicted-optional.ecdc": headed(
            "tables that a reader need not understand", "BadFileError", u=None
        ),
    }


def wrong_ends() -> dict[str, Entry]:
    """Returns files with a wrong end packet, index or footer."""
    base, found = header(), packets_of(header(), 2, 15)
    plain = write(base, found)
    at = plain.rindex(b"\xec\xdc\x01")
    body, area = plain[:at], at - len(base.to_bytes())
    first = plain.index(b"\xa1d\xc4 ", at) + 4
    digests = tuple(plain[first + 8 * n :][:8] for n in range(4))
    right = End(samples_of(base, found), 2, 30, digests)
    assert right.to_packet() == plain[at : at + len(right.to_packet())]
    index = Index(75)
    index.area, index.header_size = area, len(base.to_bytes())
    index.add(0, 0)

    def ended(end: bytes, points: bytes) -> bytes:
        tail = end + points
        return body + tail + FOOTER.pack(b"CDCE", len(tail) + FOOTER.size)

    def despite(**losses: Any) -> dict[str, Any]:
        return link(base, found, losses=losses)

    short = put_other(END, msgpack.packb({"n": 5, "p": 2, "f": 30, "d": digests[0]}) or b"")
    wrong = (bytes(8), *digests[:3])
    beyond = put_other(2, b"".join(map(put_varint, (area, len(base.to_bytes()), 1, 0, area + 9))))
    error = "DamageError"
    cut_off = link(base, found, end=None, losses={"truncated": True})
    points = index.to_packet()
    assert ended(right.to_packet(), points) == plain
    damaged_end = bytearray(plain)
    damaged_end[at + 8] ^= 1
    return {
        "no-end.ecdc": bad("no end packet", body, error, cut_off),
        "end-packets.ecdc": bad(
            "the end packet counts three packets",
            ended(End(right.source_samples, 3, 30, digests).to_packet(), points),
            error,
            despite(mismatch=True),
        ),
        "end-frames.ecdc": bad(
            "the end packet has fewer frames than there are",
            ended(End(right.source_samples, 2, 20, digests).to_packet(), points),
            error,
            despite(mismatch=True),
        ),
        "end-more-frames.ecdc": bad(
            "the end packet has more frames than there are",
            ended(End(right.source_samples, 2, 40, digests).to_packet(), points),
            error,
            despite(frames=10),
        ),
        "end-digest.ecdc": bad(
            "the digest is another",
            ended(End(right.source_samples, 2, 30, wrong[1:] + wrong[:1]).to_packet(), points),
            error,
            despite(mismatch=True),
        ),
        "end-few-digests.ecdc": bad(
            "one digest for four layers", ended(short, points), error, cut_off
        ),
        "end-damaged.ecdc": bad(
            "the end packet is damaged",
            bytes(damaged_end),
            error,
            link(base, found, end=None, losses={"packets": 1, "truncated": True}),
        ),
        "index-beyond.ecdc": (
            ended(right.to_packet(), beyond),
            {
                "is": "an index that points beyond the packets: read without",
                "links": [link(base, found)],
            },
        ),
        "no-footer.ecdc": (
            plain[:-8],
            {"is": "an index without footer: read without", "links": [link(base, found)]},
        ),
        "footer-wrong.ecdc": (
            plain[:-4] + b"\xff" * 4,
            {
                "is": "a footer that points before the file: read without",
                "links": [link(base, found)],
            },
        ),
    }
