"""What can be done to ECDC files by copying packets: fewer layers, other tags.

All of it streams: sources and outputs may be pipes, memory does not grow with the file. A source
with a damaged head or without its end is refused: `repair` comes first. An error leaves the output
unfinished, so callers write to a temporary file and rename it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO

from .bulk import Run
from .copying import Item, raw_links
from .errors import ArgumentError
from .header import Header
from .peeling import peel_packet
from .writer import LinkWriter


def peel(
    src: BinaryIO, dst: BinaryIO, codebooks: int | None = None, *, bandwidth: float | None = None
) -> Header:
    """Keeps the first `codebooks` layers, or as many as fit in `bandwidth` kbps.

    The result equals, but for a flag in the header, what coding with so many codebooks gives.
    Returns the header that was written, the first one in a chained file.

    Raises:
        ArgumentError: not one of both is given, or it does not fit the file.
        BadFileError: the source is damaged.
    """
    if (codebooks is None) == (bandwidth is None):
        raise ArgumentError("codebooks and bandwidth: one of them must be given")
    written: Header | None = None
    for link in raw_links(src):
        kept = link.header.codebooks_within(bandwidth) if bandwidth is not None else codebooks
        assert kept is not None
        writer = LinkWriter(dst, link.header.peel(kept))
        written = written or writer.header
        for item in link.items():
            if isinstance(item, Run):
                writer.add_run(item.peel(kept))
            else:
                data = peel_packet(item.head, item.data, link.layout, writer.layout)
                writer.add(item.head, data)
        writer.finish(replace(link.end, digests=link.end.digests[:kept]))
    assert written is not None
    return written


Tags = Sequence[tuple[str, str]]


def set_tags(
    src: BinaryIO,
    dst: BinaryIO,
    tags: Tags | None = None,
    *,
    add: Tags = (),
    remove: Iterable[str] = (),
) -> None:
    """Replaces all tags by `tags` if given, then takes off all of some keys, then adds some.

    Keys are compared without regard to case, as in Vorbis comments.

    Raises:
        ArgumentError: a key is empty, has '=', or is not printable ASCII.
        BadFileError: the source is damaged.
    """
    gone = {key.lower() for key in remove}
    for link in raw_links(src):
        before = link.header.tags if tags is None else tuple(tags)
        kept = tuple(tag for tag in before if tag[0].lower() not in gone)
        writer = LinkWriter(dst, replace(link.header, tags=kept + tuple(add)))
        for item in link.items():
            copy_item(writer, item)
        writer.finish(link.end)


def copy_item(writer: LinkWriter, item: Item) -> None:
    """Writes what was read, as it is."""
    if isinstance(item, Run):
        writer.add_run(item)
    else:
        writer.add(item.head, item.data)
