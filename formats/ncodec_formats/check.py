"""Verifying and repairing ECDC files: no model is needed."""

from typing import BinaryIO

from .copying import Report, copy_item, raw_links


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


def repair(src: BinaryIO, dst: BinaryIO) -> Report:
    """Writes what is good of a damaged file as a sound one, and returns what was not.

    Packets keep the layers below the damage; a stretch with nothing left becomes a gap packet, so
    that the timeline stays; end packet, digests and index are made anew.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used.
    """
    report = Report()
    for link in raw_links(src, True, report):
        writer = link.writer(dst, link.header)
        for item in link.items():
            copy_item(writer, item)
        link.finish(writer)
    return report
