"""Dropping layers from packets by copying bytes, and the digests that survive it."""

import hashlib
from collections.abc import Iterator

from .ending import DIGEST_SIZE
from .packet_runs import Run
from .packets import REDUNDANCY, Head, PacketLayout, get_other, put_other
from .wire import SYNC, count_good_layers


def peel_packet(
    head: Head | None, data: bytes, source: PacketLayout, target: PacketLayout
) -> bytes:
    """Returns a packet as it is in a file with the layers of `target` only.

    `head` is that of a packet of codes, None for a packet of any other type.
    """
    if source.layers == target.layers:
        return data
    if head is None:
        return _peel_copies(data, source, target) if data[2] == REDUNDANCY else data
    if head.plain:
        lengths = head.lengths[: target.layers]
        return data[: head.size + sum(lengths) + len(lengths)]
    return target.put_lower(head, data, target.layers)


def copies(
    payload: bytes, layout: PacketLayout, first_frame: int = 0
) -> Iterator[tuple[Head, bytes]]:
    """Yields head and data of each copy in a redundancy packet; stops at the first that is none.

    Those of packets before `first_frame` are passed over. A copy is a packet of codes without its
    sync word; the data come with it.
    """
    pos = 0
    while pos < len(payload):
        try:
            head = layout.get_head(SYNC + payload[pos : pos + 512], 0)
        except (IndexError, ValueError):
            return
        end = pos - len(SYNC) + head.size + head.body_size
        data = SYNC + payload[pos:end]
        pos = end
        if head.first_frame < first_frame:
            continue
        if count_good_layers(data[head.size :], head.lengths) < len(head.lengths):
            return
        yield head, data


def _peel_copies(data: bytes, source: PacketLayout, target: PacketLayout) -> bytes:
    begin, length = get_other(data, 0)
    kept = [
        target.put_lower(head, copy, target.layers)[len(SYNC) :]
        for head, copy in copies(data[begin : begin + length], source)
    ]
    return put_other(REDUNDANCY, b"".join(kept))


class Digests:
    """Running digests of all layer prefixes of a link: truncated SHA-256 over its packets."""

    def __init__(self, layout: PacketLayout) -> None:
        count = layout.layers
        self._source = layout
        self._targets = [PacketLayout(layout.header.peel(k + 1)) for k in range(count)]
        self._hashes = [hashlib.sha256() for _ in range(count)]

    def add(self, head: Head | None, data: bytes) -> None:
        """Takes in one packet; `head` is that of a packet of codes, None for any other."""
        if head is None:
            for target, hasher in zip(self._targets, self._hashes, strict=True):
                hasher.update(peel_packet(head, data, self._source, target))
            return
        view, begin = memoryview(data), head.size
        found = self._source.put_prefixes(head, data)
        for hasher, (own, end) in zip(self._hashes, found, strict=True):
            hasher.update(own)
            hasher.update(view[begin:end])

    def add_run(self, run: Run) -> None:
        """Takes in many packets of codes."""
        for count, hasher in enumerate(self._hashes, 1):
            hasher.update(run.peel(count).rows.tobytes())

    def values(self) -> tuple[bytes, ...]:
        """Returns the digests so far."""
        return tuple(hasher.digest()[:DIGEST_SIZE] for hasher in self._hashes)
