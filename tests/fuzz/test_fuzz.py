"""A bounded round of fuzzing: the corpus, and mutations of it from a fixed seed.

Coverage-guided fuzzing for hours is what `run.py` does; this catches what breaks at once.
"""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.targets import FOLDERS, TARGETS, one_input

CORPUS = Path(__file__).parent / "corpus"
ROUNDS = 40
SECONDS_AN_INPUT = 5.0
"""A hang takes for ever; a busy machine does not."""
BYTES_AN_INPUT = 8 << 20
"""Above what a multiple of 64 of the input's bytes would explain: constant buffers and tables."""


def mutations(data: bytes, rng: np.random.Generator):
    """Yields the input and what a few random edits make of it."""
    yield data
    for _ in range(ROUNDS):
        out = bytearray(data)
        for _ in range(int(rng.integers(1, 5))):
            at = int(rng.integers(0, len(out) + 1))
            size = int(rng.integers(1, 20))
            match rng.integers(6):
                case 0 if at < len(out):
                    out[at] ^= 1 << int(rng.integers(8))
                case 1:
                    del out[at : at + size]
                case 2:
                    out[at:at] = rng.bytes(size)
                case 3:
                    out[at:at] = out[max(at - 100, 0) : at]
                case 4:
                    out[at : at + size] = b"\xff" * size
                case _:
                    del out[at:]
        yield bytes(out)


def inputs(target: str) -> list[Path]:
    return sorted((CORPUS / FOLDERS.get(target, "ecdc")).iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_our_errors_comes_out(target):
    rng = np.random.default_rng(0)
    for path in inputs(target):
        for data in mutations(path.read_bytes(), rng):
            begin = time.process_time()
            one_input(target, data)
            assert time.process_time() - begin < SECONDS_AN_INPUT, f"slow on {data.hex()}"


@pytest.mark.parametrize("target", TARGETS)
def test_memory_is_bounded_by_the_input(target):
    rng = np.random.default_rng(1)
    one_input(target, b"")
    for path in inputs(target):
        for data in list(mutations(path.read_bytes(), rng))[::8]:
            tracemalloc.start()
            try:
                one_input(target, data)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < BYTES_AN_INPUT + 64 * len(data), f"{peak} bytes for {data.hex()}"


BOMBS = {
    # Heads inside heads, each of a packet of as many bytes as the format allows.
    "heads": lambda head, inner: head + inner * 3000,
    "whole heads": lambda head, inner: head + inner * 3000 + bytes(1 << 20),
    # Beginnings of headers that claim as much as is allowed.
    "links": lambda head, _: head + b"ECDC\x01\x00\x0f\xff\xff" * 5000,
    "syncs": lambda head, _: head + b"\xec\xdc\x00" * 30000,
    "zeros": lambda head, _: head + bytes(200000),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_work_is_bounded_by_the_input(kind):
    from ncodec_formats.packets import Head, PacketLayout
    from tests.formats.files import make_header

    header = make_header(codebook_sizes=(65536,) * 4, packet_frames=65536 * 7 // 8, streams=2)
    layout = PacketLayout(header)
    inner = layout.put_head(Head(9, 9 * header.packet_frames, 57344, layout.lengths(57344, 4), b""))
    data = BOMBS[kind](header.to_bytes(), inner)
    begin = time.process_time()
    for target in ("read", "mend", "check", "split"):
        one_input(target, data)
    assert time.process_time() - begin < 60
