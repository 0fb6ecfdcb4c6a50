"""Telling what a file is: its kind, header and totals, from as few bytes as possible."""

from dataclasses import asdict
from typing import Any, BinaryIO

from . import limits
from .bitrate import bits_of, kbps
from .entropy import Predicted
from .errors import BadFileError
from .foreign.arrays import describe_arrays
from .header import PREFIX, Header
from .raw_links import played_samples
from .reader import open_links
from .scanner import ByteSource, read_header
from .tail import tails
from .timeline import Timeline
from .wire import DAC_MAGIC, LINK_START, MAGIC


def sniff(start: bytes) -> str:
    """Returns the kind of a file of codes from its first 9 bytes.

    Kinds: "ecdc", "ecdc0" (version 0, EnCodec's own), "dac", "npz", "safetensors".

    Raises:
        BadFileError: it is none of these.
    """
    if start.startswith(MAGIC):
        return "ecdc0" if start[len(MAGIC) : len(LINK_START)] == b"\0" else "ecdc"
    if start.startswith(DAC_MAGIC):
        return "dac"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= limits.MAX_HEADER:
        return "safetensors"
    if not start:
        raise BadFileError("the file is empty")
    raise BadFileError("no file of codes: neither ECDC, .dac, .npz nor .safetensors")


def info(src: BinaryIO) -> dict[str, Any]:
    """Returns what a seekable file says of itself, as plain values fit for JSON.

    Of an ECDC file only headers, end packets and indices are read, if it has an index.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: it is no such file, or can't be read.
    """
    kind = sniff(src.read(PREFIX.size))
    src.seek(0, 2)
    size = src.tell()
    src.seek(0)
    readers = {"ecdc": _ecdc, "ecdc0": _ecdc0, "dac": _dac}
    report = readers[kind](src) if kind in readers else describe_arrays(src, kind)
    seconds = report["seconds"]
    rate = 8 * size / seconds / 1000 if seconds else None
    return {
        "format": kind,
        "bytes": size,
        "kbps": None if rate is None else round(rate, 3),
        **report,
    }


def _ecdc(src: BinaryIO) -> dict[str, Any]:
    links = _indexed_links(src) or _scanned_links(src)
    return {"version": 1, "seconds": sum(link["seconds"] for link in links), "links": links}


def _indexed_links(src: BinaryIO) -> list[dict[str, Any]]:
    """Returns what headers, end packets and indices say; nothing if they don't span the file."""
    links: list[dict[str, Any]] = []
    start = src.seek(0, 2)
    for tail in tails(src):
        src.seek(tail.start)
        try:
            header = read_header(ByteSource(src))
        except BadFileError:
            break
        end = tail.end(len(header.codebook_sizes))
        if end is None:
            break
        start = tail.start
        size = tail.stop - start
        links.insert(0, _link(header, end.packets, end.end_frame, end.source_samples, size))
        links[0]["indexed"] = True
        links[0]["digest"] = end.digests[-1].hex()
    src.seek(0)
    return [] if start else links


def _scanned_links(src: BinaryIO) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = []
    before = 0
    for reader in open_links(src, keep_going=True, max_seconds=None):
        for _ in reader.events(runs=True):
            pass
        reader.next_link()
        link = _link(
            reader.header,
            reader.packets,
            reader.end_frame,
            played_samples(reader),
            reader.offset - before,
        )
        end = reader.end
        link["indexed"] = False
        link["digest"] = None if end is None else end.digests[-1].hex()
        link["losses"] = asdict(reader.losses)
        link["problems"] = reader.problems
        before = reader.offset
        links.append(link)
    return links


def _link(header: Header, packets: int, end_frame: int, samples: int, size: int) -> dict[str, Any]:
    frames = end_frame - header.first_frame
    rate = Timeline(header).frame_rate
    bits = sum(map(bits_of, header.codebook_sizes)) * header.streams
    codes = 0 if any(header.kinds) else frames * bits / 8  # what others take is not known here
    return {
        "model": header.model,
        "model_hash": header.model_hash.hex(),
        "sample_rate": header.sample_rate,
        "hop": header.hop,
        "streams": header.streams,
        "codebooks": len(header.codebook_sizes),
        "codebook_sizes": list(header.codebook_sizes),
        "predicted": header.kinds.count(Predicted.kind),
        "tables": header.tables and header.tables.hex(),
        "bandwidth_kbps": round(kbps(header.codebook_sizes, header.streams, rate), 3),
        "packet_frames": header.packet_frames,
        "preroll_frames": header.preroll_frames,
        "postroll_frames": header.postroll_frames,
        "segment": header.segment and list(header.segment),
        "source_rate": header.source_rate,
        "source_channels": header.source_channels,
        "channel_mask": header.channel_mask,
        "speakers": list(header.speakers),
        "start": header.start,
        "samples": max(samples - header.start, 0),
        "seconds": max(samples - header.start, 0) / header.source_rate,
        "frames": frames,
        "packets": packets,
        "bytes": size,
        "overhead": round((size - codes) / codes, 4) if codes else None,
        "gain_db": header.gain_db,
        "peeled": header.peeled,
        "tags": [list(tag) for tag in header.tags],
        "unknown_keys": sorted(header.extra),
    }


def _ecdc0(src: BinaryIO) -> dict[str, Any]:
    from .foreign.ecdc0 import Ecdc0Reader  # seldom wanted, and slow to load

    header = Ecdc0Reader(src).header
    layout = header.layout
    return {
        "version": 0,
        "model": header.model,
        "sample_rate": layout.sample_rate,
        "channels": layout.channels,
        "codebooks": header.codebooks,
        "language_model": header.use_lm,
        "bandwidth_kbps": kbps(header.sizes, 1, layout.frame_rate),
        "samples": header.audio_length,
        "seconds": header.audio_length / layout.sample_rate,
    }


def _dac(src: BinaryIO) -> dict[str, Any]:
    from .foreign.dac import read_dac  # likewise

    dac = read_dac(src)
    return {
        "version": dac.dac_version,
        "source_rate": dac.sample_rate,
        "source_channels": dac.channels,
        "codebooks": dac.codes.shape[1],
        "frames": dac.codes.shape[2],
        "chunk_frames": dac.chunk_length,
        "padding": dac.padding,
        "samples": dac.original_length,
        "seconds": dac.original_length / dac.sample_rate,
    }
