"""Tokenizer: recordings to codes, several at once, each as it would be alone.

Recordings go through the model side by side, in blocks at the places where `StreamEncoder` has
them, with their states as rows of a batch. One that ends is taken out with its state and ended by
itself, together with those that have as much left: so nothing is padded, whatever the family, and
an hour is held no more than a second is.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ncodec.arguments import check_whole
from ncodec.audio import ArrayReader, AudioReader, Resampler, Samples, mix_channels, open_audio
from ncodec.checkpoints.loading import ModelLike, find_model
from ncodec.codec.layout import make_header
from ncodec.codec.options import EncodeOptions
from ncodec.datasets.formats import Coded, Codes
from ncodec.datasets.reading import check_samples
from ncodec.datasets.recordings import Recording
from ncodec.errors import ArgumentError, BadFileError, NcodecError
from ncodec.models.base import Chunk, CompressionModel, EncoderState
from ncodec.models.checks import as_samples
from ncodec.regroup import Regroup

Told = Callable[[float], None]
"""Called with the seconds of audio that were read since the last call."""


def _silent(_: float) -> None:
    """Tell nobody."""


class Tokenizer:
    """Make codes `[K, F]` of recordings, mixed down or up to the model's channels.

    Args:
        model: A model, its name, or the path of its file; the embedded one by default.
        codebooks: How many; as many as 6 kbps hold by default.
        device: Where a model that is loaded runs.
        batch: Recordings that go through the model side by side; 8 on a CPU, else 32. Rounding may
            depend on it where two codes are equally good: 1 is what `compress` does.

    It is also a class for `ray.data.Dataset.map_batches`: called with a table that has columns
    `audio` (`[T]` or `[C, T]`) and `rate`, or `bytes` of files, it returns it with `codes`.

    Raises:
        ArgumentError: A number out of range, or a model that codes segments.
    """

    def __init__(
        self,
        model: ModelLike = None,
        *,
        codebooks: int | None = None,
        device: str = "cpu",
        batch: int | None = None,
    ) -> None:
        self.model: CompressionModel = find_model(model, None, device)
        if self.model.segment is not None:
            raise ArgumentError(
                f"{self.model.name} codes segments with a scale each, which are more than codes; "
                "another model is needed"
            )
        options = EncodeOptions(codebooks=codebooks, entropy="none")
        self.header = make_header(self.model, self.model.sample_rate, self.model.channels, options)
        kind = self.model.device.type
        self.batch = check_whole("batch", batch or (8 if kind == "cpu" else 32), 1)

    def describe(self) -> dict[str, Any]:
        """Return what all codes have in common, as plain data."""
        header = self.header
        return {
            "model": header.model,
            "fingerprint": header.model_hash.hex(),
            "sample_rate": header.sample_rate,
            "model_channels": self.model.channels,
            "hop": header.hop,
            "codebook_sizes": list(header.codebook_sizes),
            "block_frames": header.block_frames,
            "device": self.model.device.type,
            "batch": self.batch,
        }

    def codes(self, audio: ArrayLike | torch.Tensor, rate: int) -> Codes:
        """Return the codes of samples `[C, T]` or `[T]` at `rate` Hz.

        Raises:
            ArgumentError: Of another shape, not finite, or empty.
        """
        found = self.many([lambda: _of_array(audio, rate)])[0]
        if isinstance(found, Exception):
            raise found
        return found.codes

    def recordings(
        self, recordings: Sequence[Recording], told: Told = _silent
    ) -> list[Coded | NcodecError | OSError]:
        """Code recordings; where one cannot be read, there is the error in its place."""
        found: list[Coded | NcodecError | OSError] = []
        for begin in range(0, len(recordings), self.batch):
            part = recordings[begin : begin + self.batch]
            for recording, coded in zip(part, self.many([r.open for r in part], told), strict=True):
                if isinstance(coded, Coded):
                    tags = {**coded.tags, **recording.labels}
                    coded = Coded(  # noqa: PLW2901
                        recording.id, coded.codes, coded.samples, coded.rate, coded.channels,
                        recording.text, tags,
                    )  # fmt: skip
                found.append(coded)
        return found

    def many(
        self, openers: Sequence[Callable[[], AudioReader]], told: Told = _silent
    ) -> list[Coded | NcodecError | OSError]:
        """Code what is opened, all at once; where one cannot be read, give the error."""
        results: list[Coded | NcodecError | OSError | None] = [None] * len(openers)
        with ExitStack() as stack, torch.inference_mode():
            rows: list[_Row] = []
            for number, opener in enumerate(openers):
                try:
                    reader = opener()
                    stack.callback(reader.close)
                    rows.append(_Row(number, reader, self))
                except (NcodecError, OSError) as error:
                    results[number] = error
            self._run(rows, told)
            for row in rows:
                results[row.number] = row.result()
        assert None not in results
        return [result for result in results if result is not None]

    def __call__(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a batch of Ray Data with a column `codes`, an array `[K, F]` a row.

        Raises:
            BadFileError: A file cannot be read.
            ArgumentError: A column is missing, or a sample is not finite.
        """
        if "audio" in table and "rate" in table:
            pairs = zip(table["audio"], table["rate"], strict=True)
            openers = [lambda a=a, r=r: _of_array(a, int(r)) for a, r in pairs]
        elif "bytes" in table:
            openers = [lambda d=d: open_audio(io.BytesIO(d)) for d in table["bytes"]]
        else:
            raise ArgumentError(f"columns {', '.join(table)}: audio and rate, or bytes, are needed")
        codes = np.empty(len(openers), object)
        for begin in range(0, len(openers), self.batch):
            for i, found in enumerate(self.many(openers[begin : begin + self.batch]), begin):
                if isinstance(found, Exception):
                    raise found
                codes[i] = found.codes
        return {**table, "codes": codes}

    def _run(self, rows: Sequence[_Row], told: Told) -> None:
        """Take all rows to their ends."""
        state = self._start(len(rows)) if rows else None
        while state is not None:
            blocks = [row.block(told) for row in rows]
            going = [i for i, x in enumerate(blocks) if x is not None and x.shape[1] == self.block]
            self._end(rows, blocks, state, without=set(going))
            if not going:
                return
            if len(going) < len(rows):
                state = self.model.take_rows(state, going)
                rows = [rows[i] for i in going]
            state = self._step(rows, [blocks[i] for i in going], state)

    def _end(
        self,
        rows: Sequence[_Row],
        blocks: Sequence[Samples | None],
        state: EncoderState,
        *,
        without: set[int],
    ) -> None:
        """End rows: those together that have as much left. Where there is no block is no end."""
        ends: dict[int, list[int]] = defaultdict(list)
        for i, block in enumerate(blocks):
            if block is not None and i not in without:
                ends[block.shape[1]].append(i)
        for length, which in ends.items():
            own, ending = self.model.take_rows(state, which), [rows[i] for i in which]
            if length:
                own = self._step(ending, [blocks[i] for i in which], own)
            _hand_out(self.model.encode_flush(own), ending)

    def _step(
        self, rows: Sequence[_Row], blocks: Sequence[Samples | None], state: EncoderState
    ) -> EncoderState:
        x = torch.from_numpy(np.stack([block for block in blocks if block is not None]))
        chunks, state = self.model.encode_step(x.to(self.model.device), state)
        _hand_out(chunks, rows)
        return state

    def _start(self, rows: int) -> EncoderState:
        return self.model.encoder_state(rows, codebooks=len(self.header.codebook_sizes))

    @property
    def block(self) -> int:
        """Samples of the model that go through it together."""
        return self.header.block_frames * self.model.hop


def _hand_out(chunks: Sequence[Chunk], rows: Sequence[_Row]) -> None:
    for chunk in chunks:
        codes = chunk.codes.to(torch.int32).cpu().numpy().astype(np.uint16)
        for row, own in zip(rows, codes, strict=True):
            row.codes += own.T.tobytes()


class _Row:
    """A recording on its way through the model."""

    def __init__(self, number: int, reader: AudioReader, tokenizer: Tokenizer) -> None:
        self.number, self._reader = number, reader
        self.codes = bytearray()  # `[F, K]`; many small arrays would leave memory in pieces
        self._channels = tokenizer.model.channels
        self._books = len(tokenizer.header.codebook_sizes)
        self._resampler = Resampler(reader.sample_rate, tokenizer.model.sample_rate, self._channels)
        self._blocks = Regroup[Samples](tokenizer.block, axis=1, join=np.concatenate)
        self._ready: list[Samples] = []
        self._ended = False
        self._error: NcodecError | OSError | None = None

    def block(self, told: Told) -> Samples | None:
        """Return the next block `[C, T]`, shorter at the end; None if it cannot be read."""
        try:
            while not self._ready and not self._ended:
                self._read(told)
        except (NcodecError, OSError) as error:
            self._error = error
            return None
        if self._ready:
            return self._ready.pop(0)
        rest = self._blocks.rest()
        return np.zeros((self._channels, 0), np.float32) if rest is None else rest

    def _read(self, told: Told) -> None:
        reader, rate = self._reader, self._reader.sample_rate
        x = reader.read(max(rate // 4, 1))
        if x.shape[1]:
            check_samples(x, self._resampler.taken, rate)
            told(x.shape[1] / rate)
            self._ready += self._blocks.push(self._resampler.push(mix_channels(x, self._channels)))
            return
        self._ended = True
        if not self._resampler.taken:
            raise BadFileError("it holds no sample")
        self._ready += self._blocks.push(self._resampler.finish())

    def result(self) -> Coded | NcodecError | OSError:
        if self._error is not None:
            return self._error
        reader = self._reader
        codes = np.frombuffer(self.codes, np.uint16).reshape(-1, self._books)
        tags: dict[str, Any] = {}
        for key, value in reader.tags:
            tags[key] = f"{tags[key]}; {value}" if key in tags else value
        samples, rate = self._resampler.taken, reader.sample_rate
        codes = np.ascontiguousarray(codes.T)
        return Coded("", codes, samples, rate, reader.channels, tags=tags)


def _of_array(audio: ArrayLike | torch.Tensor, rate: int) -> AudioReader:
    x = as_samples(audio).detach().cpu().numpy()
    x = x[None] if x.ndim == 1 else x
    if x.ndim != 2 or not x.shape[0]:
        raise ArgumentError(f"audio of shape {list(x.shape)}: must be [C, T] or [T]")
    return ArrayReader(x, check_whole("rate", rate, 1))
