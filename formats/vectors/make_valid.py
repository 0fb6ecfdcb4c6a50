"""The groups of the conformance kit that are valid: subset and uncommon."""

from dataclasses import replace

import msgpack
import numpy as np
from make_parts import (
    Entry,
    codes_of,
    good,
    header,
    likely,
    link,
    operate,
    packets_of,
    predicted,
    seal,
    write,
)

from ncodec_formats import cut, peel, repair
from ncodec_formats.ending import Index
from ncodec_formats.packets import put_other


def subset() -> dict[str, Entry]:
    """Returns what every reader must read."""
    base = header()
    six = header(codebook_sizes=(1024,) * 8, packet_frames=75)
    stereo = header(streams=2, source_channels=2)
    segments = header(
        model="segments",
        sample_rate=48000,
        packet_frames=30,
        source_channels=2,
        segment=(9600, 9504),
    )
    live = header(packet_frames=1, block_frames=1)
    tags = (("TITLE", "Grüße, 世界"), ("ARTIST", "one"), ("ARTIST", "two"), ("empty", ""))
    whole = write(base, packets_of(base, 8, 15))
    part_head = header(start=57605, first_frame=75, end=60000)
    part = packets_of(base, 8, 15)[5:7]
    one = [(0, codes_of(base, 4, 1, 0), None)]
    second = header(codebook_sizes=(16,), model="other")
    return {
        "plain.ecdc": good("eight layers, a second a packet", six, packets_of(six, 3, 20)),
        "one-layer.ecdc": good(
            "a single layer",
            header(codebook_sizes=(1024,)),
            packets_of(header(codebook_sizes=(1024,)), 3),
        ),
        "two-streams.ecdc": good("stereo as two streams", stereo, packets_of(stereo, 3)),
        "segments.ecdc": good(
            "overlapping segments with scales", segments, packets_of(segments, 3)
        ),
        "live.ecdc": good("one frame a packet", live, packets_of(live, 20, 1)),
        "empty.ecdc": good("no audio at all", base, []),
        "one-frame.ecdc": good("a single frame", base, one),
        "tags.ecdc": good(
            "tags, some repeated, some not ASCII", header(tags=tags), packets_of(base, 1)
        ),
        "gain.ecdc": good("a gain to apply", header(gain_db=-3.5), packets_of(base, 1)),
        "length-known.ecdc": good(
            "the header says the source's length too",
            header(source_samples=11 * 640),
            packets_of(base, 1, 11),
        ),
        "peeled.ecdc": good(
            "layers have been dropped", header(peeled=True), packets_of(header(), 3)
        ),
        "redundancy.ecdc": good(
            "copies of two layers of the two packets before", base, packets_of(base, 5), (2, 2)
        ),
        "cut.ecdc": (
            operate(cut, whole, 57605, 60000),
            {
                "is": "part of a file: begins at frame 75, plays samples 57605 to 60000",
                "links": [link(part_head, part, end=60000)],
            },
        ),
        "chained.ecdc": (
            write(base, packets_of(base, 2)) + write(second, packets_of(second, 2)),
            {
                "is": "two links, of different models",
                "links": [link(base, packets_of(base, 2)), link(second, packets_of(second, 2))],
            },
        ),
        **predicted_layers(),
    }


def predicted_layers() -> dict[str, Entry]:
    """Returns files with predicted layers that every reader must read."""
    base, stereo = predicted(), predicted(streams=2, source_channels=2)
    live, whole = predicted(packet_frames=1), likely(base, 6)
    lower = [(first, codes[:2], None) for first, codes, _ in whole]
    peeled = operate(peel, write(base, whole, (1, 1)), 2)
    return {
        "predicted.ecdc": good("predicted layers", base, whole),
        "predicted-stereo.ecdc": good("predicted layers of two streams", stereo, likely(stereo, 4)),
        "predicted-live.ecdc": good(
            "predicted layers, one frame a packet: most are packed, some have no bytes",
            live,
            likely(live, 40, 1),
        ),
        "predicted-wild.ecdc": good(
            "codes that nobody expects: all layers are packed", base, packets_of(base, 3)
        ),
        "predicted-peeled.ecdc": (
            peeled,
            {"is": "predicted layers, two of them dropped", "links": [link(predicted(2), lower)]},
        ),
    }


def uncommon() -> dict[str, Entry]:
    """Returns what is valid but rare."""
    base, found = header(), packets_of(header(), 3)
    plain = write(base, found)
    begin = len(base.to_bytes())
    values = msgpack.unpackb(base.to_bytes()[9:-6])
    sizes = (5, 1000, 3, 65535)
    many = header(codebook_sizes=(4,) * 64)
    wide = header(streams=8, source_channels=8)
    two, large = header(codebook_sizes=(2,)), header(codebook_sizes=(65536,))
    odd = header(codebook_sizes=sizes)
    top = [(0, np.array(sizes).reshape(4, 1, 1).repeat(15, 2) - 1, None)]
    fewer = [(first, codes[: (4, 0, 2)[n]], None) for n, (first, codes, _) in enumerate(found)]
    grid = [(0, codes_of(base, 4, 7, 0), None), (7, codes_of(base, 4, 15, 1), None)]
    grid.append((22, codes_of(base, 4, 1, 2), None))
    long = header(packet_frames=75, tags=(("TITLE", "long"),))
    many_packets = packets_of(long, 150, 75)
    kinds = header(kinds=(0, 0, 7, 0))
    readable = [(first, codes[:2], None) for first, codes, _ in found]
    late = header(first_frame=15 * ((1 << 32) - 2))
    midway = header(first_frame=1000 * 15, start=1000 * 9600)
    rates = header(sample_rate=1 << 20, source_rate=1 << 20)
    tags = tuple((f"KEY{number}", "x" * number) for number in range(60))
    surround = header(streams=6, source_channels=6, channel_mask=0x60F)
    nowhere = header(streams=4, source_channels=4, channel_mask=0)
    extra = header(extra={"zz": [1, {"a": b"b"}], "Ω": None})
    footless = plain[: plain.rindex(b"\xec\xdc\x02")]
    empty = write(base, [])
    some = predicted(kinds=(1, 1, 0, 0))
    elsewhere = replace(some, tables=bytes(16))
    one_layer, hours = predicted(1), predicted(packet_frames=2000)
    zeros = [(0, np.zeros((1, 1, 15), np.uint16), None)]

    def swapped(head: bytes, text: str) -> Entry:
        at = plain.rindex(b"\xec\xdc\x02")
        index = Index.parse(plain[at + 6 : -12])
        index.header_size = len(head)
        packet = index.to_packet()
        tail = packet + plain[at + len(packet) :]
        return head + plain[begin:at] + tail, {"is": text, "links": [link(base, found)]}

    broken = plain[:begin] + put_other(5, b"") + put_other(15, bytes(range(256))) + plain[begin:]
    beheaded = plain[:begin] + plain[plain.index(b"\xec\xdc\x00\x01") :]
    return {
        "64-layers.ecdc": good("64 layers", many, packets_of(many, 2)),
        "8-streams.ecdc": good("eight streams", wide, packets_of(wide, 2)),
        "1-bit.ecdc": good("codebooks of two", two, packets_of(two, 3)),
        "16-bit.ecdc": good("codebooks of 65536", large, packets_of(large, 3)),
        "odd-sizes.ecdc": good("codebooks of 5, 1000, 3, 65535", odd, packets_of(odd, 3)),
        "highest-codes.ecdc": good("the highest codes of odd codebooks", odd, top),
        "fewer-layers.ecdc": good("packets of 4, 0 and 2 layers", base, fewer),
        "off-the-grid.ecdc": good("short packets in the middle", base, grid),
        "last-sequence.ecdc": (
            write(late, packets_of(late, 2)),
            {
                "is": "sequence numbers up to 2^32 - 1: a timeline beyond what is read by default",
                "error": "LimitError",
            },
        ),
        "begins-midway.ecdc": good("begins at frame 15000", midway, packets_of(midway, 2)),
        "fastest.ecdc": good("rates of 2^20 Hz", rates, packets_of(rates, 1)),
        "long-preroll.ecdc": good(
            "more preroll than frames", header(preroll_frames=1 << 48), packets_of(base, 1)
        ),
        "many-tags.ecdc": good("sixty tags", header(tags=tags), packets_of(base, 1)),
        "unknown-keys.ecdc": good("header keys of a later version", extra, packets_of(base, 1)),
        "header-copy.ecdc": good(
            "long enough for a copy of the header at the end", long, many_packets
        ),
        "side-speakers.ecdc": good(
            "six channels with side speakers", surround, packets_of(surround, 2)
        ),
        "no-speakers.ecdc": good("four channels of no speakers", nowhere, packets_of(nowhere, 2)),
        "unknown-kind.ecdc": (
            write(kinds, found),
            {"is": "layer 3 is of an unknown kind", "links": [link(kinds, readable)]},
        ),
        "predicted-elsewhere.ecdc": (
            elsewhere.to_bytes() + write(some, likely(some, 2))[len(some.to_bytes()) :],
            {"is": "predicted by tables that are not here", "error": "TablesError"},
        ),
        "predicted-below.ecdc": good("packed layers above predicted ones", some, likely(some, 3)),
        "predicted-fewer.ecdc": good(
            "predicted packets of 4, 0 and 2 layers",
            predicted(),
            [
                (at, codes[: (4, 0, 2)[n]], None)
                for n, (at, codes, _) in enumerate(likely(predicted(), 3))
            ],
        ),
        "predicted-long.ecdc": good(
            "predicted packets of 2000 frames, with copies", hours, likely(hours, 2, 700), (2, 1)
        ),
        "predicted-zeros.ecdc": good("a predicted layer, all codes 0", one_layer, zeros),
        "other-order.ecdc": swapped(seal(dict(reversed(values.items()))), "keys in another order"),
        "must-understand.ecdc": swapped(
            seal({**values, "v": 1, "u": ["m", "c"]}), "asks for version 1 and for known keys"
        ),
        "integer-gain.ecdc": swapped(seal({**values, "G": 6}), "the gain is an integer"),
        "unknown-packets.ecdc": (
            operate(repair, broken),
            {"is": "packets of types 5 and 15", "links": [link(base, found)]},
        ),
        "gap.ecdc": (
            operate(repair, beheaded),
            {
                "is": "repaired: the first packet is gone for good",
                "links": [link(base, found[1:], losses={"gone": 15})],
            },
        ),
        "no-index.ecdc": (footless, {"is": "no index, no footer", "links": [link(base, found)]}),
        "empty-links.ecdc": (
            empty + plain + empty,
            {
                "is": "a link between two empty ones",
                "links": [link(base, []), link(base, found), link(base, [])],
            },
        ),
    }
