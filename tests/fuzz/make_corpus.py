"""Writes the seeds of the fuzzers, small and of every shape: `python tests/fuzz/make_corpus.py`."""

import io
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "formats"))

from ncodec_formats import EcdcWriter, Header, cut, repair  # noqa: E402
from ncodec_formats.entropy import CODINGS, Predicted  # noqa: E402
from ncodec_formats.entropy.arithmetic import quantize_cdf  # noqa: E402
from ncodec_formats.entropy.toy import toy_tables  # noqa: E402
from ncodec_formats.foreign.dac import DacFile, write_dac  # noqa: E402
from ncodec_formats.foreign.ecdc0 import Ecdc0Writer, Header0  # noqa: E402
from ncodec_formats.packets import put_other  # noqa: E402
from ncodec_formats.raw_links import copy_item, raw_links  # noqa: E402

TOY = toy_tables((16, 16, 8))
CODED = {**CODINGS, Predicted.kind: Predicted(TOY)}


def header(**changes: object) -> Header:
    """Returns a small header."""
    values: dict[str, object] = {
        "model": "m",
        "model_hash": bytes(32),
        "sample_rate": 8000,
        "hop": 100,
        "streams": 1,
        "codebook_sizes": (16, 16, 8),
        "packet_frames": 8,
        "preroll_frames": 3,
        "block_frames": 8,
        "source_rate": 16000,
        "source_channels": 1,
        "source_samples": None,
    }
    return Header(**{**values, **changes})  # type: ignore[arg-type]


def link(head: Header, packets: int, redundancy: tuple[int, int] | None = None) -> bytes:
    """Returns a link of random codes; the third packet has fewer layers, the last is short."""
    rng = np.random.default_rng(packets)
    out = io.BytesIO()
    writer = EcdcWriter(out, head, redundancy=redundancy, codings=CODED)
    sizes = np.array(head.codebook_sizes)[:, None, None]
    for number in range(packets):
        frames = head.packet_frames if number < packets - 1 else 3
        shape = (len(sizes), head.streams, frames)
        codes = rng.integers(0, sizes, shape)[: 1 if number == 2 else None]
        scale = rng.random(head.streams) if head.segment else None
        writer.write(codes, scale)
    writer.finish(packets * head.packet_frames * head.hop)
    return out.getvalue()


def with_header_copy(data: bytes) -> bytes:
    """Returns a file with a copy of its header in the end packet, short as it is."""
    out = io.BytesIO()
    for raw in raw_links(io.BytesIO(data)):
        writer = raw.writer(out, raw.header)
        for item in raw.items():
            copy_item(writer, item)
        writer.finish(raw.end, copy_header=True)
    return out.getvalue()


def ecdc_seeds() -> dict[str, bytes]:
    """Returns ECDC version 1 seeds."""
    plain = link(header(), 6)
    whole, part, mended = io.BytesIO(plain), io.BytesIO(), io.BytesIO()
    cut(whole, part, 900, 4000)
    damaged = bytearray(plain)
    damaged[150] ^= 1
    del damaged[180:200]
    repair(io.BytesIO(bytes(damaged)), mended)
    head = len(header().to_bytes())
    unknown = plain[:head] + put_other(9, b"unknown") + plain[head:]
    steady = io.BytesIO()
    writer = EcdcWriter(steady, header(packet_frames=2))
    for number in range(40):
        writer.write(np.full((3, 1, 2), number % 8))
    writer.finish(40 * 200)
    copied = with_header_copy(plain)
    headless = bytearray(copied)
    headless[20] ^= 1
    return {
        "plain": plain,
        "copied": copied,
        "headless": bytes(headless),
        "speakers": link(header(source_channels=2, streams=2, channel_mask=3), 2),
        "steady": steady.getvalue(),
        "empty": link(header(), 0),
        "redundancy": link(header(), 6, (2, 2)),
        "stereo": link(header(streams=2, source_channels=2), 4),
        "segments": link(header(segment=(800, 790)), 4),
        "odd-sizes": link(header(codebook_sizes=(5, 1000)), 4),
        "tags": link(header(tags=(("TITLE", "x"),), extra={"zz": [1, 2]}), 2),
        "predicted": link(predicted := header(kinds=(1, 1, 1), tables=TOY.hash), 6),
        "predicted-copies": link(predicted, 4, (2, 1)),
        "predicted-below": link(header(kinds=(1, 0, 0), tables=TOY.hash, streams=2), 3),
        "chained": plain + link(header(), 2),
        "cut": part.getvalue(),
        "repaired": mended.getvalue(),
        "damaged": bytes(damaged),
        "unknown": unknown,
    }


def old_seeds() -> dict[str, bytes]:
    """Returns `.ecdc` version 0 seeds."""
    seeds: dict[str, bytes] = {}
    uniform = quantize_cdf(np.full(1024, 1 / 1024, np.float32))
    for name, samples, books in (("encodec_24khz", 3000, 2), ("encodec_48khz", 48100, 1)):
        for use_lm in (False, True):
            out = io.BytesIO()
            writer = Ecdc0Writer(out, Header0(name, samples, books, use_lm))
            for segment in writer.header.segments():
                codes = np.arange(books * segment.frames).reshape(books, -1) % 1024
                if writer.header.layout.segment:
                    writer.write_scale(0.5)
                if use_lm:
                    encoder = writer.encoder()
                    for code in codes.T.reshape(-1):
                        encoder.push(int(code), uniform)
                    encoder.flush()
                else:
                    writer.write_codes(codes)
                    writer.end_codes()
            seeds[f"{name}-{'lm' if use_lm else 'raw'}"] = out.getvalue()
    return seeds


def dac_seeds() -> dict[str, bytes]:
    """Returns `.dac` seeds: our own, and numpy's way of writing the same."""
    codes = np.arange(18, dtype=np.uint16).reshape(1, 3, 6)
    ours, numpys = io.BytesIO(), io.BytesIO()
    write_dac(ours, DacFile(codes, (-20.5,), 3000, 44100, 6, 1, True))
    metadata = {
        "input_db": np.array([-20.5], np.float32),
        "original_length": 3000,
        "sample_rate": 44100,
        "chunk_length": 6,
        "channels": 1,
        "padding": True,
        "dac_version": "1.0.0",
    }
    np.save(numpys, {"codes": codes, "metadata": metadata}, allow_pickle=True)
    return {"ours": ours.getvalue(), "numpys": numpys.getvalue()}


def predicted_seeds() -> dict[str, bytes]:
    """Returns layers: three bytes that say which, how many frames and streams, then the code."""
    rng = np.random.default_rng(0)
    sizes = ((0, 14, 0, 6), (1, 74, 0, 30), (2, 14, 1, 3), (0, 0, 0, 0), (2, 7, 0, 3))
    return {f"layer-{n}": bytes(place) + rng.bytes(size) for n, (*place, size) in enumerate(sizes)}


def groups() -> dict[str, dict[str, bytes]]:
    """Returns all seeds, by folder and name."""
    return {
        "ecdc": ecdc_seeds(),
        "predicted": predicted_seeds(),
        "tables": {"toy": TOY.data},
        "old": old_seeds(),
        "dac": dac_seeds(),
    }


def main() -> None:
    """Writes all seeds beside this file."""
    for group, seeds in groups().items():
        folder = Path(__file__).parent / "corpus" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
