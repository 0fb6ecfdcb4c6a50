"""BatchEngine: the streams of a server, which share the steps of one model."""

from __future__ import annotations

from functools import partial
from typing import Any

from ncodec.arguments import check_type, check_whole
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.codec.layout import check_model, make_header
from ncodec.codec.options import EncodeOptions
from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec.serve.rows import DecoderRows, EncoderRows
from ncodec_formats import Header

MOST_FRAMES = 8
"""Frames of a step: one stream's long block holds the others up no longer than such a step."""
MOST_SIGNALS = 128
"""Signals of a step; more gain nothing over this."""


class BatchEngine:
    """Code and decode many streams at once: a step of the model takes what waits of all of them.

    Its streams are a `StreamEncoder` or `StreamDecoder` each, that begins, pauses and ends by
    itself; what is pushed waits for `step`, and `ready` has what came of it. Packets are those of
    the stream alone, but where two codes are equally near to within rounding. A stream is left by
    letting go of it. One thread at a time may use an engine and its streams.

    >>> import ncodec, numpy as np
    >>> engine = BatchEngine(ncodec.load_model())
    >>> streams = [engine.encoder(sample_rate=24000, channels=1, packet_frames=1) for _ in range(8)]
    >>> for stream in streams:
    ...     packets = stream.push(np.zeros((1, 640), np.float32))
    >>> engine.step(), len(streams[0].ready())
    (16, 2)
    """

    def __init__(
        self,
        model: CompressionModel,
        *,
        most_frames: int = MOST_FRAMES,
        most_signals: int = MOST_SIGNALS,
    ) -> None:
        """Begin without streams.

        Args:
            model: Any whose streams are not segments.
            most_frames: Frames of a step.
            most_signals: Signals of a step; each stream's are together.

        Raises:
            ArgumentError: The model codes segments or searches with a beam, or a number is below 1.
        """
        check_type("model", model, CompressionModel)
        if model.segment is not None:
            raise ArgumentError(f"{model.name} codes segments: its streams share no steps")
        beam = model.encoder_state(1).streams.search.width
        if beam != 1:
            raise ArgumentError(
                f"beam {beam}: streams of different numbers of codebooks share a greedy search, 1"
            )
        sizes = (
            check_whole("most_frames", most_frames, 1),
            check_whole("most_signals", most_signals, 1),
        )
        self.model = model
        self._into, self._out = EncoderRows(model, *sizes), DecoderRows(model, *sizes)

    @property
    def most_codebooks(self) -> int:
        """How many codebooks encoders use at most from now on, whatever their headers promise.

        Packets may have fewer layers than the header says; a server with too much to do sets this.
        """
        return self._into.most_codebooks

    @most_codebooks.setter
    def most_codebooks(self, count: int) -> None:
        count = check_whole("most_codebooks", count, 1)
        self._into.most_codebooks = min(count, self.model.total_codebooks)

    def encoder(
        self, header: Header | None = None, *, name: str = "input", **options: Any
    ) -> StreamEncoder:
        """Begin to code a stream.

        Args:
            header: The plan of its coding.
            name: For errors.
            **options: Instead of a header: `sample_rate`, `channels`, and those of `EncodeOptions`.

        Raises:
            ArgumentError: A value out of range.
            ModelMismatchError: The header is another model's.
        """
        if header is None:
            rate, channels = options.pop("sample_rate", None), options.pop("channels", None)
            asked = EncodeOptions(**options)
            if asked.effort not in (None, "fast"):
                raise ArgumentError(f"effort {asked.effort!r}: streams share a greedy search, fast")
            header = make_header(self.model, rate, channels, asked)
        elif options:
            raise ArgumentError(f"{', '.join(options)}: the header says it")
        check_model(self.model, header)
        row = self._into.begin(header.streams, len(header.codebook_sizes))
        return StreamEncoder.of_header(self.model, header, name=name, passage=row)

    def decoder(
        self,
        header: Header,
        *,
        codebooks: int | None = None,
        sample_rate: int | None = None,
        gapless: bool = False,
    ) -> StreamDecoder:
        """Begin to decode a stream; see `StreamDecoder`.

        Raises:
            ArgumentError: A value out of range.
            ModelMismatchError: The header is another model's.
        """
        check_model(self.model, header)
        return StreamDecoder(
            self.model,
            header,
            codebooks=codebooks,
            sample_rate=sample_rate,
            gapless=gapless,
            passage=partial(self._out.begin, header.streams),
        )

    @property
    def waiting(self) -> int:
        """Frames of signals that wait for a step."""
        return self._into.waiting + self._out.waiting

    def step(self) -> int:
        """Make a step each of what waits to be coded and to be decoded, if anything does.

        Returns:
            How many frames of signals went through, 0 where none wait.
        """
        return self._into.step() + self._out.step()

    def run(self) -> int:
        """Step until nothing waits; return how many frames of signals went through."""
        total = 0
        while done := self.step():
            total += done
        return total
