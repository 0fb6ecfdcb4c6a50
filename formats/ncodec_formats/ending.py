"""What closes a link: totals with digests, an index, and a footer that finds both from the end."""

import struct
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import limits
from .errors import BadFileError, LimitError
from .header import Header, unpack_map
from .packets import END, INDEX, PacketLayout, put_other
from .wire import get_varint, put_varint

DIGEST_SIZE = 8
"""Bytes kept of each SHA-256: it finds damage and tells files apart, it is no signature."""
FOOTER = struct.Struct("!4sI")
MAX_POINTS = 4096
HEADER_KEY = "H"
"""Key of the header's copy in the end packet."""
HEADER_SHARE = 512
"""A copy of the header is written where the packets are at least so many times as long."""
MAX_HEADER_COPY = 1 << 16
"""Bytes of the longest header that is copied."""


@dataclass(frozen=True)
class End:
    """Totals of a link.

    `source_samples` is where the source ends on the timeline, `end_frame` where the codes do.
    `digests[k - 1]` is taken over all packets between header and end packet, as they are when
    only the first k layers are kept.
    """

    source_samples: int
    packets: int
    end_frame: int
    digests: tuple[bytes, ...]
    extra: Mapping[str, object] = field(default_factory=dict[str, object])

    def to_packet(self) -> bytes:
        """Returns the end packet.

        Raises:
            LimitError: a total is beyond the limits of the format.
        """
        import msgpack

        for number in (self.source_samples, self.end_frame):
            if not 0 <= number <= limits.MAX_COUNT:
                raise LimitError(f"a total of {number}; at most {limits.MAX_COUNT}")
        values = {
            "n": self.source_samples,
            "p": self.packets,
            "f": self.end_frame,
            "d": b"".join(self.digests),
            **self.extra,
        }
        return put_other(END, bytes(msgpack.packb(values) or b""))

    @classmethod
    def parse(cls, payload: bytes, codebooks: int) -> "End":
        """Reads an end packet's payload.

        Raises:
            BadFileError: it is not what it should be.
        """
        values: dict[str, Any] = unpack_map(payload, "the end packet")
        numbers = [values.pop(key, None) for key in "npf"]
        digests = values.pop("d", None)
        for number in numbers:
            if type(number) is not int or not 0 <= number <= limits.MAX_COUNT:
                raise BadFileError(f"the end packet has {number!r} where a total should be")
        if not isinstance(digests, bytes) or len(digests) != DIGEST_SIZE * codebooks:
            raise BadFileError(f"the end packet does not have {codebooks} digests")
        split = range(0, len(digests), DIGEST_SIZE)
        parts = tuple(digests[at : at + DIGEST_SIZE] for at in split)
        return cls(*numbers, parts, values)  # type: ignore[arg-type]


def wants_header_copy(header: Header, area: int) -> bool:
    """Tells whether a link with `area` bytes of packets should repeat its header at the end.

    What counts is the header of one layer: a file with fewer layers never has a copy where that
    with more has none.
    """
    size = len(header.peel(1).to_bytes())
    return size <= MAX_HEADER_COPY and HEADER_SHARE * size <= area


def with_header_copy(end: End, header: Header | None) -> End:
    """Returns the end with a copy of a header, or with none."""
    extra = {key: value for key, value in end.extra.items() if header or key != HEADER_KEY}
    if header is not None:
        extra[HEADER_KEY] = header.to_map()
    return replace(end, extra=extra)


class Index:
    """Points `(frame, offset)` of packets of codes, about one a second, never more than 4096.

    Offsets are in bytes from the end of the header.
    """

    def __init__(self, spacing: int) -> None:
        self.points: list[tuple[int, int]] = []
        self.area = 0
        """Bytes of all packets before the end packet."""
        self.header_size = 0
        """Bytes of the header, so that the link before this one can be found."""
        self._spacing = spacing

    @classmethod
    def for_layout(cls, layout: PacketLayout) -> "Index":
        """Returns an empty index with points at least a second apart."""
        header = layout.header
        return cls(-(-header.sample_rate // header.hop))

    @property
    def next_frame(self) -> int:
        """The first frame at which another point may stand."""
        return self.points[-1][0] + self._spacing if self.points else 0

    def add(self, frame: int, offset: int) -> None:
        """Takes note of a packet of codes."""
        points = self.points
        if frame < self.next_frame:
            return
        points.append((frame, offset))
        if len(points) > MAX_POINTS:
            del points[1::2]
            self._spacing *= 2

    def find(self, frame: int) -> tuple[int, int]:
        """Returns the last point at or before a frame, or the first one of all."""
        at = bisect_right(self.points, (frame, limits.MAX_COUNT)) - 1
        return self.points[max(at, 0)] if self.points else (0, 0)

    def to_packet(self) -> bytes:
        """Returns the index packet: lengths of area and header, then runs of equal steps."""
        runs: list[list[int]] = []
        before = (0, 0)
        for frame, offset in self.points:
            step = [frame - before[0], offset - before[1]]
            before = (frame, offset)
            if runs and runs[-1][1:] == step:
                runs[-1][0] += 1
            else:
                runs.append([1, *step])
        numbers = [self.area, self.header_size, *(number for run in runs for number in run)]
        return put_other(INDEX, b"".join(map(put_varint, numbers)))

    @classmethod
    def parse(cls, payload: bytes) -> "Index":
        """Reads an index packet's payload.

        Raises:
            BadFileError: it is not what it should be.
        """
        numbers: list[int] = []
        pos = 0
        try:
            while pos < len(payload):
                number, pos = get_varint(payload, pos, limits.MAX_COUNT)
                numbers.append(number)
        except (IndexError, ValueError) as error:
            raise BadFileError(f"the index is damaged: {error}") from error
        if len(numbers) % 3 != 2 or sum(numbers[2::3]) > MAX_POINTS:
            raise BadFileError("the index is damaged: its length is wrong")
        index = cls(0)
        index.area, index.header_size = numbers[:2]
        frame = offset = 0
        for at in range(2, len(numbers), 3):
            for _ in range(numbers[at]):
                frame += numbers[at + 1]
                offset += numbers[at + 2]
                index.points.append((frame, offset))
        if offset > index.area:
            raise BadFileError("the index is damaged: it points beyond the packets")
        return index
