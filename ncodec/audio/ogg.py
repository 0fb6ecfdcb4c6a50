"""Ogg files as libsndfile cannot read them: links one behind the other, and other streams beside.

Pages after RFC 3533; the mapping of FLAC after its author's "Ogg FLAC Mapping".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from ncodec.audio.source import Source, View

_CODECS = (
    (b"\x01vorbis", "vorbis"),
    (b"OpusHead", "opus"),
    (b"\x7fFLAC", "flac"),
    (b"Speex   ", "speex"),
)
_FIRST, _LAST = 2, 4
_BLOCK = 1 << 16


@dataclass
class Link:
    """One stream of audio in a file that may hold several.

    Attributes:
        view: its pages; of FLAC the packets alone, which are a FLAC file.
        codec: "vorbis", "opus", "flac", "speex"; "" if no stream of the link is audio.
        whole: whether its last page says that it is the last.
    """

    view: View
    codec: str = ""
    whole: bool = False
    serial: int = -1
    streams: set[int] = field(default_factory=set[int])
    begun: bool = False

    def add(self, page: _Page) -> None:
        """Take a page, if it is one of the audio's."""
        self.begun |= not page.flags & _FIRST
        if page.flags & _FIRST:
            self.streams.add(page.serial)
            codec = next((name for magic, name in _CODECS if page.body.startswith(magic)), "")
            if codec and not self.codec:
                self.codec, self.serial = codec, page.serial
        if page.serial != self.serial:
            return
        self.whole |= bool(page.flags & _LAST)
        # Before the first packet of FLAC stand its name and the number of headers.
        body = page.body_at + (9 if page.flags & _FIRST else 0)
        self.view.add((body if self.codec == "flac" else page.at, page.end))


@dataclass(frozen=True)
class _Page:
    at: int
    flags: int
    serial: int
    body_at: int
    end: int
    body: bytes  # its beginning


def read_links(source: Source, base: int, end: int) -> list[Link]:
    """Find the links of a file."""
    links: list[Link] = []
    for page in _pages(source, base, end):
        new = page.flags & _FIRST and (not links or links[-1].begun)
        if new or not links:
            links.append(Link(View(source)))
        links[-1].add(page)
    return links


def _pages(source: Source, base: int, end: int) -> Iterator[_Page]:
    at = base
    while at < end:
        head = source.at(at, 27 + 255 + 16)
        if len(head) < 27 or head[:5] != b"OggS\0":
            found = _next_page(source, at + 1, end)
            if found is None:
                return
            at = found
            continue
        flags, _, serial, _, _, segments = struct.unpack("<BqIIIB", head[5:27])
        body_at = at + 27 + segments
        stop = body_at + sum(head[27 : 27 + segments])
        if stop > end:
            return
        yield _Page(at, flags, serial, body_at, stop, head[27 + segments :][:16])
        at = stop


def _next_page(source: Source, at: int, end: int) -> int | None:
    while at < end:
        block = source.at(at, _BLOCK)
        found = block.find(b"OggS\0")
        if found >= 0:
            return at + found
        if len(block) < _BLOCK:
            return None
        at += len(block) - 4
    return None
