"""The frames of MPEG audio, counted: libsndfile guesses the length where no tag frame says it.

Each run of frames is shown to libsndfile as a file of its own, with a tag frame that has the right
number. Headers after ISO/IEC 11172-3 and 13818-3; tag frames after Xing's and Fraunhofer's
published descriptions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ncodec.audio.source import Source, View

_V1 = {
    3: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}  # kbit/s by the two bits of the layer: 3 is layer I
_V2 = {
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
LONGEST_FRAME = 1441
"""Bytes of layer III's longest frame."""
_BLOCK = 1 << 20
_SIGN = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
"""An empty tag: without one libsndfile asks for other kinds first, and for files beside."""
_SYNC = 3
"""So many frames in a row are no accident."""


@dataclass(frozen=True)
class Header:
    """A frame's header: its length in bytes, its samples, and what stays alike in a stream."""

    size: int
    samples: int
    rate: int
    layer: int
    side: int
    stream: int


@dataclass
class Run:
    """Frames that follow each other.

    Attributes:
        begin: where the first stands, a tag frame among them.
        end: where the last ends.
        frames: how many hold sound.
        header: of the first.
        promised: how many a tag frame promises, if there is one.
        count_at: where in the file it does so.
        tag_size: its size in bytes, 0 if there is none.
        partial: whether a last frame is there in part.
        lost: bytes before it that are nothing known.
        trailing: such bytes behind it, in the last run.
    """

    begin: int
    end: int
    header: Header
    frames: int = 0
    promised: int | None = None
    count_at: int = 0
    tag_size: int = 0
    partial: bool = False
    lost: int = 0
    trailing: int = 0

    def view(self, source: Source) -> View:
        """Show the run as a file whose tag frame has the right number of frames."""
        count = struct.pack(">I", self.frames)
        if self.header.layer != 3 or self.promised == self.frames:
            return View(source, _SIGN, (self.begin, self.end))
        if self.promised is not None:
            at = self.count_at
            return View(source, _SIGN, (self.begin, at), count, (at + 4, self.end))
        sound_at = self.begin + self.tag_size
        tag = _tag_frame(source.at(sound_at, 4), count)
        return View(source, _SIGN, tag, (sound_at, self.end))


def parse(head: bytes) -> Header | None:
    """Read the four bytes of a frame's header; None if they are none, or of a free bitrate."""
    word = int.from_bytes(head[:4], "big")
    version, layer = word >> 19 & 3, word >> 17 & 3
    bitrate, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or not layer or bitrate in (0, 15) or rate == 3:
        return None
    kbps = (_V1 if version == 3 else _V2)[layer][bitrate]
    hertz, padding = _RATES[version][rate], word >> 9 & 1
    samples = 384 if layer == 3 else 1152 if version == 3 or layer == 2 else 576
    if layer == 3:
        size = (12000 * kbps // hertz + padding) * 4
    else:
        size = samples // 8 * 1000 * kbps // hertz + padding
    mono = word >> 6 & 3 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return Header(size, samples, hertz, 4 - layer, side, version << 4 | layer << 2 | rate)


def find_runs(source: Source, begin: int, end: int) -> list[Run]:
    """Find the runs of frames between two places of a file."""
    return _Walk(source, begin, end).run()


def _tag_frame(first: bytes, count: bytes) -> bytes:
    """Make a tag frame for a stream that begins with the header `first`."""
    for bitrate in range(1, 15):
        head = bytes([first[0], first[1] | 1, bitrate << 4 | (first[2] & 0x0C), first[3]])
        parsed = parse(head)
        assert parsed is not None
        if parsed.size >= 4 + parsed.side + 12:
            tag = head + bytes(parsed.side) + b"Info" + struct.pack(">I", 1) + count
            return tag.ljust(parsed.size, b"\0")
    raise AssertionError("no bitrate has room for a tag frame")


class _Walk:
    """A walk over a file, frame by frame."""

    def __init__(self, source: Source, begin: int, end: int) -> None:
        self._source, self._at, self._end = source, begin, end
        self._block, self._block_at = b"", begin
        self._known: dict[bytes, Header | None] = {}
        self._runs: list[Run] = []
        self._open = False
        self._lost = 0

    def run(self) -> list[Run]:
        while self._at + 4 <= self._end:
            header = self._header(self._at)
            if header is None or not self._fits(header):
                self._open = False
                self._pass_junk()
            elif self._at + header.size > self._end:
                self._runs[-1].partial = True
                break
            else:
                self._take(header)
        runs = [run for run in self._runs if run.frames]
        if runs:
            runs[-1].trailing = self._lost
        return runs

    def _fits(self, header: Header) -> bool:
        """Say whether a frame goes on with the run, or begins one beyond doubt."""
        if self._open and header.stream == self._runs[-1].header.stream:
            return True
        at, whole = self._at, 0
        while whole < _SYNC and at + header.size <= self._end:
            at, whole = at + header.size, whole + 1
            if at + 4 > self._end:
                break
            later = self._header(at)
            if later is None or later.stream != header.stream:
                # The last frames of a file are too few to be sure of; the first ones are not.
                return bool(self._known_tag(at)) and whole > 0
            header = later
        self._open = False
        return whole > 0

    def _take(self, header: Header) -> None:
        promised, count_at = self._tag(header)
        tagged = count_at > 0
        if not self._open or tagged:
            lost, self._lost = self._lost, 0
            self._runs.append(Run(self._at, self._at, header, lost=lost))
            self._open = True
        run = self._runs[-1]
        if tagged:
            run.promised, run.count_at, run.tag_size = promised, count_at, header.size
        else:
            run.frames += 1
        self._at += header.size
        run.end = self._at

    def _tag(self, header: Header) -> tuple[int | None, int]:
        """Return the frames that a tag frame promises, and where; 0 if this is none."""
        if header.layer != 3:
            return None, 0
        body = self._bytes(self._at, min(header.size, 64))
        for at in (4 + header.side, 6 + header.side):  # behind a checksum, if there is one
            if body[at : at + 4] in (b"Xing", b"Info") and not any(body[6:at]):
                has_count = body[at + 7] & 1
                count = int.from_bytes(body[at + 8 : at + 12], "big") if has_count else None
                return count, self._at + at + 8
        if body[36:40] == b"VBRI":
            return int.from_bytes(body[50:54], "big"), self._at + 50
        return None, 0

    def _pass_junk(self) -> None:
        tag = self._known_tag(self._at)
        if tag:
            self._at += tag
            return
        block = self._bytes(self._at, 1 << 12)
        zeros = len(block) - len(block.lstrip(b"\0"))
        if zeros:
            self._at += zeros
            return
        found = block.find(b"\xff", 1)
        step = found if found > 0 else len(block)
        self._at += step
        self._lost += step

    def _known_tag(self, at: int) -> int:
        """Return the length of a tag that stands here, 0 if there is none."""
        head = self._bytes(at, 32)
        if head[:3] == b"TAG":
            return 128 if head[3:4] != b"+" else 227
        if head[:8] == b"APETAGEX" and len(head) == 32:
            size = int.from_bytes(head[12:16], "little")
            return 32 + (size if head[23] & 0x20 else 0)
        if head[:3] == b"ID3":
            return id3_length(head)
        if head[:11] == b"LYRICSBEGIN":
            found = self._bytes(at, 1 << 16).find(b"LYRICS200")
            return found + 9 if found > 0 else 0
        return 0

    def _header(self, at: int) -> Header | None:
        head = self._bytes(at, 4)
        if head[:1] != b"\xff" or len(head) < 4:
            return None
        if head not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            self._known[head] = parse(head)
        return self._known[head]

    def _bytes(self, at: int, size: int) -> bytes:
        start = at - self._block_at
        if start < 0 or start + size > len(self._block):
            size = min(size, self._end - at)
            if start < 0 or start + size > len(self._block):
                self._block = self._source.at(at, min(_BLOCK, self._end - at))
                self._block_at, start = at, 0
        return self._block[start : start + size]


def id3_length(head: bytes) -> int:
    """Return the length of an ID3v2 tag that begins with these 10 bytes, 0 if it is none."""
    if head[:3] != b"ID3" or len(head) < 10 or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 10 + size + (10 if head[5] & 0x10 else 0)
