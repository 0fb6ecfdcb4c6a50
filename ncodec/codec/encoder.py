"""StreamEncoder: push samples of any number, get packets."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ncodec.audio import Resampler, Samples, check_finite
from ncodec.audio.pcm import BYTES, decode_pcm
from ncodec.codec.by_ear import ByEar
from ncodec.codec.layout import check_model, choose_search, make_header, to_streams
from ncodec.codec.options import EFFORTS, EncodeOptions
from ncodec.codec.passage import Passage, encoding
from ncodec.codec.pipeline import BlockThreads
from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec.models.checks import as_samples
from ncodec.models.records import Chunk
from ncodec.regroup import Regroup
from ncodec_formats import Header, Packet, Tags

log = logging.getLogger("ncodec")


class StreamEncoder:
    """Code a stream of samples `[C, T]`, full scale 1.0.

    What comes out does not depend on how the samples are cut into pushes: they go through the
    model in blocks of `header.block_frames` frames. The model is not changed, so it may serve any
    number of encoders, in any threads.

    >>> import ncodec, numpy as np
    >>> model = ncodec.load_model()
    >>> encoder = ncodec.StreamEncoder(
    ...     model, sample_rate=24000, channels=1, bandwidth=6, packet_frames=1
    ... )
    >>> decoder = ncodec.StreamDecoder(model, encoder.header)
    >>> packets = encoder.push(np.zeros((1, 1000), np.float32)) + encoder.finish()
    >>> packets[0]
    Packet(sequence=0, first_frame=0, codes=[8, 1, 1], scale=None)
    >>> heard = [decoder.push(packet) for packet in packets] + [decoder.finish(encoder.samples)]
    >>> sum(samples.shape[1] for samples in heard)
    1000
    """

    _odd_bytes = b""

    def __init__(
        self,
        model: CompressionModel,
        *,
        sample_rate: int,
        channels: int,
        bandwidth: float | str | None = None,
        codebooks: int | None = None,
        packet_frames: int | None = None,
        entropy: str = "auto",
        effort: str | None = None,
        block_frames: int | None = None,
        tags: Tags = (),
        gain_db: float = 0.0,
        channel_mask: int | None = None,
        name: str = "input",
        threads: BlockThreads | None = None,
    ) -> None:
        """Plan the coding (see `EncodeOptions`); `name` is for errors.

        With `threads`, packets come while later blocks are pushed.

        Raises:
            ArgumentError: a value out of range.
        """
        options = EncodeOptions(
            bandwidth=bandwidth,
            codebooks=codebooks,
            packet_frames=packet_frames,
            entropy=entropy,
            effort=effort,
            block_frames=block_frames,
            tags=tags,
            gain_db=gain_db,
            channel_mask=channel_mask,
        )
        header = make_header(model, sample_rate, channels, options)
        self._begin(model, header, name, _own_passage(model, header, threads, effort))

    @classmethod
    def of_header(
        cls,
        model: CompressionModel,
        header: Header,
        *,
        name: str = "input",
        threads: BlockThreads | None = None,
        passage: Passage[list[Chunk]] | None = None,
        effort: str | None = None,
    ) -> StreamEncoder:
        """Return an encoder whose coding has been planned already.

        With `passage`, blocks go through the model there; packets then come later.

        Raises:
            ModelMismatchError: the plan is another model's.
        """
        check_model(model, header)
        encoder = cls.__new__(cls)
        own = passage or _own_passage(model, header, threads, effort)
        encoder._begin(model, header, name, own)
        return encoder

    def _begin(
        self, model: CompressionModel, header: Header, name: str, passage: Passage[list[Chunk]]
    ) -> None:
        self.header: Header = header
        self.samples = 0
        """Samples pushed so far, at the source's rate."""
        self._model, self._name = model, name
        self._codebooks = len(header.codebook_sizes)
        self._resampler = Resampler(header.source_rate, model.sample_rate, header.source_channels)
        block = header.block_frames * model.hop
        self._blocks = Regroup[Samples](block, axis=1, join=np.concatenate)
        self._codes = Regroup[np.ndarray](header.packet_frames, axis=2, join=_join_codes)
        self._sequence = self._frames = 0
        self._device = model.device
        self._passage = passage
        self._ready: list[Packet] = []
        self._ended = False

    @property
    def latency_samples(self) -> int:
        """Model samples from one that is pushed to its packet, at most; without resampling.

        The model's own look-ahead is counted in the decoder's latency.
        """
        return max(self.header.block_frames, self.header.packet_frames) * self._model.hop

    def push(self, samples: ArrayLike | torch.Tensor) -> list[Packet]:
        """Take samples `[C, T]`, T >= 0, or `[T]` of one channel; return the packets then ready.

        Floats of full scale 1, or integers, which are divided by their type's. They are copied.

        Raises:
            ArgumentError: wrong shape or type, a sample that is not finite, or an ended stream.
        """
        self._check_open()
        samples = _taken(samples, self.header.source_channels)
        check_finite(samples, self.samples, self.header.source_rate, self._name)
        self.samples += samples.shape[1]
        return self._run_blocks(self._resampler.push(samples))

    def finish(self) -> list[Packet]:
        """End the stream: return the last packets.

        Raises:
            ArgumentError: it has ended before.
        """
        self._check_open()
        self._ended = True
        if self._odd_bytes:
            log.warning("%s: %d odd bytes at the end", self._name, len(self._odd_bytes))
        packets = self._run_blocks(self._resampler.finish())
        if self._resampler.given == 0:
            return packets
        if (block := self._blocks.rest()) is not None:
            packets += self._run_block(block)
        packets += self._pack(self._passage.end())
        if (codes := self._codes.rest()) is not None:
            packets.append(self._packet(codes, None))
        return packets

    def ready(self) -> list[Packet]:
        """Return the packets that have become ready since the last push, where that can be."""
        packets, self._ready = self._ready, []
        return packets + self._pack(self._passage.ready())

    def push_bytes(
        self, data: bytes | bytearray | memoryview, encoding: str = "s16"
    ) -> list[Packet]:
        """Take interleaved little-endian samples as bytes; return the packets that are ready.

        Pieces need not end with a sample: what is left over waits for the next one.

        Args:
            data: any number of bytes.
            encoding: "s16", "s24", "s32", "u8", "f32" or "f64".

        Raises:
            ArgumentError: not bytes, an unknown encoding, or a sample that is not finite.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(f"data of type {type(data).__name__}: must be bytes")
        if encoding not in BYTES:
            raise ArgumentError(f"encoding {encoding!r}: must be one of {', '.join(BYTES)}")
        channels = self.header.source_channels
        joined = self._odd_bytes + bytes(data)
        whole = len(joined) - len(joined) % (BYTES[encoding] * channels)
        packets = self.push(decode_pcm(joined[:whole], encoding, channels))
        self._odd_bytes = joined[whole:]
        return packets

    def packets(self, blocks: Iterable[Samples]) -> Iterator[Packet]:
        """Push each block, then finish: yield the packets of the whole stream."""
        for samples in blocks:
            yield from self.push(samples)
        yield from self.finish()

    def snapshot(self) -> StreamEncoder:
        """Return an encoder that goes on from here, independent of this one.

        Raises:
            ArgumentError: the source's rate is not the model's; a resampler cannot be copied.
        """
        if self.header.source_rate != self.header.sample_rate:
            raise ArgumentError(
                f"snapshot at {self.header.source_rate} Hz: only possible at the model's "
                f"{self.header.sample_rate} Hz, without resampling"
            )
        self._ready += self._pack(self._passage.rest())  # both will give what is on its way
        twin = copy.copy(self)
        twin._resampler = copy.copy(self._resampler)
        twin._blocks, twin._codes = self._blocks.copy(), self._codes.copy()
        twin._ready, twin._passage = list(self._ready), self._passage.fork()
        return twin

    def _check_open(self) -> None:
        if self._ended:
            raise ArgumentError("the stream has ended: `finish` was called; make a new encoder")

    def _run_blocks(self, samples: Samples) -> list[Packet]:
        packets, self._ready = self._ready, []
        for block in self._blocks.push(samples):
            packets += self._run_block(block)
        return packets

    def _run_block(self, samples: Samples) -> list[Packet]:
        streams = np.ascontiguousarray(to_streams(samples, self._model.channels))
        block = torch.from_numpy(streams).to(self._device)
        return self._pack(self._passage.feed(block))

    def _pack(self, blocks: list[list[Chunk]]) -> list[Packet]:
        """Gather codes into packets; a segment is a packet."""
        packets: list[Packet] = []
        for chunk in chain.from_iterable(blocks):
            codes = chunk.codes[:, : self._codebooks].transpose(0, 1).to(torch.int32)
            array = codes.cpu().numpy().astype(np.uint16)
            if self.header.segment is None:
                packets += [self._packet(codes, None) for codes in self._codes.push(array)]
            else:
                packets.append(self._packet(array, chunk.scale))
        return packets

    def _packet(self, codes: np.ndarray, scale: torch.Tensor | None) -> Packet:
        values = None if scale is None else scale.reshape(-1).float().cpu().numpy()
        if values is None and self.header.segment is not None:  # each segment of a file has one
            values = np.ones(codes.shape[1], np.float32)
        # The last segment but one may have fewer frames than the others, so frames are counted.
        packet = Packet(self._sequence, self._frames, np.ascontiguousarray(codes), values)
        self._sequence += 1
        self._frames += packet.frames
        return packet


def _join_codes(pieces: list[np.ndarray], axis: int) -> np.ndarray:
    """Join codes `[K, S, F]` in time; all get the layers that the poorest has."""
    layers = min(len(piece) for piece in pieces)
    return np.concatenate([piece[:layers] for piece in pieces], axis)


def _own_passage(
    model: CompressionModel, header: Header, threads: BlockThreads | None, effort: str | None
) -> Passage[list[Chunk]]:
    search, codebooks = choose_search(model, header, effort), len(header.codebook_sizes)
    if effort is not None and EFFORTS[effort].passes and search is not None:
        return ByEar(model, header.streams, codebooks, search, EFFORTS[effort].passes)
    return encoding(model, header.streams, codebooks, threads, search)


def _taken(samples: Any, channels: int) -> Samples:
    """Copy samples `[C, T]` of a caller, who may use that memory again, as float32."""
    if not isinstance(samples, torch.Tensor | np.ndarray):
        try:
            samples = np.asarray(samples)
        except (TypeError, ValueError):
            raise ArgumentError("samples: must be an array or a tensor") from None
    if isinstance(samples, np.ndarray) and samples.dtype in (np.float32, np.float64):
        x = np.array(samples, np.float32)
    else:
        x = as_samples(samples).detach().cpu().numpy().copy()
    if x.ndim == 1 and channels == 1:
        x = x[None]
    if x.ndim != 2 or x.shape[0] != channels:
        hint = "; channels come first" if x.shape[1:] == (channels,) else ""
        raise ArgumentError(f"samples of shape {list(x.shape)}: must be [{channels}, T]{hint}")
    return x
