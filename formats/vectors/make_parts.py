"""Headers, packets and files that the conformance kit is made of."""

import hashlib
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgpack

from ncodec_formats import EcdcWriter, Header
from ncodec_formats.entropy import CODINGS, PackedBits, Predicted
from ncodec_formats.entropy.toy import toy_tables

Packets = list[tuple[int, np.ndarray, np.ndarray | None]]
Entry = tuple[bytes, dict[str, Any]]


TOY = toy_tables((64, 60, 64, 64))
"""What predicts the codes of all files with predicted layers."""


class Kind7(PackedBits):
    """A kind that no reader knows: packed bits by another number."""

    kind = 7


def header(**changes: Any) -> Header:
    """Returns a header of four layers of ten bits, fifteen frames a packet."""
    values: dict[str, Any] = {
        "model": "conformance",
        "model_hash": hashlib.sha256(b"conformance").digest(),
        "sample_rate": 24000,
        "hop": 320,
        "streams": 1,
        "codebook_sizes": (1024,) * 4,
        "packet_frames": 15,
        "preroll_frames": 10,
        "block_frames": 15,
        "source_rate": 48000,
        "source_channels": 1,
        "source_samples": None,
    }
    return Header(**{**values, **changes})


def predicted(layers: int = 4, **changes: Any) -> Header:
    """Returns a header of predicted layers."""
    sizes = TOY.sizes[:layers]
    kinds = changes.pop("kinds", (1,) * layers)
    return header(codebook_sizes=sizes, kinds=kinds, tables=TOY.hash, **changes)


def likely(head: Header, count: int, last: int = 4) -> Packets:
    """Returns packets in a row of codes that the tables expect: what random bytes decode to."""
    result: Packets = []
    sizes, layers = head.codebook_sizes, range(len(head.codebook_sizes))
    for number in range(count):
        frames = last if number == count - 1 else head.packet_frames
        codes = np.zeros((1, len(sizes), head.streams, frames), np.uint16)
        rng = np.random.Generator(np.random.PCG64(number))
        data = [rng.bytes(frames * head.streams // 2) for _ in layers]
        Predicted(TOY).decode([data], codes, layers, sizes)
        result.append((number * head.packet_frames, codes[0], None))
    return result


def codes_of(head: Header, layers: int, frames: int, seed: int) -> np.ndarray:
    """Returns codes `[layers, S, frames]`, layer by layer the same for any number of layers."""
    shape = (head.streams, frames)
    rows = [
        np.random.Generator(np.random.PCG64([seed, k])).integers(0, size, shape)
        for k, size in enumerate(head.codebook_sizes[:layers])
    ]
    return np.stack(rows).astype(np.uint16) if rows else np.zeros((0, *shape), np.uint16)


def packets_of(head: Header, count: int, last: int = 4) -> Packets:
    """Returns `count` packets in a row, the last one of `last` frames."""
    result: Packets = []
    for number in range(count):
        frames = last if number == count - 1 else head.packet_frames
        codes = codes_of(head, len(head.codebook_sizes), frames, number)
        scale = np.full(head.streams, 0.25 + number, np.float32) if head.segment else None
        result.append((head.first_frame + number * head.packet_frames, codes, scale))
    return result


def samples_of(head: Header, packets: Packets) -> int:
    """Returns a length of the source that fits the frames."""
    frames = packets[-1][0] + packets[-1][1].shape[2] if packets else 0
    return frames * head.hop * head.source_rate // head.sample_rate


KINDS = {**CODINGS, Kind7.kind: Kind7(), Predicted.kind: Predicted(TOY)}


def write(head: Header, packets: Packets, redundancy: tuple[int, int] | None = None) -> bytes:
    """Returns a link."""
    out = io.BytesIO()
    writer = EcdcWriter(out, head, redundancy=redundancy, codings=KINDS)
    for first_frame, codes, scale in packets:
        writer.write(codes, scale, first_frame=first_frame)
    writer.finish(samples_of(head, packets))
    return out.getvalue()


def link(head: Header, packets: Packets, **more: Any) -> dict[str, Any]:
    """Returns what a reader must find in a link."""
    digest = hashlib.sha256()
    for _, codes, scale in packets:
        digest.update(codes.astype("<u2").tobytes())
        digest.update(b"" if scale is None else scale.astype("<f4").tobytes())
    found = {
        "codebook_sizes": list(head.codebook_sizes),
        "streams": head.streams,
        "packets": [[first, len(codes), codes.shape[2]] for first, codes, _ in packets],
        "codes_sha256": digest.hexdigest(),
        "start": head.start,
        "end": samples_of(head, packets),
    }
    return {**found, **more}


def good(text: str, head: Header, packets: Packets, redundancy: Any = None, **more: Any) -> Entry:
    """Returns a valid file and what must be found."""
    data = write(head, packets, redundancy)
    return data, {"is": text, "links": [link(head, packets, **more)]}


def bad(text: str, data: bytes, error: str, *links: dict[str, Any]) -> Entry:
    """Returns a faulty file, the error it must give, and what can be read despite it."""
    return data, {"is": text, "error": error, **({"damaged": list(links)} if links else {})}


def operate(operation: Callable[..., Any], data: bytes, *arguments: Any) -> bytes:
    """Returns what an operation makes of a file."""
    out = io.BytesIO()
    operation(io.BytesIO(data), out, *arguments)
    return out.getvalue()


def seal(values: dict[str, Any], version: int = 1) -> bytes:
    """Returns a header with any map and a right CRC."""
    packed = msgpack.packb(values)
    assert isinstance(packed, bytes)
    data = struct.pack("!4sBI", b"ECDC", version, len(packed)) + packed
    return data + struct.pack("!I", zlib.crc32(data)) + b"\r\n"
