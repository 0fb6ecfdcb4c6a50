"""What the container costs: bytes over the codes, and the time to write, seek and verify."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ncodec.errors import ArgumentError
from ncodec_formats import EcdcReader, EcdcWriter, Header, Loss, Packet, verify

SAMPLE_RATE, HOP = 24000, 320
"""EnCodec's and the embedded model's: 75 frames a second."""


@dataclass(frozen=True)
class ContainerCost:
    """A file of random codes, which no entropy coder could make smaller.

    Attributes:
        codebooks: of 10 bits, 0.75 kbps each.
        packet_frames: frames a packet, 75 a second.
        seconds: of audio.
        kbps: bitrate of the codes alone.
        size: bytes of the file.
        overhead: bytes beyond the codes, as a share of the codes.
        write: speed of writing, MB/s.
        verify: speed of verifying, MB/s.
        seek_ms: median time to a random frame, through the index, first packet decoded.
        scan_ms: the same without index and footer (a file cut off), so by scanning from the start.
    """

    codebooks: int
    packet_frames: int
    seconds: float
    kbps: float
    size: int
    overhead: float
    write: float
    verify: float
    seek_ms: float
    scan_ms: float


def measure_container(codebooks: int, packet_frames: int, seconds: float) -> ContainerCost:
    """Write, verify and seek in a file in memory.

    Raises:
        ArgumentError: it would hold no frame.
    """
    frames = int(seconds * SAMPLE_RATE / HOP)
    if frames < 1:
        raise ArgumentError(f"{seconds} s hold no frame: must be at least {HOP / SAMPLE_RATE:.4f}")
    header = _header(codebooks, packet_frames)
    codes = np.random.default_rng(0).integers(0, 1024, (codebooks, 1, frames), dtype=np.uint16)
    file = io.BytesIO()
    write_time = _time(lambda: _write(file, header, codes))
    data = file.getvalue()
    payload = codebooks * frames * 10 / 8
    verify_time = _time(lambda: _verify(data))
    places = random.Random(0).sample(range(frames), min(20, frames))  # noqa: S311
    return ContainerCost(
        codebooks=codebooks,
        packet_frames=packet_frames,
        seconds=frames * HOP / SAMPLE_RATE,
        kbps=codebooks * 0.75,
        size=len(data),
        overhead=len(data) / payload - 1,
        write=len(data) / write_time / 1e6,
        verify=len(data) / verify_time / 1e6,
        seek_ms=_seek(data, places),
        scan_ms=_seek(data[:-4], places[:5]),  # no footer, so no index
    )


def to_markdown(found: Sequence[ContainerCost]) -> str:
    """Return a table, one row a measurement."""
    lines = [
        "| codes (kbps) | packet (frames) | length (s) | file (bytes) | overhead | write (MB/s) "
        "| verify (MB/s) | seek (ms) | seek without index (ms) |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {c.kbps:g} | {c.packet_frames} | {c.seconds:.0f} | {c.size} | {c.overhead:.2%} "
        f"| {c.write:.1f} | {c.verify:.1f} | {c.seek_ms:.2f} | {c.scan_ms:.2f} |"
        for c in found
    ]
    return "\n".join(lines) + "\n"


def _header(codebooks: int, packet_frames: int) -> Header:
    return Header(
        model="ncodec_24khz",
        model_hash=bytes(32),
        sample_rate=SAMPLE_RATE,
        hop=HOP,
        streams=1,
        codebook_sizes=(1024,) * codebooks,
        packet_frames=packet_frames,
        preroll_frames=0,
        block_frames=packet_frames,
        source_rate=SAMPLE_RATE,
        source_channels=1,
        source_samples=None,
    )


def _write(file: io.BytesIO, header: Header, codes: np.ndarray) -> None:
    file.seek(0)
    writer = EcdcWriter(file, header)
    for at in range(0, codes.shape[2], header.packet_frames):
        writer.write(codes[:, :, at : at + header.packet_frames])
    writer.finish(codes.shape[2] * HOP)


def _verify(data: bytes) -> None:
    report = verify(io.BytesIO(data))
    assert report.ok


def _seek(data: bytes, frames: Sequence[int]) -> float:
    return 1000 * float(np.median([_time(partial(_jump, data, frame), 1) for frame in frames]))


def _jump(data: bytes, frame: int) -> Packet | Loss:
    reader = EcdcReader(io.BytesIO(data), keep_going=True)
    reader.seek(frame)
    return next(reader)


def _time(work: Callable[[], object], runs: int = 3) -> float:
    times = list[float]()
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
