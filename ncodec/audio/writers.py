"""Write audio block by block: the one door for files and pipes of every kind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar, cast

import numpy as np
import soundfile

from ncodec.audio import ffmpeg, flac
from ncodec.audio.chunks import append_chunk
from ncodec.audio.core_audio import layout_chunk
from ncodec.audio.layout import FLAC_MASKS, mask_of, speakers, to_vorbis
from ncodec.audio.output import Output
from ncodec.audio.pcm import Samples, check_format, count_clipped, encode_pcm, quantize_pcm
from ncodec.audio.resample import Resampler
from ncodec.audio.tags import MASK_KEY, Tags, wav_chunks, writable, write_tags
from ncodec.audio.wav import WavWriter
from ncodec.errors import ArgumentError

T = TypeVar("T")

ENCODINGS = ("s16", "s24", "f32")
_SUBTYPES = {"s16": "PCM_16", "s24": "PCM_24", "f32": "FLOAT"}
_NAMES = {
    **dict.fromkeys(("ogg", "oga", "opus"), "OGG"),
    **dict.fromkeys(("aiff", "aif"), "AIFF"),
    **dict.fromkeys(("au", "snd"), "AU"),
    **{name: name.upper() for name in ("flac", "mp3", "caf", "w64")},
}
"""Endings that libsndfile writes, and what it calls them."""
_BITS = {"s16": 16, "s24": 24}
_RATES = {
    "opus": (8000, 12000, 16000, 24000, 48000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}
"""Rates of the formats that know few; others are resampled."""
_CHANNELS = {"mp3": 2}
_LOSSY = ("ogg", "oga", "opus", "mp3")
_WRITTEN = ("wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf")


class _Sink(Protocol):
    """What writes one format."""

    def write(self, x: Samples) -> None: ...

    def finish(self) -> None: ...

    def abort(self) -> None: ...


class AudioWriter:
    """A sink of samples.

    Attributes:
        sample_rate: of what is written; not always that of what comes in.
        samples: how many were written, at that rate.
        clipped: how many of them the encoding could not hold, over all channels.
        notes: what a person should know, such as tags that have no place in the format.
    """

    def __init__(
        self, sink: _Sink, resampler: Resampler, encoding: str | None, notes: list[str]
    ) -> None:
        """Write by way of `sink` at the resampler's rate."""
        self._sink, self._resampler, self.notes = sink, resampler, notes
        self._bits = _BITS.get(encoding or "")
        self.sample_rate = resampler.out_rate
        self.samples = self.clipped = 0

    def write(self, x: Samples) -> None:
        """Append samples `[C, T]`, channels in WAVE's order."""
        self._put(self._resampler.push(x))

    def finish(self) -> None:
        """Complete the file; the file object stays open."""
        self._put(self._resampler.finish())
        self._sink.finish()

    def abort(self) -> None:
        """Give up: the file will not be whole, and what was begun for it ends."""
        self._sink.abort()

    def _put(self, x: Samples) -> None:
        if not x.shape[1]:
            return
        if self._bits is not None:
            self.clipped += count_clipped(x, self._bits)
        self.samples += x.shape[1]
        self._sink.write(x)


def format_of(path: str) -> str:
    """Return the format that a path's ending names ("wav", "flac", "raw", ...), without one "wav".

    Raises:
        ArgumentError: an ending that cannot be written.
    """
    suffix = Path(path).suffix.lower().lstrip(".") or "wav"
    try:
        _check_container(suffix)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None
    return suffix


def open_writer(
    file: BinaryIO,
    *,
    container: str,
    sample_rate: int,
    channels: int,
    encoding: str | None = None,
    samples: int | None = None,
    mask: int | None = None,
    tags: Tags = (),
    quality: float | None = None,
) -> AudioWriter:
    """Begin to write "wav", "raw", or an ending that libsndfile or ffmpeg knows, to an open file.

    Args:
        file: a binary file; a pipe is fine.
        container: as `format_of` returns it, or "raw" for samples without a header.
        sample_rate: of what comes in, in Hz; a format that does not have it gets the next higher.
        channels: 1 to 8.
        encoding: "s16", "s24" or "f32"; None is s16, or the format's own where it is lossy.
        samples: the length, where it is known, for the header of a WAV on a pipe.
        mask: the speakers of the channels, as in WAVE; None is the usual ones.
        tags: Vorbis comments; those that the format has no place for are left out, with a note.
        quality: of Vorbis, Opus and MP3: 0 is smallest, 10 best; None is the encoder's own.

    Raises:
        ArgumentError: the format cannot hold what it is asked for.
    """
    check_format(sample_rate, channels)
    lossy = _check_asked(container, channels, encoding, quality)
    encoding = encoding or ("f32" if lossy else "s16")
    tags, notes = writable(tags), list[str]()
    rate = _rate(container, sample_rate)
    if rate != sample_rate:
        notes.append(f"resampled to {rate} Hz: {container} has no {sample_rate} Hz")
    out = Output(file, container, rate, channels, encoding, mask, tags, notes, quality)
    if container in ffmpeg.WRITTEN:
        sink: _Sink = ffmpeg.FfmpegSink(out)
    elif container == "raw":
        sink = RawSink(file, encoding)
    elif container == "wav":
        sink = WavWriter(
            file, rate, channels, encoding, samples=samples, mask=mask, texts=wav_chunks(tags)
        )
    else:
        sink = SoundFileSink(out)
    return AudioWriter(sink, Resampler(sample_rate, rate, channels), encoding, notes)


def _check_asked(
    container: str, channels: int, encoding: str | None, quality: float | None
) -> bool:
    """Check that a format can hold what it is asked for; return whether it is lossy."""
    if encoding is not None and encoding not in ENCODINGS:
        raise ArgumentError(f"encoding {encoding!r}: must be one of {', '.join(ENCODINGS)}")
    _check_container(container)
    most = _CHANNELS.get(container, 8)
    if channels > most:
        raise ArgumentError(
            f"{container} cannot hold {channels} channels: {most} at most (mono=True)"
        )
    lossy = container in _LOSSY or (
        container in ffmpeg.WRITTEN and container not in ffmpeg.LOSSLESS
    )
    if encoding is not None and lossy:
        raise ArgumentError(f"encoding {encoding!r}: {container} has its own")
    if quality is not None and not (0 <= quality <= 10 and container in _LOSSY):
        raise ArgumentError(
            f"quality {quality:g} of {container}: must be 0 to 10, of {', '.join(_LOSSY)}"
        )
    return lossy


def _rate(container: str, rate: int) -> int:
    """Return the rate itself, or the nearest above it that the format has, or its highest."""
    known = _RATES.get(container)
    if known is None or rate in known:
        return rate
    return next((other for other in known if other > rate), known[-1])


def _check_container(container: str) -> None:
    if container in ("wav", "raw") or container in _NAMES or container in ffmpeg.WRITTEN:
        return
    known = ", ".join((*_WRITTEN, *(ffmpeg.WRITTEN if ffmpeg.available() else ())))
    raise ArgumentError(f"output format {container!r}: must be one of {known}, or raw")


class RawSink:
    """Interleaved little-endian samples without a header."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        """Write to `file`."""
        self._file, self._encoding = file, encoding

    def write(self, x: Samples) -> None:
        """Append samples."""
        self._file.write(encode_pcm(x, self._encoding))

    def finish(self) -> None:
        """Nothing is left to do."""

    abort = finish


class _Bytes:
    """The bytes under libsndfile: keeps errors that its callbacks would swallow.

    libsndfile writes once more when it is closed, and does so even if the file was given up.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        return self._kept(0, lambda: self.file.write(data))

    def read(self, size: int = -1) -> bytes:
        return self._kept(b"", lambda: self.file.read(size))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._kept(0, lambda: self.file.seek(offset, whence))

    def tell(self) -> int:
        return self._kept(0, self.file.tell)

    def _kept(self, otherwise: T, call: Callable[[], T]) -> T:
        """Call, unless the file is given up; to seek and to tell writes what is buffered, too."""
        if self.error is not None or self.file.closed:
            return otherwise
        try:
            return call()
        except OSError as error:
            self.error = error
            return otherwise

    def flush(self) -> None:
        """Nothing to do: the file's owner flushes."""


class SoundFileSink:
    """A format of libsndfile; on a pipe it is written to a temporary file first."""

    def __init__(self, out: Output) -> None:
        """Open it, if the format holds what is asked for."""
        self._out, self._written = out, False
        seekable = out.file.seekable() and out.file.readable() and out.file.tell() == 0
        spool = None if seekable else tempfile.TemporaryFile(prefix="ncodec-")  # noqa: SIM115
        self._bytes = _Bytes(out.file if spool is None else cast(BinaryIO, spool))
        name = _NAMES[out.container]
        subtype = {"opus": "OPUS"}.get(out.container)
        if out.container not in _LOSSY:
            subtype = _SUBTYPES[out.encoding]
        self._bits = _BITS.get(out.encoding)
        self._vorbis = name == "OGG"
        # libsndfile refuses MP3 at the very end of its scale.
        lowest = 0.99 if name == "MP3" else 1.0
        level = (
            {} if out.quality is None else {"compression_level": min(1 - out.quality / 10, lowest)}
        )
        form: Any = {"subtype": subtype, "format": name, **level}
        try:
            self._file = soundfile.SoundFile(
                cast(Any, self._bytes), "w", out.sample_rate, out.channels, **form
            )
        except (soundfile.LibsndfileError, ValueError) as error:
            self._check()
            reason = getattr(error, "error_string", str(error))
            what = f"{out.sample_rate} Hz, {out.channels} channels, {out.encoding}"
            raise ArgumentError(f"{out.container} cannot hold {what} ({reason})") from None
        self._tags = out.tags + self._layout()

    def write(self, x: Samples) -> None:
        """Append samples."""
        x = to_vorbis(x) if self._vorbis else x
        block: Any = x.T
        if self._bits == 16:
            block = quantize_pcm(x.T, 16).astype(np.int16)
        elif self._bits == 24:
            block = quantize_pcm(x.T, 24) << 8
        self._written |= x.shape[1] > 0
        self._guarded(self._file.write, np.ascontiguousarray(block))

    def finish(self) -> None:
        """Close libsndfile's side, add the tags, and copy what was spooled."""
        self._guarded(self._file.close)
        file, out = self._bytes.file, self._out
        if not self._written:
            self._finish_empty(file)
        if self._tags and not write_tags(file, out.container, self._tags):
            out.notes.append(f"{len(self._tags)} tags left out: {out.container} has no place")
        mask = mask_of(out.mask, out.channels)
        if out.container in ("caf", "aiff", "aif") and (out.channels > 2 or out.mask is not None):
            kind, name = ("caf", b"chan") if out.container == "caf" else ("aiff", b"CHAN")
            append_chunk(file, kind, name, layout_chunk(mask, out.channels))
        file.seek(0, 2)
        if file is not out.file:
            file.seek(0)
            shutil.copyfileobj(file, out.file, 1 << 20)
            file.close()

    def abort(self) -> None:
        """Close libsndfile's side."""
        self._bytes.error = self._bytes.error or OSError("given up")
        self._file.close()
        if self._bytes.file is not self._out.file:
            self._bytes.file.close()

    def _finish_empty(self, file: BinaryIO) -> None:
        """Write what libsndfile writes with the first samples only."""
        out = self._out
        if out.container == "flac":
            file.write(flac.empty_file(out.sample_rate, out.channels, self._bits or 16))
        elif file.tell() == 0:
            raise ArgumentError(f"{out.container} cannot hold an empty sound; wav and flac can")

    def _layout(self) -> Tags:
        """Return the tag that says the speakers in FLAC; other formats have their own."""
        out = self._out
        mask = mask_of(out.mask, out.channels)
        if out.container == "flac" and mask != FLAC_MASKS[out.channels]:
            return ((MASK_KEY, f"{mask:#06x}"),)
        if self._vorbis and out.channels > 2 and mask != FLAC_MASKS[out.channels]:
            usual = speakers(FLAC_MASKS[out.channels])
            out.notes.append(f"{out.container} plays the channels on {usual}, not {speakers(mask)}")
        return ()

    def _guarded(self, call: Any, *args: Any) -> None:
        try:
            call(*args)
        except (soundfile.LibsndfileError, AssertionError):
            self._check()
            raise
        self._check()

    def _check(self) -> None:
        if self._bytes.error is not None:
            raise self._bytes.error
