"""What is fuzzed: functions of bytes. Anything but NcodecError that comes out is a fault.

`run.py` drives them by coverage for hours; `test_fuzz.py` by mutation of the corpus, in CI.
"""

import io
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np

from ncodec_formats import (
    EcdcReader,
    Loss,
    NcodecError,
    cat,
    cut,
    header,
    info,
    open_links,
    packet_runs,
    packets,
    peel,
    repair,
    scanner,
    set_tags,
    tail,
    verify,
)
from ncodec_formats.entropy import CODINGS, Predicted, Tables
from ncodec_formats.entropy.arithmetic import quantize_cdf
from ncodec_formats.entropy.toy import toy_tables
from ncodec_formats.foreign.dac import read_dac, write_dac
from ncodec_formats.foreign.ecdc0 import Ecdc0Reader

TOY = toy_tables((16, 16, 8))
"""What predicts the layers of the corpus."""
CODED = {**CODINGS, Predicted.kind: Predicted(TOY)}
UNIFORM = quantize_cdf(np.full(1024, 1 / 1024, np.float32))


class Pipe:
    """Bytes that can't seek and come in pieces."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, 1000))

    def seekable(self) -> bool:
        return False


def read(data: bytes) -> None:
    """Reads with and without damage allowed, from a file and a pipe; seeks."""
    frames: dict[bool, int] = {}
    for seekable in (True, False):
        file = io.BytesIO(data) if seekable else Pipe(data)
        total = 0
        for reader in open_links(file, keep_going=True, codings=CODED):
            place = reader.header.first_frame
            for item in reader:
                assert item.first_frame == place, "the timeline has a hole or an overlap"
                place = item.first_frame + item.frames
                most = len(reader.header.codebook_sizes)
                assert isinstance(item, Loss) or len(item.codes) <= most
            total += place
        frames[seekable] = total
    assert frames[True] == frames[False], "a pipe reads otherwise than a file"
    reader = EcdcReader(io.BytesIO(data), keep_going=True, codings=CODED)
    reader.seek(100)
    next(reader, None)
    reader = EcdcReader(io.BytesIO(data), codings=CODED)
    reader.together = 8
    for item in reader:
        assert item.frames > 0


def mend(data: bytes) -> None:
    """Repairs: the result is sound, and repairing it changes nothing."""
    first, second = io.BytesIO(), io.BytesIO()
    repair(io.BytesIO(data), first)
    report = verify(io.BytesIO(first.getvalue()))
    assert report.ok, f"repaired, but {report.problems}"
    repair(io.BytesIO(first.getvalue()), second)
    assert first.getvalue() == second.getvalue(), "repairing twice is not repairing once"
    peeled = io.BytesIO()
    peel(io.BytesIO(first.getvalue()), peeled, 1)
    assert verify(io.BytesIO(peeled.getvalue())).ok, "repaired and peeled, not sound"


def go_on(data: bytes) -> None:
    """Copies despite damage: what comes of it is sound, and what comes of the repaired file."""
    mended = io.BytesIO()
    repair(io.BytesIO(data), mended)
    actions: list[Callable[[BinaryIO, BinaryIO], object]] = [
        lambda src, out: peel(src, out, 1, keep_going=True),
        lambda src, out: set_tags(src, out, [("A", "b")], keep_going=True),
        lambda src, out: cat([src], out, keep_going=True),
    ]
    for action in actions:
        one, two = io.BytesIO(), io.BytesIO()
        action(io.BytesIO(data), one)
        action(io.BytesIO(mended.getvalue()), two)
        assert one.getvalue() == two.getvalue(), "not as of the repaired file"
        report = verify(io.BytesIO(one.getvalue()))
        assert report.ok, f"copied, but {report.problems}"


def check(data: bytes) -> None:
    """Verifies and describes; a file said to be sound can be read."""
    info(io.BytesIO(data))
    report = verify(io.BytesIO(data))
    slow = verify(Pipe(data))  # type: ignore[arg-type]
    assert report.ok == slow.ok, f"a pipe is judged otherwise than a file: {slow.problems}"
    if report.ok:
        for reader in open_links(io.BytesIO(data), max_seconds=None, codings=CODED):
            for _ in reader:
                pass


def split(data: bytes) -> None:
    """Peels and cuts."""
    for action in (
        lambda out: peel(io.BytesIO(data), out, 1),
        lambda out: cut(io.BytesIO(data), out, 700, 30000),
    ):
        out = io.BytesIO()
        try:
            action(out)
        except NcodecError:
            continue


def bulk(data: bytes) -> None:
    """Copies and checks packets many at once: as one by one."""
    actions: list[Callable[[BinaryIO], object]] = [
        lambda out: peel(io.BytesIO(data), out, 1),
        lambda out: cut(io.BytesIO(data), out, 700, 30000),
        lambda out: repair(io.BytesIO(data), out),
        lambda _: verify(io.BytesIO(data)),
    ]
    few = scanner.WORTH_IT
    for action in actions:
        outcomes: list[tuple[str, bytes]] = []
        for worth_it in (1, 1 << 40):
            out, scanner.WORTH_IT = io.BytesIO(), worth_it
            try:
                said = repr(action(out))
            except NcodecError as error:
                said = repr(error)
            finally:
                scanner.WORTH_IT = few
            outcomes.append((said, out.getvalue()))
        assert outcomes[0] == outcomes[1], f"many at once {outcomes[0]}, one by one {outcomes[1]}"


def predicted(data: bytes) -> None:
    """Decodes layers: what is called sound gives codes of the codebook, the same side by side."""
    layer, frames, streams = (
        byte % most for byte, most in zip(data.ljust(3, b"\0"), (3, 90, 3), strict=False)
    )
    size, coding = TOY.sizes[layer], CODED[1]
    if not coding.is_sound(data[3:], frames + 1, streams + 1, size):
        return
    codes = np.zeros((9, 3, streams + 1, frames + 1), np.uint16)
    coding.decode([[data[3:]]] * 9, codes, range(layer, layer + 1), TOY.sizes)
    one = np.zeros_like(codes[:1])
    coding.decode([[data[3:]]], one, range(layer, layer + 1), TOY.sizes)
    assert (codes == one).all(), "side by side it is decoded otherwise"
    assert int(codes.max()) < size
    again = np.zeros_like(one)
    coding.decode(coding.encode(one, range(3), TOY.sizes), again, range(3), TOY.sizes)
    assert (again == one).all()


def tables(data: bytes) -> None:
    """Reads tables; those that are taken are what their bytes say."""
    assert Tables.parse(data).data == data


def old(data: bytes) -> None:
    """Reads `.ecdc` version 0, raw or with an arithmetic code."""
    reader = Ecdc0Reader(io.BytesIO(data))
    for segment in reader.header.segments():
        reader.read_scale()
        if reader.header.use_lm:
            decoder = reader.decoder()
            for _ in itertools.repeat(None, segment.frames * reader.header.codebooks):
                decoder.pull(UNIFORM)
        else:
            for block in reader.read_codes(segment.frames):
                assert block.max() < 1024


def dac(data: bytes) -> None:
    """Reads `.dac`; what was read can be written and read again."""
    found = read_dac(io.BytesIO(data))
    out = io.BytesIO()
    write_dac(out, found)
    again = read_dac(io.BytesIO(out.getvalue()))
    assert np.array_equal(found.codes, again.codes)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "read": read,
    "mend": mend,
    "go_on": go_on,
    "check": check,
    "split": split,
    "bulk": bulk,
    "predicted": predicted,
    "tables": tables,
    "old": old,
    "dac": dac,
}

FOLDERS = {name: name for name in ("predicted", "tables", "old", "dac")}
"""Where in the corpus a target's seeds are; "ecdc" for all others."""


def without_checks() -> None:
    """Makes all CRCs of ECDC version 1 come out as 0, written and read, from now on.

    A fuzzer seldom guesses a CRC; so it gets to what lies behind.
    """
    for module in (packets, header, scanner, tail):
        module.zlib = SimpleNamespace(crc32=lambda _data: 0)  # type: ignore[attr-defined]
    packets.crc16 = lambda *_: 0
    packet_runs._crc_table = lambda: np.zeros(256, np.int64)


def one_input(target: str, data: bytes) -> None:
    """Runs a target; what a reader may say of bad bytes is caught."""
    try:
        TARGETS[target](data)
    except NcodecError:
        return
