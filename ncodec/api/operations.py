"""What can be done to coded files without a model: the operations of the formats, on paths too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import ncodec_formats as formats
from ncodec.arguments import check_kbps, check_number
from ncodec.errors import ArgumentError, BadFileError
from ncodec.files import PathOrFile, ReadableFile, name_of, open_readable, reading, writing
from ncodec_formats import Header, Report, Tags


@dataclass(frozen=True)
class FileInfo:
    """What a coded file says of itself.

    A chained file has several links: totals are those of all, the rest is the first one's.

    Attributes:
        format: "ecdc", "ecdc0" (EnCodec's own) or "dac".
        bytes: Size of the file.
        seconds: Length of the audio.
        kbps: Bitrate of the whole file, all overhead included; None if it holds no sound.
        sample_rate: Of the source, in Hz.
        channels: Of the source.
        frames: Length in samples of each channel.
        model: Name of the model; None where the file does not say it.
        codebooks: How many.
        tags: Pairs of key and value.
        links: How many recordings follow each other.
        details: All there is to know, as `ncodec info --json` prints it.
    """

    format: str
    bytes: int
    seconds: float
    kbps: float | None
    sample_rate: int
    channels: int
    frames: int
    model: str | None
    codebooks: int
    tags: tuple[tuple[str, str], ...]
    links: int
    details: Mapping[str, Any] = field(repr=False)


def info(file: ReadableFile) -> FileInfo:
    """Tell what a file holds, reading as little of it as possible, without a model.

    >>> import ncodec, numpy as np
    >>> _ = ncodec.write("tone.ecdc", np.zeros(12000, np.float32), 24000, tags={"title": "Rest"})
    >>> about = ncodec.info("tone.ecdc")
    >>> about.seconds, about.sample_rate, about.channels, about.tags
    (0.5, 24000, 1, (('title', 'Rest'),))

    Args:
        file: path, seekable binary file, or the bytes themselves.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: it is no such file, or can't be read.
    """
    with reading(file, seekable=True) as source:
        return describe(source)


def describe(file: BinaryIO) -> FileInfo:
    """As `info`, of a file that can be searched."""
    details = formats.info(file)
    links = cast(list[dict[str, Any]], details.get("links", [details]))
    # Version 0 has its model's rate and channels, and nothing of the source's.
    rates: list[int] = [link.get("source_rate") or link["sample_rate"] for link in links]
    lengths = zip(links, rates, strict=True)
    first = links[0]
    return FileInfo(
        format=details["format"],
        bytes=details["bytes"],
        seconds=details["seconds"],
        kbps=details["kbps"],
        sample_rate=rates[0],
        channels=first.get("source_channels") or first["channels"],
        frames=sum(-(-link["samples"] * rates[0] // rate) for link, rate in lengths),
        model=first.get("model"),
        codebooks=first["codebooks"],
        tags=tuple((key, value) for key, value in first.get("tags", [])),
        links=len(links),
        details=details,
    )


def verify(file: ReadableFile) -> Report:
    """Read a whole file and compare all checks, totals and digests, without a model.

    Damage is told, not raised: `report.ok` is the answer, `report.problems` says what is wrong.
    Files of other tools (`.ecdc` 0, `.dac`, arrays) have no checks: they are read to their end, if
    they can seek, and `report.known` says what that tells.

    >>> import ncodec, numpy as np
    >>> _ = ncodec.write("tone.ecdc", np.zeros(12000, np.float32), 24000, force=True)
    >>> ncodec.verify("tone.ecdc").ok
    True

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used; or a file
            of another tool is cut short.
    """
    with reading(file) as source:
        return verify_file(source)


def verify_file(file: BinaryIO) -> Report:
    """As `verify`, of an open file; errors do not name it."""
    if not _is_foreign(file):
        return formats.verify(file)
    from ncodec.containers import check

    return check(file)


def _is_foreign(file: BinaryIO) -> bool:
    """Tell files of other formats, which need more than the reader of packets."""
    if not file.seekable():
        return False
    head = file.read(9)
    file.seek(-len(head), 1)
    try:
        return formats.sniff(head) != "ecdc"
    except BadFileError:
        return False


def peel(
    source: ReadableFile,
    target: PathOrFile,
    codebooks: int | None = None,
    *,
    bandwidth: float | str | None = None,
    keep_going: bool = False,
    force: bool = False,
) -> Header:
    """Lower a file's bitrate by dropping its upper codebooks, by copying bytes.

    Args:
        source: path, binary file or bytes.
        target: path, which is then whole or absent, or a binary file.
        codebooks: how many to keep.
        bandwidth: kbps that what is kept must fit in, instead of `codebooks`.
        keep_going: copy what is whole of a damaged file, as of the one that `repair` makes.
        force: overwrite.

    Returns:
        The header that was written, the first one in a chained file.

    Raises:
        ArgumentError: not one of both is given, or it does not fit the file.
        BadFileError: the source is damaged, and `keep_going` is off.
        OutputExistsError: `target` exists and `force` is not set.
    """
    if bandwidth is not None:
        bandwidth = check_kbps("bandwidth", bandwidth)
    with writing(target, force=force) as out, reading(source) as file:
        return formats.peel(file, out, codebooks, bandwidth=bandwidth, keep_going=keep_going)


def cut(
    source: ReadableFile,
    target: PathOrFile,
    start: float = 0.0,
    end: float | None = None,
    *,
    keep_going: bool = False,
    force: bool = False,
) -> float:
    """Keep what plays from second `start` to second `end`, by copying packets.

    It is exact to the sample; parts that touch can be joined to the original again with `cat`.
    Returns how many seconds are kept: fewer than asked for where the file ends before.

    Raises:
        ArgumentError: the range is empty or lies beyond the end.
        BadFileError: the part is damaged, and `keep_going` is off.
        OutputExistsError: `target` exists and `force` is not set.
    """
    start, end = check_number("start", start), end if end is None else check_number("end", end)
    with writing(target, force=force) as out, reading(source) as file:
        return formats.cut(file, out, start, end, seconds=True, keep_going=keep_going)


def cat(
    sources: Sequence[ReadableFile],
    target: PathOrFile,
    *,
    keep_going: bool = False,
    force: bool = False,
) -> int:
    """Join files: parts cut from one file become one again, others follow each other as links.

    Returns how many links were written.

    Raises:
        ArgumentError: no sources.
        BadFileError: a source is damaged, and `keep_going` is off.
        OutputExistsError: `target` exists and `force` is not set.
    """
    if isinstance(sources, (str, os.PathLike)) or not sources:
        raise ArgumentError(f"sources {sources!r}: must be a list of one file or more")
    with writing(target, force=force) as out, ExitStack() as stack:
        files: list[BinaryIO] = []
        for source in sources:
            files.append(open_readable(source))
            if files[-1] is not source:
                stack.enter_context(files[-1])
        names = [name_of(source) for source in sources]
        return formats.cat(files, out, names, keep_going=keep_going)


def repair(
    source: ReadableFile,
    target: PathOrFile,
    *,
    header_from: ReadableFile | None = None,
    force: bool = False,
) -> Report:
    """Write what is whole of a damaged file as a sound one; return what was not.

    Args:
        source: path, binary file or bytes.
        target: path, which is then whole or absent, or a binary file.
        header_from: a file made in the same way, whose header stands in for one that is damaged
            and has no copy at the end.
        force: overwrite.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used.
        OutputExistsError: `target` exists and `force` is not set.
    """
    sister = None
    if header_from is not None:
        with reading(header_from) as other:
            sister = formats.EcdcReader(other).header
    with writing(target, force=force) as out, reading(source) as file:
        return formats.repair(file, out, sister=sister)


def tags(file: ReadableFile) -> tuple[tuple[str, str], ...]:
    """Return a file's tags, pairs of key and value; `dict(tags(file))` if no key comes twice.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: it is no such file, or can't be read.
    """
    with reading(file) as source:
        return formats.EcdcReader(source).header.tags


def set_tags(
    source: ReadableFile,
    tags: Tags | None = None,
    *,
    add: Tags = (),
    remove: Iterable[str] = (),
    target: PathOrFile | None = None,
    keep_going: bool = False,
    force: bool = False,
) -> None:
    """Change a file's tags: in place, or into `target`.

    >>> import ncodec, numpy as np
    >>> _ = ncodec.write("rest.ecdc", np.zeros(12000, np.float32), 24000, tags={"title": "Rest"})
    >>> ncodec.set_tags("rest.ecdc", add={"artist": "Ada"})
    >>> ncodec.tags("rest.ecdc")
    (('title', 'Rest'), ('artist', 'Ada'))

    Args:
        source: path, binary file or bytes; a path if there is no `target`.
        tags: instead of all tags that are there.
        add: to be added.
        remove: keys of which all tags are taken off first, without regard to case.
        target: path, which is then whole or absent, or a binary file.
        keep_going: copy what is whole of a damaged file, as of the one that `repair` makes.
        force: overwrite `target`.

    Raises:
        ArgumentError: a key is empty, has '=', or is not printable ASCII; or there is no target.
        BadFileError: the source is damaged, and `keep_going` is off.
        OutputExistsError: `target` exists and `force` is not set.
    """
    if target is None:
        if not isinstance(source, (str, os.PathLike)):
            raise ArgumentError("tags of a file without a path: target must say where they go")
        target, force = source, True
    with writing(target, force=force) as out, reading(source) as file:
        formats.set_tags(file, out, tags, add=add, remove=remove, keep_going=keep_going)
