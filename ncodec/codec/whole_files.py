"""Whole files over the streams: `compress` and `decompress`, in constant memory, from pipes too."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO, Literal, cast

import numpy as np

from ncodec.audio import (
    AudioReader,
    AudioWriter,
    RawFormat,
    format_of,
    merge_tags,
    mix_channels,
    open_audio,
    open_writer,
)
from ncodec.checkpoints.loading import ModelLike, find_model
from ncodec.codec.encoder import StreamEncoder
from ncodec.codec.file_decoder import Damage, FileDecoder
from ncodec.codec.layout import make_header
from ncodec.codec.lift import Lifted, lift_db
from ncodec.codec.options import DecodeOptions, EncodeOptions
from ncodec.codec.pipeline import BlockThreads
from ncodec.codec.rate import RateControl
from ncodec.errors import BadFileError
from ncodec.files import PathOrFile, ReadableFile, name_of, reading, writing
from ncodec.models.base import CompressionModel
from ncodec.progress import Progress
from ncodec_formats import EcdcReader, EcdcWriter, Header, Packet, Tags, tag_pairs

AudioSource = ReadableFile | AudioReader
"""Audio to be coded: a file of any kind, or samples behind the interface of an `AudioReader`."""

READ_SECONDS = 0.25
"""Samples are read in pieces of this length, or of a quarter of a packet if that is shorter: a
packet on a pipe does not wait until the next one is complete."""


@dataclass(frozen=True)
class Compressed:
    """What `compress` did.

    Attributes:
        model: Name of the model.
        codebooks: How many were used.
        kbps: Bitrate of the codes, in kbps.
        seconds: Length of the audio.
        bytes: Size of the file.
        source_bytes: Size of the same audio as 16-bit PCM.
        sample_rate: Of the audio, in Hz.
        channels: How many were coded.
        notes: What a person should know of the source, such as pictures that were left out.
    """

    model: str
    codebooks: int
    kbps: float
    seconds: float
    bytes: int
    source_bytes: int
    sample_rate: int
    channels: int
    notes: tuple[str, ...] = ()

    @property
    def real_kbps(self) -> float:
        """Bitrate of the file, all overhead included."""
        return self.bytes * 8 / 1000 / self.seconds if self.seconds else 0.0

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than 16-bit PCM."""
        return self.source_bytes / self.bytes


@dataclass(frozen=True)
class Decompressed:
    """What `decompress` did.

    Attributes:
        sample_rate: Of the output, in Hz.
        channels: Of the output.
        samples: Length of the output.
        damage: What was lost, link by link; empty if nothing was.
        clipped: Samples, over all channels, that were louder than whole numbers can hold.
        notes: What a person should know of the output, such as another rate than was asked for.
    """

    sample_rate: int
    channels: int
    samples: int
    damage: tuple[Damage, ...]
    clipped: int = 0
    notes: tuple[str, ...] = ()


class _Counted:
    """A file that counts what is written to it, and does not let a pipe's reader wait."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._live = not file.seekable()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        written = self._file.write(data)
        if self._live:
            self._file.flush()
        return written


def compress(
    source: AudioSource,
    target: PathOrFile,
    *,
    model: ModelLike = None,
    bandwidth: float | str | None = None,
    codebooks: int | None = None,
    file_rate: float | str | None = None,
    packet_frames: int | None = None,
    entropy: str = "auto",
    effort: str | None = None,
    mono: bool = False,
    raw: RawFormat | None = None,
    tags: Tags | Literal[False] = (),
    source_tags: bool = True,
    gain_db: float = 0.0,
    lift: bool = True,
    redundancy: tuple[int, int] | None = None,
    allow_truncated: bool = False,
    verify: bool = False,
    force: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    progress: Progress | None = None,
    name: str | None = None,
) -> Compressed:
    """Code audio to an ECDC file.

    >>> import ncodec
    >>> done = ncodec.compress("talk.wav", "out.ecdc", bandwidth=6)
    >>> done.codebooks, done.kbps, round(done.real_kbps, 1)
    (8, 6.0, 5.1)

    Args:
        source: path, binary file or bytes of audio, a pipe too (see `ncodec.audio.open_audio`); or
            a reader that gives samples.
        target: path, which is then whole or absent, or a binary file.
        model: a model, its name, or a checkpoint's path; the embedded one by default.
        bandwidth: of the whole file in kbps, 6 or "6k"; the most codebooks that fit are used.
        codebooks: their number, instead of `bandwidth`.
        file_rate: kbps that the file shall average, all of its bytes counted; each packet has as
            many codebooks as serve that best, of those that `bandwidth` or `codebooks` allow.
        packet_frames: frames a packet; about a second by default.
        entropy: "auto" predicts codes where the model has tables for it and packets are of 8 frames
            or more, which makes files smaller and changes nothing else; "none" packs all.
        effort: how well to search for codes, "fast" (the default), "good", "better", "best" or
            "extreme": slower ones sound better at the same bitrate, and any decoder reads their
            codes. "extreme" listens to what the decoder makes of them; not all models have it.
        mono: mix the channels down to one.
        raw: the format of samples without a header.
        tags: a mapping, or pairs of key and value; they replace the source's of the same key.
            False: none at all, the source's neither.
        source_tags: carry the source's tags over.
        gain_db: to be applied when decoding.
        lift: code a quiet source louder, where that serves the model, and let the file's gain give
            it its level back; such a source is read twice, and a pipe is never lifted.
        redundancy: `(k, n)`: with each packet go the first k layers of the n packets before it.
        allow_truncated: where the source ends early, warn and code what is there.
        verify: read the file again when it is whole, and check it.
        force: overwrite.
        device: where the model runs.
        precision: what a model that is loaded computes in, "float32" or "bf16"; one that is given
            stays as it is.
        progress: called now and then with the seconds of audio done, and their total.
        name: how errors call the source.

    Raises:
        NcodecError: see its subclasses.
        OSError: a file cannot be read or written.
    """
    asked = EncodeOptions(
        bandwidth=bandwidth, codebooks=codebooks, file_rate=file_rate,
        packet_frames=packet_frames, entropy=entropy, effort=effort, gain_db=gain_db,
    )  # fmt: skip
    louder = 0
    if lift:
        louder = lift_db(source, raw=raw, allow_truncated=allow_truncated, name=name)
    with (
        closing(_open_audio(source, raw, allow_truncated, name)) as reader,
        BlockThreads() as threads,
    ):
        options = _of_source(asked, reader, mono, tags, source_tags)
        coder, channels = find_model(model, None, device, precision), 1 if mono else reader.channels
        heard = reader
        if louder and coder.lifts_quiet:
            options = replace(options, gain_db=options.gain_db - louder)
            heard = cast(AudioReader, Lifted(reader, louder))
        encoder = StreamEncoder.of_header(
            coder,
            make_header(coder, reader.sample_rate, channels, options),
            name=name or name_of(source),
            threads=None if reader.samples is None else threads,
            effort=asked.effort,
        )
        with writing(target, force=force) as file:
            counted = _Counted(file)
            writer = EcdcWriter(cast(Any, counted), encoder.header, redundancy=redundancy)
            control = _control(options, coder, encoder.header, reader)
            alike = _encode(heard, encoder, _Packets(writer, control), progress)
            if verify:
                _verify(file, encoder.samples)
    done = _summary(reader, encoder, counted.bytes, alike)
    return done if asked.file_kbps is None else _with_rate(done, asked.file_kbps)


def _of_source(
    options: EncodeOptions,
    reader: AudioReader,
    mono: bool,
    tags: Tags | Literal[False],
    source_tags: bool,
) -> EncodeOptions:
    """Add what the source says of itself: its tags, and its speakers if all of them stay."""
    carried = reader.tags if source_tags and tags is not False else ()
    mask = None if mono and reader.channels > 1 else reader.mask
    return replace(options, tags=merge_tags(tag_pairs(tags or ()), carried), channel_mask=mask)


def _summary(reader: AudioReader, encoder: StreamEncoder, size: int, alike: bool) -> Compressed:
    header, notes = encoder.header, list(reader.notes)
    channels = header.source_channels
    if channels > 2:
        notes.append(f"{channels} channels, {header.bandwidth / channels:g} kbps each")
    if alike and encoder.samples:
        notes.append("both channels are the same: mixed to one they would take half the room")
    return Compressed(
        model=header.model,
        codebooks=len(header.codebook_sizes),
        kbps=header.bandwidth,
        seconds=encoder.samples / header.source_rate,
        bytes=size,
        source_bytes=encoder.samples * reader.channels * 2,
        sample_rate=header.source_rate,
        channels=channels,
        notes=tuple(notes),
    )


def _with_rate(done: Compressed, asked: float) -> Compressed:
    """Say where a bitrate that was asked for could not be had."""
    if done.real_kbps > 1.03 * asked:
        note = f"{asked:g} kbps is less than this takes: {done.real_kbps:.2f} kbps"
    elif done.real_kbps < 0.97 * asked:
        note = f"{asked:g} kbps is more than its codebooks take: {done.real_kbps:.2f} kbps"
    else:
        return done
    return replace(done, notes=(*done.notes, note))


def _open_audio(
    source: AudioSource, raw: RawFormat | None, allow_truncated: bool, name: str | None
) -> AudioReader:
    if hasattr(source, "sample_rate"):
        return cast(AudioReader, source)
    file = cast(ReadableFile, source)
    return open_audio(file, raw=raw, allow_truncated=allow_truncated, name=name)


def _control(
    options: EncodeOptions, model: CompressionModel, header: Header, reader: AudioReader
) -> RateControl | None:
    if options.file_kbps is None:
        return None
    seconds = header.packet_frames * header.hop / header.sample_rate
    known = reader.samples
    packets = None if known is None else math.ceil(known / reader.sample_rate / seconds)
    return RateControl(model, header, options.file_kbps, packets)


class _Packets:
    """Packets on their way to the file, each with the layers that the bitrate has room for."""

    def __init__(self, writer: EcdcWriter, control: RateControl | None) -> None:
        self._writer, self._control = writer, control

    def write(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            choose = None
            if self._control is not None:
                choose = partial(self._control.choose, packet, spent=self._writer.size())
            self._writer.write(
                packet.codes, packet.scale, first_frame=packet.first_frame, choose=choose
            )

    def finish(self, samples: int) -> None:
        self._writer.finish(samples)


def _encode(
    reader: AudioReader, encoder: StreamEncoder, writer: _Packets, progress: Progress | None
) -> bool:
    """Code all; return whether two channels were the same from beginning to end."""
    rate, channels = reader.sample_rate, encoder.header.source_channels
    total = None if reader.samples is None else reader.samples / rate
    header = encoder.header
    packet_seconds = header.packet_frames * header.hop / header.sample_rate
    block = max(1, round(min(READ_SECONDS, packet_seconds / 4) * rate))
    alike = channels == 2
    if progress is not None:
        progress(0.0, total)
    while (samples := reader.read(block)).shape[1]:
        alike = alike and np.array_equal(samples[0], samples[-1])
        writer.write(encoder.push(mix_channels(samples, channels)))
        if progress is not None:
            progress(encoder.samples / rate, total)
    writer.write(encoder.finish())
    writer.finish(encoder.samples)
    return alike


def _verify(file: BinaryIO, samples: int) -> None:
    if not file.seekable() or not file.readable():
        raise BadFileError("verify: the output cannot be read again; give it a file name")
    file.flush()
    file.seek(0)
    reader = EcdcReader(file, max_seconds=None)
    for _ in reader:
        pass
    if reader.end is None or reader.end.source_samples != samples:
        raise BadFileError("verify: what was written is not what reads back")
    file.seek(0, os.SEEK_END)


def decompress(
    source: ReadableFile,
    target: PathOrFile,
    *,
    model: ModelLike = None,
    bandwidth: float | str | None = None,
    codebooks: int | None = None,
    start: float | None = None,
    end: float | None = None,
    sample_rate: int | None = None,
    mono: bool = False,
    container: str | None = None,
    encoding: str | None = None,
    tags: bool = True,
    quality: float | None = None,
    keep_going: bool = False,
    max_seconds: float | None = 100 * 3600.0,
    force: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    progress: Progress | None = None,
    name: str | None = None,
) -> Decompressed:
    """Decode an ECDC file to audio of the source's rate, channels and exact length.

    >>> import ncodec
    >>> done = ncodec.decompress("talk.ecdc", "part.wav", start=1, end=2)
    >>> done.sample_rate, done.channels, done.samples
    (24000, 1, 24000)

    Args:
        source: path, binary file (a pipe too) or bytes; links that follow each other are joined.
        target: path, which is then whole or absent, or a binary file.
        model: instead of the one that the file names.
        bandwidth: use only the codebooks that fit, in kbps.
        codebooks: use only the first ones.
        start: seconds to skip.
        end: seconds at which to stop.
        sample_rate: of the output, in Hz, instead of the source's.
        mono: mix the channels down to one.
        container: of the output: "wav", "flac", "raw"...; by default what the path's ending says,
            WAV for a file object.
        encoding: of the samples, "s16", "s24" or "f32".
        tags: write the file's tags to the output.
        quality: of Vorbis, Opus and MP3: 0 is smallest, 10 best; None is the encoder's own.
        keep_going: bridge what is damaged, and tell it in the result, instead of raising.
        max_seconds: longest timeline accepted; None lifts this limit and that on samples a byte.
        force: overwrite.
        device: where the model runs.
        precision: what a model that is loaded computes in, "float32" or "bf16"; one that is given
            stays as it is.
        progress: called now and then with the seconds of audio done, and their total.
        name: how errors call the source.

    Raises:
        NcodecError: see its subclasses.
        OSError: a file cannot be read or written.
    """
    if container is None:
        path_given = isinstance(target, (str, os.PathLike))
        container = format_of(os.fspath(target)) if path_given else "wav"
    options = DecodeOptions(
        model=model, bandwidth=bandwidth, codebooks=codebooks, start=start, end=end,
        sample_rate=sample_rate, keep_going=keep_going, max_seconds=max_seconds,
        device=device, precision=precision,
    )  # fmt: skip
    with reading(source, name=name) as file, BlockThreads() as threads:
        decoder = FileDecoder.of_options(file, options, threads if file.seekable() else None)
        header, channels = decoder.header, 1 if mono else decoder.channels
        with writing(target, force=force) as out:
            writer = open_writer(
                out,
                container=container,
                sample_rate=decoder.sample_rate,
                channels=channels,
                encoding=encoding,
                mask=header.channel_mask if channels == header.source_channels else None,
                tags=header.tags if tags else (),
                quality=quality,
            )
            _decode(decoder, writer, out, channels, progress)
    return Decompressed(
        writer.sample_rate, channels, writer.samples, tuple(decoder.damage),
        writer.clipped, tuple(writer.notes),
    )  # fmt: skip


def _decode(
    decoder: FileDecoder,
    writer: AudioWriter,
    out: BinaryIO,
    channels: int,
    progress: Progress | None,
) -> None:
    samples, live = 0, not out.seekable()
    try:
        if progress is not None:
            progress(0.0, decoder.seconds)
        for block in decoder:
            writer.write(mix_channels(block, channels))
            if live:
                out.flush()
            samples += block.shape[1]
            if progress is not None:
                progress(samples / decoder.sample_rate, decoder.seconds)
        writer.finish()
    except BaseException:
        writer.abort()
        raise
