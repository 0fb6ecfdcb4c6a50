"""StreamDecoder: push packets, get samples; gaps are bridged and the timeline is kept.

A live listener's gap is bridged when it is told, without its far side. Where the model looks ahead,
the last of that bridge has not been played yet when the next packet comes: it is then made again,
now between both sides, so that looking ahead is not only a delay but also a help.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ncodec.arguments import check_whole, whole
from ncodec.audio import Samples, check_format
from ncodec.codec.blocks import BlockDecoder
from ncodec.codec.concealment import CROSSFADE_SECONDS, Concealer
from ncodec.codec.layout import check_model
from ncodec.codec.output_stage import RESAMPLER_REACH, OutputStage
from ncodec.codec.passage import Passage, decoding
from ncodec.codec.pipeline import BlockThreads
from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec_formats import Header, Loss, Packet
from ncodec_formats.bitrate import check_codebooks
from ncodec_formats.timeline import Timeline


class StreamDecoder:
    """Decode packets to samples `[C, T]` of the source's channels.

    Frames go through the model in blocks that end at multiples of `header.block_frames`, wherever
    decoding begins: from a seek point, after `header.preroll_frames`, a model of finite receptive
    field gives bit for bit what it gives from the start. Packets may have fewer layers than the
    header promises; those that are missing, or come as `Loss`, are bridged; late ones are dropped.
    """

    def __init__(
        self,
        model: CompressionModel,
        header: Header,
        *,
        codebooks: int | None = None,
        sample_rate: int | None = None,
        start: int | None = None,
        end: int | None = None,
        gapless: bool = True,
        threads: BlockThreads | None = None,
        passage: Callable[[], Passage[Samples]] | None = None,
    ) -> None:
        """Prepare to decode.

        Args:
            model: the one that the header names.
            header: of the file or stream.
            codebooks: use only the first ones.
            sample_rate: of the output in Hz; the source's by default.
            start: first source sample to give; `header.start` by default.
            end: source sample to stop before.
            gapless: wait where that makes the output better: hold back the last frame, which may
                reach beyond the end of the source, and bridge a gap when its far side is known. A
                live listener does without these delays.
            threads: for blocks; samples then come while more is pushed.
            passage: begins the way of latents through the model; samples then come later.

        Raises:
            ModelMismatchError: `model` is another one.
            ArgumentError: a value out of range.
        """
        check_model(model, header)
        if codebooks is not None:
            codebooks = check_codebooks(whole("codebooks", codebooks), len(header.codebook_sizes))
        out_rate = header.source_rate if sample_rate is None else whole("sample rate", sample_rate)
        check_format(out_rate, header.source_channels)
        start = None if start is None else check_whole("start", start, 0)
        end = None if end is None else check_whole("end", end, start or 0)
        self.header, self.sample_rate = header, out_rate
        self.timeline = Timeline(header, out_rate)
        self._start = header.start if start is None else max(start, header.start)
        self._end = end
        self._model, self._codebooks = model, codebooks
        held = header.hop - 1 if gapless else 0
        self._output = OutputStage(header, self.timeline, begin=self._start, end=end, held=held)
        self._device = model.device
        self._concealer = Concealer(model, header, self._device)
        self._blocks: BlockDecoder | None = None
        self._before: BlockDecoder | None = None
        self._heard_to = self._lost_to = 0
        self._gapless = gapless
        self._passage = passage or partial(decoding, model, header.streams, threads)
        self._ended = False

    @property
    def latency_samples(self) -> int:
        """Output samples that wait inside, at most, when a whole block has been pushed."""
        held = self._model.latency_samples + self._output.held
        return -(-held * self.sample_rate // self.header.sample_rate)

    @property
    def first_frame(self) -> int:
        """The frame from which to feed packets, so that the start is exact (or well run in)."""
        reach = RESAMPLER_REACH if self._output.resamples else 0
        sample = self.timeline.source_to_model(self._start) - reach - self.timeline.alignment
        sample = max(sample, 0)
        frame = max(self.timeline.frame_of(sample) - self.header.preroll_frames, 0)
        return frame // self.header.block_frames * self.header.block_frames

    @property
    def stop_frame(self) -> int | None:
        """The frame up to which packets are needed for an exact end; None without an `end`."""
        if self._end is None:
            return None
        reach = RESAMPLER_REACH if self._output.resamples else 0
        sample = self.timeline.source_to_model(self._end) + reach
        step = 1 if self.header.segment is None else self.header.packet_frames
        frame = self.timeline.frame_of(sample) + step + self.header.postroll_frames
        return -(-frame // self.header.block_frames) * self.header.block_frames

    @property
    def decoded_samples(self) -> int:
        """Where on the source's timeline the packets and losses pushed so far end."""
        frame = max(self._blocks.frame, self._lost_to) if self._blocks else 0
        return self.timeline.model_to_source(self.timeline.reach_of(frame))

    def push(self, item: Packet | Loss) -> Samples:
        """Take the next packet or loss; return the samples that are ready, possibly none.

        Raises:
            ArgumentError: it does not fit the header, or the stream has ended.
        """
        if type(item) not in (Packet, Loss):
            raise ArgumentError(f"item of type {type(item).__name__}: must be a packet or a loss")
        self.header.check_packet(item)
        return self._join(list(self.pieces(item)))

    def pieces(self, item: Packet | Loss) -> Iterator[Samples]:
        """As `push`, but piece by piece: a gap of hours must not be held in memory at once.

        The item is trusted: it comes from a reader.
        """
        self._check_open()
        if self._blocks is None:
            begin = item.first_frame
            self._blocks = BlockDecoder(self.header, begin, self._passage())
            self._heard_to = begin
            self._output.open(self.timeline.sample_of(begin))
        for audio in self._audio(item, self._blocks):
            yield self._output.push(audio)

    def ready(self) -> Samples:
        """Return the samples that have become ready since the last push, where that can be."""
        parts = self._blocks.ready() if self._blocks else ()
        return self._join([self._output.push(audio) for audio in parts])

    def finish(self, source_samples: int | None = None) -> Samples:
        """End the stream; return the rest.

        Args:
            source_samples: where the source ends on its timeline, if that is known (the end packet
                says it): the output then ends exactly there.

        Raises:
            ArgumentError: the stream has ended before.
        """
        return self._join(list(self.ending(source_samples)))

    def ending(self, source_samples: int | None = None) -> Iterator[Samples]:
        """As `finish`, but piece by piece."""
        if source_samples is not None:
            source_samples = check_whole("source_samples", source_samples, 0)
        self._check_open()
        self._ended = True
        if self._blocks is None:
            self._output.open(self.timeline.sample_of(self.first_frame))
        else:
            for audio in self._bridge(self._blocks, self._lost_to, None):
                yield self._output.push(audio)
            for audio in self._blocks.flush():
                yield self._output.push(audio)
        yield self._output.finish(source_samples)

    def blocks(
        self,
        packets: Iterable[Packet | Loss],
        source_samples: int | Callable[[], int | None] | None = None,
    ) -> Iterator[Samples]:
        """Push each packet, then finish: yield the samples of the whole stream, none of them empty.

        Args:
            packets: of the stream, with a `Loss` for each that is known to be lost.
            source_samples: as `finish` takes it, or what says it when the packets have come.
        """
        for item in packets:
            yield from (block for block in self.pieces(item) if block.shape[1])
        end = source_samples() if callable(source_samples) else source_samples
        yield from (block for block in self.ending(end) if block.shape[1])

    def snapshot(self) -> StreamDecoder:
        """Return a decoder that goes on from here, independent of this one.

        Raises:
            ArgumentError: the output's rate is not the model's; a resampler cannot be copied.
        """
        twin = copy.copy(self)
        twin._output = self._output.snapshot()
        twin._concealer = copy.copy(self._concealer)
        twin._blocks = self._blocks and self._blocks.copy()
        twin._before = self._before and self._before.copy()
        return twin

    def _check_open(self) -> None:
        if self._ended:
            raise ArgumentError("the stream has ended: `finish` was called; make a new decoder")

    def _latents_of(self, packet: Packet) -> tuple[Tensor, Tensor | None]:
        codes = packet.codes[: self._codebooks]
        if codes.shape[0] == 0:
            return self._concealer.silence(packet.frames)
        with torch.inference_mode():
            tensor = torch.from_numpy(codes.astype(np.int64)).to(self._device)
            latent = self._model.decode_latent(tensor.transpose(0, 1))
        if packet.scale is None or not self._model.scaled:
            return latent, None
        return latent, torch.from_numpy(packet.scale).to(self._device)

    def _audio(self, item: Packet | Loss, blocks: BlockDecoder) -> Iterator[Samples]:
        """Decode a packet, or what may have been in one, to samples `[S, C, T]` of the model."""
        if isinstance(item, Loss):
            self._lost_to = max(self._lost_to, item.first_frame + item.frames)
            if not self._gapless and self._lost_to > blocks.frame:
                self._before = self._before or blocks.copy()
                yield from self._bridge(blocks, self._lost_to, None)
        elif item.first_frame >= blocks.frame:
            received = self._latents_of(item)
            if self._before and self._unplayed(item.first_frame):
                yield self._revise(self._before, item, received)
            else:
                yield from self._arrive(blocks, item, received)
            self._before = None
            self._concealer.heard(*received)
            self._heard_to = item.first_frame + item.frames

    def _unplayed(self, frame: int) -> bool:
        """Say whether it is worth making again what bridges the gap before a frame.

        Only as much as the model looks ahead can still be changed; where the gap is so long that
        its sides do not meet, little of it can be heard.
        """
        gap = frame - self._heard_to
        return self._model.postroll_frames > 0 and gap <= self._concealer.reach

    def _arrive(
        self, blocks: BlockDecoder, packet: Packet, received: tuple[Tensor, Tensor | None]
    ) -> Iterator[Samples]:
        """Decode what lies before a packet, if anything is missing, and the packet."""
        yield from self._bridge(blocks, packet.first_frame, received)
        yield from blocks.feed(*received)

    def _revise(
        self, before: BlockDecoder, packet: Packet, received: tuple[Tensor, Tensor | None]
    ) -> Samples:
        """Bridge the gap again, from `before` it; fade over to that from what has been played."""
        assert self._blocks is not None
        played = self._blocks.samples - before.samples
        nothing = np.zeros((self.header.streams, self._model.channels, 0), np.float32)
        old, new = (
            np.concatenate(
                [nothing, *self._arrive(blocks, packet, received), *blocks.rest()], axis=2
            )
            for blocks in (self._blocks, before)
        )
        self._blocks, new = before, new[..., played:]
        count = min(round(CROSSFADE_SECONDS * self.header.sample_rate), old.shape[2])
        fade = np.linspace(1, 0, count, dtype=np.float32)
        new[..., :count] += fade * (old - new)[..., :count]
        return new

    def _bridge(
        self, blocks: BlockDecoder, stop: int, behind: tuple[Tensor, Tensor | None] | None
    ) -> Iterator[Samples]:
        """Fill what is missing up to a frame, a packet's length at a time."""
        gap = stop - self._heard_to
        while blocks.frame < stop:
            count = min(stop - blocks.frame, self.header.packet_frames)
            place = (blocks.frame - self._heard_to, count, gap)
            yield from blocks.feed(*self._concealer.bridge(*place, behind))

    def _join(self, parts: list[Samples]) -> Samples:
        if len(parts) == 1:
            return parts[0]
        empty = np.zeros((self.header.source_channels, 0), np.float32)
        return np.concatenate([empty, *parts], axis=1)
