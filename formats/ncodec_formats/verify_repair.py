"""Verifying and repairing ECDC files: no model is needed."""

from dataclasses import replace
from typing import BinaryIO

from .errors import BadFileError
from .header import DAMAGED, Header
from .raw_links import Report, copy_item, raw_links


def verify(src: BinaryIO) -> Report:
    """Reads a whole file and compares all checks, totals and digests.

    Damage is told, not raised: `report.ok` is the answer.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used.
    """
    report = Report()
    for link in raw_links(src, True, report):
        for _ in link.reader.events(runs=True):
            pass
    return report


def repair(src: BinaryIO, dst: BinaryIO, *, sister: Header | None = None) -> Report:
    """Writes what is good of a damaged file as a sound one, and returns what was not.

    Packets keep the layers below the damage; a stretch with nothing left becomes a gap packet, so
    that the timeline stays; end packet, digests and index are made anew. A damaged header is
    replaced by its copy at the end, if the source can seek and has one.

    Args:
        src: the damaged file.
        dst: what is written to.
        sister: header of a file that was made in the same way, by the same model at the same
            bitrate: to go on with if the first header is damaged and has no copy. Its length, its
            place on the timeline and its tags do not count.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used.
    """
    try:
        return _repair(src, dst, sister)
    except BadFileError as error:
        if sister is None and str(error) == DAMAGED:
            hint = "sister=HEADER takes that of a file made in the same way"
            raise BadFileError(f"{error}, and no copy was found: {hint}") from error
        raise


def _repair(src: BinaryIO, dst: BinaryIO, sister: Header | None) -> Report:
    report, spare = Report(), None
    if sister is not None:
        spare = replace(sister, source_samples=None, start=0, end=None, first_frame=0, tags=())
    for link in raw_links(src, True, report, spare):
        writer = link.writer(dst, link.header)
        for item in link.items():
            copy_item(writer, item)
        reader = link.reader
        frames = reader.end_frame - link.header.first_frame
        if link.header is spare and reader.packets and 2 * reader.losses.frames >= frames:
            raise BadFileError("the packets do not fit the other file's header")
        link.finish(writer)
    return report
