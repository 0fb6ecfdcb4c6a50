"""Vorbis comments in FLAC, Ogg Vorbis and Opus: read, and put into files that are whole.

After the Vorbis I specification (section 5), RFC 9639 (8.6), RFC 7845 (5.2) and RFC 3533.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

MAX_READ = 1 << 26
"""Bytes that may be read in search of comments, pictures among them."""

Pairs = list[tuple[str, str]]
_HEADERS = {"vorbis": 3, "opus": 2}  # packets before the sound; the second has the comments
_PREFIX = {"vorbis": b"\x03vorbis", "opus": b"OpusTags"}
_COMMENT, _PICTURE = 4, 6
_MOST_BLOCKS = 1 << 12
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Readable(Protocol):
    """What is needed of a file to find comments in it."""

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, fewer at the end."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Seek as files do."""
        ...

    def tell(self) -> int:
        """Tell as files do."""
        ...


def parse(data: bytes) -> tuple[bytes, Pairs]:
    """Return the vendor and the pairs of a block of comments.

    Raises:
        ValueError: the block ends before it says.
    """
    vendor, at = _sized(data, 0)
    if at + 4 > len(data):
        raise ValueError("comments cut short")
    pairs: Pairs = []
    (count,) = struct.unpack_from("<I", data, at)
    at += 4
    for _ in range(count):
        comment, at = _sized(data, at)
        key, equals, value = comment.decode(errors="replace").partition("=")
        if equals:
            pairs.append((key, value))
    return vendor, pairs


def build(vendor: bytes, pairs: Pairs) -> bytes:
    """Return a block of comments."""
    texts = [f"{key}={value}".encode(errors="replace") for key, value in pairs]
    parts = (vendor, *texts)
    sized = [struct.pack("<I", len(part)) + part for part in parts]
    return sized[0] + struct.pack("<I", len(texts)) + b"".join(sized[1:])


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    if at + 4 > len(data):
        raise ValueError("comments cut short")
    end = at + 4 + struct.unpack_from("<I", data, at)[0]
    if end > len(data):
        raise ValueError("comments cut short")
    return data[at + 4 : end], end


def of_flac(file: Readable) -> tuple[Pairs, int]:
    """Return the comments of a FLAC file, and how many pictures it has."""
    pairs: Pairs = []
    pictures = 0
    for kind, at, size in _flac_blocks(file):
        pictures += kind == _PICTURE
        if kind == _COMMENT:
            file.seek(at)
            pairs += parse(file.read(size))[1]
    return pairs, pictures


def put_into_flac(file: BinaryIO, pairs: Pairs) -> None:
    """Add comments to a FLAC file."""
    vendor, had = b"ncodec", list[tuple[str, str]]()
    blocks: list[tuple[int, bytes]] = []
    end = 0
    for kind, at, size in _flac_blocks(file):
        file.seek(at)
        body, end = file.read(size), at + size
        if kind == _COMMENT:
            vendor, had = parse(body)
        else:
            blocks.append((kind, body))
    blocks.insert(1, (_COMMENT, build(vendor, had + pairs)))
    last = len(blocks) - 1
    heads = [
        bytes([kind | (0x80 if i == last else 0)]) + len(body).to_bytes(3, "big") + body
        for i, (kind, body) in enumerate(blocks)
    ]
    replace(file, 4, end - 4, b"".join(heads))


def _flac_blocks(file: Readable) -> Iterator[tuple[int, int, int]]:
    """Walk over the blocks of metadata: their kind, where they begin, their length."""
    at = 4
    for _ in range(_MOST_BLOCKS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            raise ValueError("metadata cut short")
        size = int.from_bytes(head[1:], "big")
        yield head[0] & 0x7F, at + 4, size
        if head[0] & 0x80:
            return
        at += 4 + size
    raise ValueError(f"over {_MOST_BLOCKS} blocks of metadata")


def of_ogg(file: Readable, codec: str) -> Pairs:
    """Return the comments of an Ogg file of one stream, "vorbis" or "opus"."""
    prefix = _PREFIX[codec]
    packet = _packets(file, 2)[0][1]
    if not packet.startswith(prefix):
        raise ValueError("no comments in the second packet")
    return parse(packet[len(prefix) :])[1]


def put_into_ogg(file: BinaryIO, codec: str, pairs: Pairs) -> None:
    """Add comments to an Ogg file of one stream, whose pages are numbered anew where needed."""
    prefix = _PREFIX[codec]
    packets, first_end, end, pages = _packets(file, _HEADERS[codec])
    vendor, had = parse(packets[1][len(prefix) :])
    # Vorbis ends the packet with a bit that is set.
    closing = b"\x01" if codec == "vorbis" else b""
    packets[1] = prefix + build(vendor, had + pairs) + closing
    file.seek(0)
    serial = struct.unpack_from("<I", file.read(18), 14)[0]
    written = _paged(packets[1:], serial)
    replace(file, first_end, end - first_end, b"".join(written))
    if len(written) != pages - 1:
        _renumber(file, first_end + sum(map(len, written)), len(written) + 1)


def _packets(file: Readable, count: int) -> tuple[list[bytes], int, int, int]:
    """Read the first packets of a stream.

    Returns the packets, where the first page ends, where the last one read ends, and how many.
    """
    packets, parts = list[bytes](), list[bytes]()
    at = first_end = pages = 0
    while len(packets) < count:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            raise ValueError("headers cut short")
        lacing = file.read(head[26])
        body = file.read(sum(lacing))
        if len(body) < sum(lacing) or at > MAX_READ:
            raise ValueError("headers cut short" if at <= MAX_READ else "over 64 MiB of comments")
        into = 0
        for size in lacing:
            parts.append(body[into : into + size])
            into += size
            if size < 255:
                packets.append(b"".join(parts))
                parts = []
        at += 27 + len(lacing) + len(body)
        pages += 1
        first_end = first_end or at
    return packets, first_end, at, pages


def _paged(packets: list[bytes], serial: int) -> list[bytes]:
    """Return packets as pages, from the second on, of which none holds sound."""
    lacing = [
        size for packet in packets for size in (255,) * (len(packet) // 255) + (len(packet) % 255,)
    ]
    body = b"".join(packets)
    pages: list[bytes] = []
    at, continued = 0, 0
    for i in range(0, len(lacing), 255):
        sizes = lacing[i : i + 255]
        granule = 0 if min(sizes) < 255 else -1  # -1: no packet ends here
        head = struct.pack("<4sBBqIII", b"OggS", 0, continued, granule, serial, 1 + len(pages), 0)
        size = sum(sizes)
        page = head + bytes([len(sizes), *sizes]) + body[at : at + size]
        pages.append(_checked(page))
        at, continued = at + size, int(sizes[-1] == 255)
    return pages


def _renumber(file: BinaryIO, at: int, number: int) -> None:
    file.seek(at)
    while len(head := file.read(27)) == 27:
        lacing = file.read(head[26])
        page = head[:18] + struct.pack("<I", number) + head[22:] + lacing + file.read(sum(lacing))
        file.seek(at)
        file.write(_checked(page))
        at, number = at + len(page), number + 1
        file.seek(at)


def _checked(page: bytes) -> bytes:
    """Return a page with its check: CRC-32 from the highest bit on, begun with zeros.

    zlib's goes from the lowest on, over bytes that are turned round.
    """
    page = page[:22] + bytes(4) + page[26:]
    value = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    turned = value.to_bytes(4, "little").translate(_REVERSED)
    return page[:22] + turned[::-1] + page[26:]


def replace(file: BinaryIO, at: int, length: int, data: bytes) -> None:
    """Put `data` in the place of `length` bytes at `at`; what stands behind them moves."""
    end = file.seek(0, 2)
    begin, grown = at + length, len(data) - length
    piece = 1 << 20
    starts = range(begin, end, piece)
    for start in reversed(starts) if grown > 0 else starts:
        if grown:
            _move(file, start, min(piece, end - start), grown)
    if grown < 0:
        file.truncate(end + grown)
    file.seek(at)
    file.write(data)


def _move(file: BinaryIO, start: int, size: int, by: int) -> None:
    file.seek(start)
    data = file.read(size)
    file.seek(start + by)
    file.write(data)


PUT: dict[str, Callable[[BinaryIO, Pairs], None]] = {
    "flac": put_into_flac,
    "ogg": lambda file, pairs: put_into_ogg(file, "vorbis", pairs),
    "oga": lambda file, pairs: put_into_ogg(file, "vorbis", pairs),
    "opus": lambda file, pairs: put_into_ogg(file, "opus", pairs),
}
"""Who writes comments, by the ending of the file."""
