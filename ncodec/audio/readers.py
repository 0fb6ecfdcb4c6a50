"""Read audio block by block: the one door for files and pipes of every kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from ncodec.audio import ffmpeg, flac, mp3, tags
from ncodec.audio.chain import ChainReader
from ncodec.audio.chunks import chunk, data_span
from ncodec.audio.kinds import NAMES, NO_AUDIO, sniff
from ncodec.audio.ogg import Link, read_links
from ncodec.audio.pcm import RawFormat, Samples
from ncodec.audio.plain import PcmReader
from ncodec.audio.sound_file import SoundFileReader
from ncodec.audio.source import Source, View
from ncodec.audio.tags import Tags
from ncodec.audio.wav import WavHeader, is_wav, read_header
from ncodec.errors import BadFileError
from ncodec.files import ReadableFile, name_of, open_readable


class AudioReader(Protocol):
    """A source of samples.

    Attributes:
        sample_rate: in Hz.
        channels: their number; they stand in WAVE's order.
        samples: the length that the header promises, or None; with ffmpeg an estimate.
        mask: WAVE's mask of the speakers, None where it is the usual one for so many channels.
        tags: Vorbis comments: pairs of a key in lower case and a value.
        notes: what a person should know, such as pictures that are left out.
        floats: whether the samples are stored as floats, which may be infinite or no numbers.
    """

    sample_rate: int
    channels: int
    samples: int | None
    mask: int | None
    tags: Tags
    notes: list[str]
    floats: bool

    def read(self, frames: int) -> Samples:
        """Return the next samples `[C, T]`, T <= frames; T == 0 only at the end."""
        ...

    def skip(self, frames: int) -> int:
        """Pass over the next samples, without decoding them if that can be; return how many."""
        ...

    def close(self) -> None:
        """Close what was opened here; a file object that was given stays open."""
        ...


def open_audio(
    source: ReadableFile,
    *,
    raw: RawFormat | None = None,
    allow_truncated: bool = False,
    with_tags: bool = True,
    name: str | None = None,
) -> AudioReader:
    """Open a path, a binary file object (a pipe is fine) or bytes for reading in blocks.

    What libsndfile does not read goes through `ffmpeg`, if that is on the PATH. Streams that stand
    one behind the other are read as one.

    Args:
        source: a path, an open binary file, seekable or not, or bytes.
        raw: the format of samples without a header.
        allow_truncated: where a file ends before its header says or is damaged, warn and give
            what is there.
        with_tags: look for tags, which takes a moment.
        name: how errors call the source; its path by default.

    Raises:
        ArgumentError: nothing of this kind.
        BadFileError: not audio that is known, damaged, or shorter than it says.
        OSError: the file cannot be read.
    """
    file, name = open_readable(source), name or name_of(source)
    source_file = Source(
        file,
        own=file is not source,
        name=name,
        allow_truncated=allow_truncated,
        with_tags=with_tags,
    )
    try:
        if raw is not None:
            header = WavHeader(raw.encoding, raw.sample_rate, raw.channels, None)
            return PcmReader(source_file, header)
        return _open_any(source_file)
    except BaseException:
        source_file.close()
        raise


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is: rate in Hz, number of channels, length in samples."""

    sample_rate: int
    channels: int
    samples: int

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.samples / self.sample_rate


def measure_audio(source: str | os.PathLike[str] | BinaryIO) -> AudioInfo:
    """Return rate, channels and exact length, by decoding it all where no header can be trusted.

    Raises:
        BadFileError: as `open_audio` and its reader.
        OSError: the file cannot be read.
    """
    with closing(open_audio(source, with_tags=False)) as reader:
        samples = reader.samples
        if samples is None or isinstance(reader, ffmpeg.FfmpegReader):
            samples = 0
            while got := reader.read(1 << 15).shape[1]:
                samples += got
        return AudioInfo(reader.sample_rate, reader.channels, samples)


def read_audio(
    source: str | os.PathLike[str] | BinaryIO, start: int = 0, frames: int | None = None
) -> tuple[Samples, int]:
    """Return samples `[C, T]` from `start` on, at most `frames`, and the rate in Hz.

    Raises:
        BadFileError: as `open_audio` and its reader.
        OSError: the file cannot be read.
    """
    with closing(open_audio(source, with_tags=False)) as reader:
        reader.skip(start)
        return read_frames(reader, frames), reader.sample_rate


def read_frames(reader: AudioReader, frames: int | None = None) -> Samples:
    """Return the next samples `[C, T]`, so many, or all that are left."""
    blocks = [np.zeros((reader.channels, 0), np.float32)]
    left = frames
    while left is None or left > 0:
        block = reader.read(1 << 15 if left is None else min(left, 1 << 15))
        if not block.shape[1]:
            break
        blocks.append(block)
        left = None if left is None else left - block.shape[1]
    return np.concatenate(blocks, axis=1)


def _open_any(source: Source) -> AudioReader:
    if source.seekable:
        return _open_file(source)
    source.keep_copy()
    start = _start(source, 12)
    if is_wav(start):
        header = _wav_header(source, start)
        if header.encoding is not None:
            return PcmReader(source, header, tags.of_wav(source, header))
    spool = source.spooled()
    try:
        return _open_file(spool)
    except BaseException:
        spool.close()
        raise


def _start(source: Source, size: int) -> bytes:
    start = source.take(size)
    if not start:
        raise BadFileError(f"{source.name}: the input is empty")
    return start


def _open_file(source: Source) -> AudioReader:
    base, end = source.file.tell(), source.size()
    head = _start(source, 10)
    sound = base
    # Taggers put ID3 before anything; libsndfile then loses the tag's length at the end.
    while length := mp3.id3_length(head):
        sound += length
        head = source.at(sound, 10)
    if sound >= end:
        raise BadFileError(f"{source.name}: an ID3 tag and no sound behind it")
    start = source.at(sound, 256)
    kind = sniff(start)
    if kind in NO_AUDIO:
        raise BadFileError(f"{source.name}: is {NO_AUDIO[kind]}")
    if kind == "wav":
        return _open_wav(source, sound, end)
    if kind == "flac":
        found, mask = tags.of_flac(source, sound, end)
        return ChainReader(source, _flac_links(source, sound, end, mask), found)
    if kind == "ogg":
        return _open_ogg(source, sound, end)
    if kind == "mp3" or (kind is None and _looks_like_mp3(source, sound, end)):
        return _open_mp3(source, base, sound, end)
    return _open_other(source, kind, sound, end)


def _wav_header(source: Source, start: bytes) -> WavHeader:
    try:
        return read_header(start, source)
    except BadFileError as error:
        raise BadFileError(f"{source.name}: {error}") from None


def _open_wav(source: Source, base: int, end: int) -> AudioReader:
    header = _wav_header(source, source.at(base, 12))
    data_at = base + header.data_at
    there = end - data_at
    found = tags.of_wav(source, header, data_at, end)
    if header.data_bytes is None and there:
        source.warn("its header does not know its length (it was not closed): read to its end")
    if header.encoding is not None:
        if header.data_bytes is not None and there < header.data_bytes:
            frame = header.frame_bytes
            promised = header.data_bytes // frame
            source.report_short(there // frame, promised, header.sample_rate)
        source.file.seek(data_at)
        return PcmReader(source, header, found)
    view = View(source, (base, end))
    if header.data_bytes is None or there < header.data_bytes:
        if header.data_bytes is not None:
            _report_short_bytes(source, there, header.data_bytes)
        size = min(there, 0xFFFFFFFE).to_bytes(4, "little")
        view = View(source, (base, data_at - 4), size, (data_at, end))
    return _open_view(source, view, "wav", found, mask=header.mask)


def _report_short_bytes(source: Source, there: int, promised: int) -> None:
    source.report(f"cut short: {there} of the {promised} bytes of samples that its header promises")


def _flac_links(source: Source, base: int, end: int, mask: int | None) -> Iterator[AudioReader]:
    """Open one FLAC stream after another."""
    while True:
        promised = flac.total_samples(source, base)
        if promised is None:
            # libFLAC would read on into the next stream, and call it damage.
            following = next(flac.find_streams(source, base + 4, end), None)
            last = following or flac.sound_end(source, base, end)
            yield SoundFileReader(source, View(source, (base, last)), "flac", mask=mask)
        else:
            view = View(source, (base, end))
            yield SoundFileReader(source, view, "flac", mask=mask)
            # libFLAC reads ahead by far less than this.
            at = max(base + 4, view.in_source() - (1 << 18))
            following = next(flac.find_streams(source, at, end), None)
            last = following or flac.sound_end(source, base, end)
            if flac.has_frame_behind(source, base, last, promised):
                source.report(f"more sound than the {promised} samples that its header promises")
        if following is None:
            return
        base = following


def _open_ogg(source: Source, base: int, end: int) -> AudioReader:
    links = read_links(source, base, end)
    for i, link in enumerate(links):
        which = f"link {i + 1} of {len(links)}: " if len(links) > 1 else ""
        if not link.codec or link.codec == "speex":
            return _open_foreign(source, f"{which}Ogg without Vorbis, Opus or FLAC")
        if not link.whole:
            source.report(f"{which}cut short: the last page of the stream is missing")
    if not links:
        raise BadFileError(f"{source.name}: not readable as audio (no whole Ogg page)")
    found = tags.of_file(source, base, end, links[0].codec, links[0].view)
    return ChainReader(source, _ogg_links(source, links), found, known=len(links) == 1)


def _ogg_links(source: Source, links: list[Link]) -> Iterator[AudioReader]:
    for link in links:
        kind = "flac" if link.codec == "flac" else "ogg"
        yield SoundFileReader(source, link.view, kind)


def _looks_like_mp3(source: Source, base: int, end: int) -> bool:
    """Say whether a file is MPEG audio that was cut out of a stream at any byte.

    Then frames follow each other from the second on, which no other file has.
    """
    end = min(end, base + (1 << 15))
    runs = mp3.find_runs(source, base, end)
    if len(runs) != 1 or runs[0].header.layer != 3 or runs[0].frames < 8:
        return False
    return max(runs[0].lost, runs[0].trailing, end - runs[0].end) <= 2 * mp3.LONGEST_FRAME


def _open_mp3(source: Source, base: int, sound: int, end: int) -> AudioReader:
    runs = mp3.find_runs(source, sound, end)
    if not runs:
        return _open_other(source, "mp3", sound, end)
    for run, after in zip(runs, [*runs[1:], None], strict=True):
        _check_run(source, run, after)
    if runs[-1].trailing > 4096:
        source.warn(f"{runs[-1].trailing} bytes behind the sound are no MPEG audio: left out")
    found = tags.of_file(source, base, end, "mp3")
    views = ((run.view(source), run) for run in runs)
    readers = (
        SoundFileReader(source, view, "mp3", least=run.frames * run.header.samples)
        for view, run in views
    )
    return ChainReader(source, readers, found, known=len(runs) == 1)


def _check_run(source: Source, run: mp3.Run, after: mp3.Run | None) -> None:
    if after is not None and after.lost:
        source.report(f"damaged: {after.lost} bytes before byte {after.begin} are no MPEG audio")
        return
    if run.promised is None:
        if run.partial:
            source.warn("its last frame is there in part only: left out")
        return
    # Some who write tag frames count the tag's own.
    if run.frames < run.promised - 1 or run.partial:
        samples = run.header.samples
        source.report_short(run.frames * samples, run.promised * samples, run.header.rate)


def _open_other(source: Source, kind: str | None, base: int, end: int) -> AudioReader:
    """Open what libsndfile reads of itself, or what only ffmpeg reads."""
    if kind in NAMES:
        return _open_foreign(source, NAMES[kind])
    view = View(source, (base, end))
    span = data_span(kind or "", source, base)
    if span is not None and (span.length is None or span.begin + span.length > end):
        if span.length is not None:
            _report_short_bytes(source, max(0, end - span.begin), span.length)
        view = span.view(source, base, end)
    found = tags.of_file(source, base, end, kind or "")
    layout = b""
    if kind in ("aiff", "caf"):
        layout = chunk(source, base, kind, b"chan")
    return _open_view(source, view, kind or "", found, layout=layout)


def _open_view(
    source: Source,
    view: View,
    kind: str,
    found: Tags,
    *,
    mask: int | None = None,
    layout: bytes = b"",
) -> AudioReader:
    try:
        reader = SoundFileReader(source, view, kind, mask=mask, layout=layout)
    except BadFileError as error:
        reason = str(error).removeprefix(f"{source.name}: ")
        if not kind:
            reason = "not readable as audio (no kind that is known)"
        if not ffmpeg.available() or _is_text(view):
            raise BadFileError(f"{source.name}: {reason}") from None
        return ffmpeg.open_reader(source, reason)
    if source.with_tags:
        found = tags.merge_tags(found, tags.clean(reader.strings(), source))
    return ChainReader(source, iter([reader]), found)


def _is_text(view: View) -> bool:
    view.seek(0)
    start = view.read(512)
    return not any(byte < 9 for byte in start)


def _open_foreign(source: Source, what: str) -> AudioReader:
    if ffmpeg.available():
        return ffmpeg.open_reader(source, f"is {what}")
    raise BadFileError(f"{source.name}: is {what}, which is read by way of ffmpeg; {ffmpeg.HINT}")
