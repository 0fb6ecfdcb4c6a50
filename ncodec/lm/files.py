"""Generated sound in files: audio of any format, or `.ecdc` from the codes themselves; prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ncodec.audio import Samples, open_audio, open_writer
from ncodec.containers import load_any, read_content
from ncodec.errors import ArgumentError, BadFileError
from ncodec.lm.audio import Spoken, decode_frames, header_of, interleaved, packet_of
from ncodec.lm.generators import GenModel
from ncodec.models.base import CompressionModel
from ncodec.progress import Progress
from ncodec_formats import EcdcWriter, Tags, sniff, tag_pairs

FILE_BLOCK = 25
"""Frames that are decoded together on their way to a file."""
MAX_PROMPT = 600.0
"""Seconds of a prompt where the model hears without end."""
_READ_SECONDS = 1.0


@dataclass(frozen=True)
class Generated:
    """What was made.

    Attributes:
        frames: Of codes, the prompt's included.
        seconds: Of sound.
        sample_rate: Of it, in Hz.
        channels: Of it.
        clipped: Samples that were louder than whole numbers can hold.
    """

    frames: int
    seconds: float
    sample_rate: int
    channels: int
    clipped: int = 0


def tags_of(model: GenModel, text: str | None) -> tuple[tuple[str, str], ...]:
    """Say how sound was made; the prompt is what was asked for, the seed the newest one's."""
    said = (("model", model.name), ("seed", str(model.seeds[0])), ("licence", model.licence))
    return ((("prompt", text),) if text else ()) + said


class _Counted:
    """Passes frames on, and tells how many seconds of them there are."""

    def __init__(
        self, frames: Iterator[Tensor], rate: float, total: int | None, progress: Progress | None
    ) -> None:
        self.count, self._frames, self._rate, self._progress = 0, frames, rate, progress
        self._total = None if total is None else total / rate

    def __iter__(self) -> Iterator[Tensor]:
        if self._progress is not None:
            self._progress(0.0, self._total)
        for frame in self._frames:
            self.count += 1
            if self._progress is not None:
                self._progress(self.count / self._rate, self._total)
            yield frame


def write_generated(
    model: GenModel,
    frames: Iterator[Tensor],
    target: BinaryIO,
    *,
    container: str,
    tags: Tags = (),
    total: int | None = None,
    block: int = FILE_BLOCK,
    progress: Progress | None = None,
    heard: Callable[[Samples], None] | None = None,
) -> Generated:
    """Write frames of codes `[K]` as they are made, in constant memory.

    Args:
        model: Whose codes they are.
        frames: From `stream_codes`, the prompt before them if it shall be heard.
        target: An open file; a pipe has each packet, or its sound, as soon as it is made.
        container: "ecdc", or a format as `ncodec.audio.open_writer` has it.
        tags: To be written, as far as the format has a place.
        total: Frames in all, if known.
        block: Frames that are decoded together; 1 for who listens meanwhile.
        progress: Called with the seconds made, and their total.
        heard: Called with all samples `[C, T]`; not of "ecdc".
    """
    counted = _Counted(frames, model.frame_rate, total, progress)
    if container == "ecdc":
        write_packets(model.compression_model, model.lm.config, iter(counted), target, tags)
        clipped = 0
    else:
        clipped = _write_audio(model, iter(counted), target, container, tags, total, block, heard)
    return Generated(
        counted.count,
        counted.count / model.frame_rate,
        model.sample_rate,
        model.audio_channels,
        clipped,
    )


def write_packets(
    codec: CompressionModel,
    config: Spoken,
    frames: Iterator[Tensor],
    target: BinaryIO,
    tags: Tags = (),
    *,
    samples: int | None = None,
) -> None:
    """Write frames of codes `[K]` as `.ecdc`, each packet as soon as it is full.

    The sound has as many `samples`, by default those of all frames; what frames there are after
    them is for the end to sound as if it went on.
    """
    header = header_of(codec, config, tags=tags)
    writer, waiting, first = EcdcWriter(target, header), list[Tensor](), 0

    def put() -> None:
        packet = packet_of(waiting, first, first // header.packet_frames, config.channels)
        writer.write(packet.codes, first_frame=packet.first_frame)

    for frame in frames:
        waiting.append(frame)
        if len(waiting) == header.packet_frames:
            put()
            first, waiting = first + len(waiting), []
    if waiting:
        put()
    writer.finish((first + len(waiting)) * header.hop if samples is None else samples)


def _write_audio(  # noqa: PLR0917 - of one caller
    model: GenModel,
    frames: Iterator[Tensor],
    target: BinaryIO,
    container: str,
    tags: Tags,
    total: int | None,
    block: int,
    heard: Callable[[Samples], None] | None,
) -> int:
    config = model.lm.config
    writer = open_writer(
        target,
        container=container,
        sample_rate=config.sample_rate,
        channels=config.channels,
        samples=None if total is None else total * config.hop,
        tags=tag_pairs(tags),
    )
    try:
        for samples in decode_frames(frames, model.compression_model, config, block):
            writer.write(samples)
            if heard is not None:
                heard(samples)
        writer.finish()
    except BaseException:
        writer.abort()
        raise
    return writer.clipped


def read_prompt(file: BinaryIO, model: GenModel, name: str) -> Tensor:
    """Return the codes `[K, F]` of a file to go on from.

    Those of a `.ecdc` file of the same codec are taken as they are; other sound is coded.

    Raises:
        BadFileError: It is no sound.
        ArgumentError: It is longer than the model hears, or of another codec.
    """
    most = min(model.max_duration, MAX_PROMPT)
    head = file.read(16)
    file.seek(0)
    try:
        kind = sniff(head)
    except BadFileError:
        kind = ""
    codes = _coded(file, model, name) if kind else _sound(file, model, name, most)
    seconds = codes.shape[1] / model.frame_rate
    if seconds >= most:
        raise _too_long(name, model, most)
    return codes


def _too_long(name: str, model: GenModel, most: float) -> ArgumentError:
    if math.isinf(model.max_duration):
        return ArgumentError(f"{name}: a prompt must be shorter than {most:g} s")
    return ArgumentError(
        f"{name}: {model.name} hears {most:g} s, which must have room for new sound: cut it shorter"
    )


def _coded(file: BinaryIO, model: GenModel, name: str) -> Tensor:
    config, codec = model.lm.config, model.compression_model
    content = read_content(file, None, load_any)
    header, books = content.header, config.codebooks // config.channels
    if header.model_hash != codec.fingerprint:
        raise ArgumentError(
            f"{name}: holds codes of {header.model}, not of {codec.name}: decompress it first"
        )
    if header.streams != config.channels or len(header.codebook_sizes) < books:
        raise ArgumentError(
            f"{name}: has {header.streams} streams of {len(header.codebook_sizes)} codebooks; "
            f"{model.name} goes on from {config.channels} of {books}"
        )
    parts = [packet.codes[:books] for packet in content.packets]
    if not parts:
        raise ArgumentError(f"{name}: holds no sound")
    if any(len(part) < books for part in parts):
        raise ArgumentError(f"{name}: has packets of fewer than {books} codebooks")
    codes = np.concatenate(parts, axis=2).astype(np.int64)  # [K, S, F]
    return interleaved(torch.from_numpy(codes).transpose(0, 1)).contiguous()


def _sound(file: BinaryIO, model: GenModel, name: str, most: float) -> Tensor:
    with closing(open_audio(file, name=name)) as reader:
        parts, seconds = list[Samples](), 0.0
        while (samples := reader.read(round(_READ_SECONDS * reader.sample_rate))).shape[1]:
            parts.append(samples)
            seconds += samples.shape[1] / reader.sample_rate
            if seconds > most + _READ_SECONDS:
                raise _too_long(name, model, most)
        if not parts:
            raise ArgumentError(f"{name}: holds no sound")
        audio = torch.from_numpy(np.concatenate(parts, axis=1))
        return model.encode_prompt(audio, reader.sample_rate)[0]
