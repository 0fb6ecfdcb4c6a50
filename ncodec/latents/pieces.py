"""Pieces of endless sound: any stretch of them as samples or codes, and as files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ncodec.audio import AudioReader, Samples, open_writer
from ncodec.checkpoints.cache import find
from ncodec.checkpoints.loading import find_model, load_any
from ncodec.checkpoints.model_info import read_model_info
from ncodec.codec.whole_files import compress
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.latents.endless import Directions, EndlessModel
from ncodec.lm.audio import check_codes, decode_frames
from ncodec.lm.files import Generated, write_packets
from ncodec.models.base import CompressionModel
from ncodec.progress import Progress
from ncodec.runtime import pick_device
from ncodec_formats import Tags, tag_pairs


@dataclass(frozen=True)
class Speech:
    """How the codes of a model lie in its blocks; see `ncodec.lm.audio.Spoken`.

    Attributes:
        codebooks: Of all channels together.
        channels: They take turns.
        sample_rate: In Hz.
        hop: Samples a frame.
    """

    codebooks: int
    channels: int
    sample_rate: int
    hop: int


class Endless:
    """A model of endless sound, with the codec whose codes it makes if it makes codes.

    >>> from ncodec.latents import Endless
    >>> endless = Endless.get_pretrained("techno")  # doctest: +SKIP
    >>> directions = endless.directions(seed=7, loop=12.0)  # doctest: +SKIP
    >>> for samples in endless.samples(directions, count=44100):  # doctest: +SKIP
    ...     ...

    Attributes:
        model: The model.
        codec: Of its codes, or None.
        licence: Of its weights.
        speech: How its codes lie, or None.
    """

    def __init__(
        self,
        model: EndlessModel,
        codec: CompressionModel | None = None,
        licence: str = "unknown",
    ) -> None:
        self.model, self.codec, self.licence = model, codec, licence
        self.speech: Speech | None = None
        if codec is not None:
            speech = Speech(model.codebooks, model.channels, model.sample_rate, codec.hop)
            check_codes(codec, speech, model.name)
            self.speech = speech

    @classmethod
    def get_pretrained(
        cls, name: str | os.PathLike[str], device: str | torch.device = "cpu"
    ) -> Endless:
        """Load a model by its name or file, with its codec.

        Raises:
            CheckpointError: There is no such model or codec, or it is something else.
        """
        place, there = find(name), pick_device(device)
        info, model = read_model_info(place), load_any(place, there)
        if not isinstance(model, EndlessModel):
            raise CheckpointError(f"{name}: makes no endless sound")
        codec = None
        if model.codec is not None:
            noted = bytes.fromhex(str(info.notes.get("codec_fingerprint", "")))
            codec = find_model(None, model.codec, there, "float32", noted or None)
        return cls(model, codec, info.licence)

    def directions(
        self,
        seed: int,
        *,
        variation: float = 2.0,
        density: float | None = None,
        tempo: float | None = None,
        noise: float = 0.0,
        loop: float | None = None,
    ) -> Directions:
        """Return directions that the model can be told; `loop` is in seconds, about.

        Raises:
            ArgumentError: A value out of range, or the model cannot be told.
        """
        blocks = None if loop is None else max(2, round(loop / self.model.block_seconds))
        directions = Directions(seed, variation, density, tempo, noise, blocks)
        self.model.check_directions(directions)
        return directions

    def length(self, directions: Directions, seconds: float) -> int | None:
        """Return the samples of a piece: of a loop its own, or None where there is no end."""
        if directions.loop is not None:
            return directions.loop * self.model.block_samples
        return None if math.isinf(seconds) else round(seconds * self.model.sample_rate)

    def frames_of(self, samples: int) -> int:
        """Return how many frames of codes samples need, with those that their end depends on.

        Raises:
            ArgumentError: The model makes no codes.
        """
        if self.codec is None or self.speech is None:
            raise ArgumentError(f"{self.model.name}: makes sound, and no codes")
        return -(-samples // self.speech.hop) + self.codec.postroll_frames

    def samples(
        self, directions: Directions, start: int = 0, count: int | None = None
    ) -> Iterator[Samples]:
        """Yield the samples `[C, T]` of a piece from sample `start` on, `count` or endlessly.

        They are those that a stream from the beginning comes to.
        """
        skip = 0
        if self.codec is None or self.speech is None:
            block, skip = divmod(start, self.model.block_samples)
            blocks = self.model.blocks(self.model.begin(directions, block))
            made: Iterator[Samples] = (each.cpu().numpy() for each in blocks)
        else:
            frame = max(0, start // self.speech.hop - self.codec.preroll_frames)
            skip = start - frame * self.speech.hop
            made = decode_frames(self.codes(directions, frame), self.codec, self.speech)
        return _cut(made, skip, count)

    def codes(
        self, directions: Directions, first: int = 0, count: int | None = None
    ) -> Iterator[Tensor]:
        """Yield frames of codes `[K]` from the `first` on, `count` or endlessly.

        Raises:
            ArgumentError: The model makes no codes.
        """
        if self.speech is None:
            raise ArgumentError(f"{self.model.name}: makes sound, and no codes")
        block, skip = divmod(first, self.model.block_samples // self.speech.hop)
        blocks = self.model.blocks(self.model.begin(directions, block))
        end = None if count is None else skip + count
        return (
            frame
            for number, frame in enumerate(_columns(blocks, end))
            if number >= skip
        )  # fmt: skip


def _columns(blocks: Iterable[Tensor], end: int | None) -> Iterator[Tensor]:
    left = math.inf if end is None else end
    for block in blocks:
        for frame in block.T:
            if left <= 0:
                return
            yield frame
            left -= 1


def _cut(made: Iterable[Samples], skip: int, count: int | None) -> Iterator[Samples]:
    left = math.inf if count is None else count
    for samples in made:
        if left <= 0:
            return
        kept = samples[:, skip:]
        skip = max(0, skip - samples.shape[1])
        kept = kept[:, : int(min(left, kept.shape[1]))]
        left -= kept.shape[1]
        if kept.shape[1]:
            yield np.ascontiguousarray(kept)
        if left <= 0:
            return


def write_codes(
    endless: Endless,
    frames: Iterable[Tensor],
    target: BinaryIO,
    *,
    tags: Tags = (),
    total: int | None = None,
    progress: Progress | None = None,
) -> Generated:
    """Write codes of `Endless.codes` as they are made, as `.ecdc`.

    Args:
        endless: Whose codes they are.
        frames: They; `frames_of` says how many a length needs.
        target: An open file.
        tags: To be written.
        total: Samples in all, if known; a player ends there.
        progress: Called with the seconds made, and their total.
    """
    codec, speech = endless.codec, endless.speech
    assert codec is not None
    assert speech is not None
    rate, made = speech.sample_rate, 0

    def counted() -> Iterator[Tensor]:
        nonlocal made
        for frame in frames:
            made += 1
            _tell(progress, made * speech.hop / rate, total, rate)
            yield frame

    write_packets(codec, speech, counted(), target, tags, samples=total)
    samples = made * speech.hop if total is None else total
    return Generated(made, samples / rate, rate, speech.channels)


def write_samples(
    endless: Endless,
    samples: Iterable[Samples],
    target: BinaryIO,
    *,
    container: str,
    tags: Tags = (),
    total: int | None = None,
    progress: Progress | None = None,
    heard: Callable[[Samples], None] | None = None,
) -> Generated:
    """Write sound of `Endless.samples` as it is made, in constant memory.

    Args:
        endless: Whose sound it is.
        samples: It.
        target: An open file; a pipe has each block as soon as it is made.
        container: A format as `ncodec.audio.open_writer` has it, or "ecdc": coded by the embedded
            model.
        tags: To be written, as far as the format has a place.
        total: Samples in all, if known.
        progress: Called with the seconds made, and their total.
        heard: Called with all samples `[C, T]`.
    """
    rate, made = endless.model.sample_rate, 0

    def counted() -> Iterator[Samples]:
        nonlocal made
        for block in samples:
            made += block.shape[1]
            _tell(progress, made / rate, total, rate)
            if heard is not None:
                heard(block)
            yield block

    clipped = 0
    if container == "ecdc":
        compress(_Reader(counted(), endless.model, total), target, tags=tags)
    else:
        channels = endless.model.channels
        writer = open_writer(
            target, container=container, sample_rate=rate, channels=channels, samples=total,
            tags=tag_pairs(tags),
        )  # fmt: skip
        try:
            for block in counted():
                writer.write(block)
            writer.finish()
        except BaseException:
            writer.abort()
            raise
        clipped = writer.clipped
    return Generated(0, made / rate, rate, endless.model.channels, clipped)


def _tell(progress: Progress | None, seconds: float, total: int | None, rate: int) -> None:
    if progress is not None:
        progress(seconds, None if total is None else total / rate)


class _Reader(AudioReader):
    """Sound that is being made, for who reads sound."""

    mask: int | None = None
    tags: tuple[tuple[str, str], ...] = ()
    floats: bool = True

    def __init__(self, made: Iterator[Samples], model: EndlessModel, total: int | None) -> None:
        self.sample_rate: int = model.sample_rate
        self.channels: int = model.channels
        self.samples: int | None = total
        self.notes: list[str] = []
        self._made, self._rest = made, np.zeros((model.channels, 0), np.float32)

    def read(self, frames: int) -> Samples:
        """Return the next samples."""
        if not self._rest.shape[1]:
            self._rest = next(self._made, self._rest)
        block, self._rest = self._rest[:, :frames], self._rest[:, frames:]
        return block

    def skip(self, frames: int) -> int:
        """Pass over the next samples."""
        return self.read(frames).shape[1]

    def close(self) -> None:
        """Do nothing."""
