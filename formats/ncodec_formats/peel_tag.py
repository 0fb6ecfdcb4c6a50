"""What can be done to ECDC files by copying packets: fewer layers, other tags.

All of it streams: sources and outputs may be pipes, memory does not grow with the file. Damage, as
`verify` would find it, is an error; with `keep_going` the output is what it would be of the file
that `repair` makes. An error leaves the output unfinished, so callers write to a temporary file and
rename it.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import BinaryIO

from .errors import ArgumentError
from .header import Header, Tags, tag_pairs
from .packet_runs import Run
from .peeling import peel_packet
from .raw_links import Report, copy_item, raw_links


def peel(
    src: BinaryIO,
    dst: BinaryIO,
    codebooks: int | None = None,
    *,
    bandwidth: float | None = None,
    keep_going: bool = False,
    report: Report | None = None,
) -> Header:
    """Keeps the first `codebooks` layers, or as many as fit in `bandwidth` kbps.

    The result equals, but for a flag in the header, what coding with so many codebooks gives.
    Returns the header that was written, the first one in a chained file; what was found in the
    source is added to `report`.

    Raises:
        ArgumentError: not one of both is given, or it does not fit the file.
        BadFileError: the source is damaged, and `keep_going` is off or it has no usable header.
    """
    if (codebooks is None) == (bandwidth is None):
        raise ArgumentError("codebooks and bandwidth: one of them must be given")
    written: Header | None = None
    for link in raw_links(src, keep_going, report):
        kept = link.header.codebooks_within(bandwidth) if bandwidth is not None else codebooks
        assert kept is not None
        writer = link.writer(dst, link.header.peel(kept))
        written = written or writer.header
        for item in link.items():
            if isinstance(item, Run):
                writer.add_run(item.peel(kept))
            else:
                data = peel_packet(item.head, item.data, link.layout, writer.layout)
                head = item.head and writer.layout.get_head(data, 0)
                copy_item(writer, replace(item, head=head, data=data))
        link.finish(writer)
    assert written is not None
    return written


def set_tags(
    src: BinaryIO,
    dst: BinaryIO,
    tags: Tags | None = None,
    *,
    add: Tags = (),
    remove: Iterable[str] = (),
    keep_going: bool = False,
    report: Report | None = None,
) -> None:
    """Replaces all tags by `tags` if given, then takes off all of some keys, then adds some.

    Keys are compared without regard to case, as in Vorbis comments.

    Raises:
        ArgumentError: a key is empty, has '=', or is not printable ASCII.
        BadFileError: the source is damaged, and `keep_going` is off or it has no usable header.
    """
    gone = {key.lower() for key in remove}
    added = tag_pairs(add)
    given = None if tags is None else tag_pairs(tags)
    for link in raw_links(src, keep_going, report):
        before = link.header.tags if given is None else given
        kept = tuple(tag for tag in before if tag[0].lower() not in gone)
        writer = link.writer(dst, replace(link.header, tags=kept + added))
        for item in link.items():
            copy_item(writer, item)
        link.finish(writer)
