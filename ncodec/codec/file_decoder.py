"""FileDecoder: the audio of an ECDC file, link after link, block after block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ncodec.audio import Samples, mix_channels
from ncodec.checkpoints.loading import ModelLike, find_model
from ncodec.codec.decoder import StreamDecoder
from ncodec.codec.loudness import at_own_level
from ncodec.codec.options import DecodeOptions
from ncodec.codec.pipeline import BlockThreads
from ncodec.containers import ForeignReader, open_links
from ncodec.errors import ArgumentError, BadFileError, LimitError
from ncodec.files import ReadableFile, open_readable
from ncodec.models.base import CompressionModel
from ncodec.runtime import in_precision
from ncodec_formats import EcdcReader, Header, Loss, Losses, Packet
from ncodec_formats.limits import DEFAULT_MAX_SECONDS

MOST_SAMPLES = (1 << 26, 1 << 14)
"""Samples that any file may give, and that each of its bytes may add; a reader can lift the limit.

At 0.75 kbps a channel, a byte is 0.01 s: 2048 samples at 192 kHz. Packets of meant silence cost
next to nothing, so that a few bytes could claim a disk full."""

FIRST_TOGETHER, MOST_TOGETHER = 8, 64
"""Packets of a file that are read and decoded together: a few first, so that sound comes soon."""


@dataclass(frozen=True)
class Damage:
    """What a link had to do without: the counts, and the first faults in words."""

    losses: Losses
    problems: tuple[str, ...]
    frame_seconds: float

    def __str__(self) -> str:
        """One line: what was lost, and the first fault."""
        gone = self.losses.frames * self.frame_seconds
        lost = f"{gone:.3f} s lost" if gone else ""
        return ", ".join(filter(None, [lost, str(self.losses), *self.problems[:1]]))


class FileDecoder:
    """Iterate over the audio `[C, T]` of a file or pipe, in blocks of about a packet.

    Links that follow each other are joined end to end; the first one's rate and channels hold for
    all. `damage` grows while it runs with `keep_going`.
    """

    def __init__(
        self,
        file: ReadableFile,
        *,
        model: ModelLike = None,
        bandwidth: float | str | None = None,
        codebooks: int | None = None,
        start: float | None = None,
        end: float | None = None,
        sample_rate: int | None = None,
        keep_going: bool = False,
        max_seconds: float | None = DEFAULT_MAX_SECONDS,
        device: str = "cpu",
        precision: str = "float32",
        threads: BlockThreads | None = None,
    ) -> None:
        """Read the first header and load its model; see `DecodeOptions`."""
        options = DecodeOptions(
            model=model,
            bandwidth=bandwidth,
            codebooks=codebooks,
            start=start,
            end=end,
            sample_rate=sample_rate,
            keep_going=keep_going,
            max_seconds=max_seconds,
            device=device,
            precision=precision,
        )
        self._start(file, options, threads)

    @classmethod
    def of_options(
        cls, file: ReadableFile, options: DecodeOptions, threads: BlockThreads | None = None
    ) -> FileDecoder:
        """Return the decoder of a file by options that were made before."""
        decoder = cls.__new__(cls)
        decoder._start(file, options, threads)
        return decoder

    def _start(
        self, file: ReadableFile, options: DecodeOptions, threads: BlockThreads | None
    ) -> None:
        self.damage: list[Damage] = []
        self._file = open_readable(file)
        self._own = self._file is not file
        self._origin = self._file.tell() if self._file.seekable() else None
        self._options, self._block_threads = options, threads
        self._begin = options.start or 0.0
        self._models: dict[bytes, CompressionModel] = {}
        self._foreign_header: Header | None = None
        self._links = self._open_links()
        try:
            first = next(self._links)
            rate = options.sample_rate
            self.sample_rate: int = first.header.source_rate if rate is None else rate
            self._decoder = self._open(first, 0.0)
        except BaseException:
            self.close()
            raise
        self._reader: EcdcReader | ForeignReader | None = first
        self.header: Header = first.header
        """Of the first link."""
        self.channels = self.header.source_channels
        self.packet_seconds = self.header.packet_frames * self.header.hop / self.header.sample_rate

    @property
    def seconds(self) -> float | None:
        """Length of what comes out, if it is known already and there is but one link."""
        reader = self._reader
        if reader is None or reader.total_samples is None:
            return None
        total = (reader.total_samples - reader.header.start) / reader.header.source_rate
        return max(min(total, self._options.end or total) - self._begin, 0.0)

    def seek(self, seconds: float) -> None:
        """Go to a time; iterate anew after this.

        Raises:
            ArgumentError: the file is a pipe.
        """
        if self._origin is None:
            raise ArgumentError("a pipe cannot be searched")
        self._file.seek(self._origin)
        self._begin = seconds
        self._links = self._open_links()
        self._reader = next(self._links)
        self._decoder = self._open(self._reader, 0.0)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._own:
            self._file.close()

    def _open_links(self) -> Iterator[EcdcReader | ForeignReader]:
        asked = self._options
        return open_links(
            self._file,
            asked.keep_going,
            max_seconds=asked.max_seconds,
            model=os.fspath(asked.model) if isinstance(asked.model, os.PathLike) else asked.model,
            device=asked.device,
        )

    def __iter__(self) -> Iterator[Samples]:
        """Decode; can be done once, and again after `seek`."""
        offset, given = 0.0, 0
        while (reader := self._reader) is not None:
            header = reader.header
            for block in self._decode(reader):
                given += block.size
                self._check_size(reader, given)
                yield mix_channels(block, self.channels)
            offset += (self._total(reader) - header.start) / header.source_rate
            if self._options.end is not None and offset >= self._options.end:
                return
            self._reader = next(self._links, None)
            if self._reader is not None:
                self._decoder = self._open(self._reader, offset)
        if self._begin > offset:
            raise ArgumentError(f"start {self._begin:g} s lies beyond the end, at {offset:g} s")

    def _open(self, reader: EcdcReader | ForeignReader, offset: float) -> StreamDecoder:
        """Make the decoder of a link that begins `offset` seconds after the first."""
        asked = self._options
        if isinstance(reader, ForeignReader):
            if self._foreign_header is None:
                self._foreign_header = at_own_level(reader.content, reader.model)
            reader.header = self._foreign_header
            model = reader.model
            if not isinstance(asked.model, CompressionModel):  # the caller's own stays as it is
                model = in_precision(model, asked.precision, asked.device)
            self._models[reader.header.model_hash] = model
        header = reader.header
        if header.model_hash not in self._models:
            self._models[header.model_hash] = find_model(
                asked.model, header.model, asked.device, asked.precision, header.model_hash
            )
        rate = header.source_rate
        # Known beforehand, a cut file's end keeps what lies behind it from being given.
        end = reader.total_samples
        if asked.end is not None:
            stop = header.start + max(round((asked.end - offset) * rate), 0)
            end = stop if end is None else min(stop, end)
        start = header.start + max(round((self._begin - offset) * rate), 0)
        return StreamDecoder(
            self._models[header.model_hash],
            header,
            codebooks=self._layers(reader),
            sample_rate=self.sample_rate,
            start=start,
            end=None if end is None else max(end, start),
            threads=self._block_threads,
        )

    def _layers(self, reader: EcdcReader | ForeignReader) -> int | None:
        if self._options.kbps is None:
            return self._options.codebooks
        return reader.header.codebooks_within(self._options.kbps)

    def _decode(self, reader: EcdcReader | ForeignReader) -> Iterator[Samples]:
        decoder = self._decoder
        if decoder.first_frame > reader.header.first_frame:
            reader.seek(decoder.first_frame)
        stop = None if self._options.end is None else decoder.stop_frame
        for item in self._items(reader, stop):
            if stop is not None and item.first_frame >= stop:
                yield from decoder.ending(reader.total_samples)
                break
            yield from decoder.pieces(item)
        else:
            yield from decoder.ending(self._checked_end(reader))
        if reader.losses:
            seconds = reader.header.hop / reader.header.sample_rate
            self.damage.append(Damage(reader.losses, tuple(reader.problems), seconds))

    def _items(
        self, reader: EcdcReader | ForeignReader, stop: int | None
    ) -> Iterator[Packet | Loss]:
        """Read a link; of a file with predicted layers, ever more packets at a time."""
        if isinstance(reader, EcdcReader):
            reader.most_layers = self._layers(reader)
        if isinstance(reader, ForeignReader) or not reader.header.tables or self._origin is None:
            yield from reader
            return
        size, ahead = reader.header.packet_frames, FIRST_TOGETHER
        while True:
            left = ahead if stop is None else -(-(stop - reader.end_frame) // size)
            reader.together = max(1, min(ahead, left))
            items = list(islice(reader, reader.together))
            yield from items
            if len(items) < reader.together:
                return
            ahead = min(2 * ahead, MOST_TOGETHER)

    def _check_size(self, reader: EcdcReader | ForeignReader, given: int) -> None:
        if self._options.max_seconds is None or isinstance(reader, ForeignReader):
            return
        free, each = MOST_SAMPLES
        if given > free + each * reader.offset:
            raise LimitError(
                f"more than {free + each * reader.offset} samples from {reader.offset} bytes: "
                "beyond the limit, which max_seconds=None lifts"
            )

    def _checked_end(self, reader: EcdcReader | ForeignReader) -> int | None:
        """Return where the source ends, as far as there are codes for it."""
        total, there = reader.total_samples, self._decoder.decoded_samples
        sought_beyond = there == 0 and self._decoder.first_frame > reader.header.first_frame
        if total is None or total <= there or sought_beyond:
            return total
        if not self._options.keep_going:
            raise BadFileError(f"the end is at sample {total}; the codes end at sample {there}")
        return there

    def _total(self, reader: EcdcReader | ForeignReader) -> int:
        """Return where a link's source ends, from its codes if nothing says so."""
        total = reader.total_samples
        return self._decoder.decoded_samples if total is None else total
