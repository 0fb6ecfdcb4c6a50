"""From frames of codes to sound and to packets, frame by frame, whatever the codec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ncodec.audio import Resampler, Samples, mix_channels
from ncodec.codec.decoder import StreamDecoder
from ncodec.codec.layout import make_header
from ncodec.codec.options import EncodeOptions
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.models.base import CompressionModel
from ncodec.models.lm_config import LMConfig
from ncodec_formats import Header, Packet, Tags


class Spoken(Protocol):
    """How codes lie that a model makes; configurations of language models say it."""

    @property
    def codebooks(self) -> int:
        """Those of all channels together."""
        ...

    @property
    def channels(self) -> int:
        """Each is a stream of the mono codec; in codes they take turns."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    @property
    def hop(self) -> int:
        """Samples a frame."""
        ...


def check_codec(codec: CompressionModel, config: LMConfig, name: str) -> None:
    """Check that a codec's codes are those of a language model.

    Raises:
        CheckpointError: They are not.
    """
    check_codes(codec, config, name)
    if codec.cardinality != config.bins:
        raise CheckpointError(
            f"{name} speaks codebooks of {config.bins}; {codec.name} has them of "
            f"{codec.cardinality}"
        )


def check_codes(codec: CompressionModel, config: Spoken, name: str) -> None:
    """Check that a codec has the frames and codebooks that a model makes.

    Raises:
        CheckpointError: It has not.
    """
    books = config.codebooks // config.channels
    theirs = (codec.sample_rate, codec.hop, codec.channels, codec.segment)
    if theirs != (config.sample_rate, config.hop, 1, None) or codec.total_codebooks < books:
        raise CheckpointError(
            f"{name} speaks {books} codebooks at {config.sample_rate} Hz in frames of "
            f"{config.hop}; {codec.name} is another codec"
        )


def header_of(
    codec: CompressionModel, config: Spoken, *, tags: Tags = (), packet_frames: int | None = None
) -> Header:
    """Plan a stream of generated codes: two channels are two streams of the mono codec."""
    options = EncodeOptions(
        codebooks=config.codebooks // config.channels,
        packet_frames=packet_frames,
        block_frames=packet_frames,
        tags=tags,
    )
    return make_header(codec, config.sample_rate, config.channels, options)


def streams_of(codes: Tensor, channels: int) -> Tensor:
    """Return codes `[K * C, F]`, channels taking turns, as those of streams `[C, K, F]`."""
    return codes.unflatten(0, (-1, channels)).transpose(0, 1)


def interleaved(codes: Tensor) -> Tensor:
    """Undo `streams_of`: `[C, K, F]` to `[K * C, F]`."""
    return codes.transpose(0, 1).flatten(0, 1)


def encode_prompt(
    prompt: Tensor | Samples, sample_rate: int, codec: CompressionModel, config: LMConfig
) -> Tensor:
    """Return the codes `[B, K * C, F]` of sound `[B, C, T]` or `[C, T]` of any rate.

    Raises:
        ArgumentError: It is no sound, or is shorter than a frame.
    """
    audio = torch.as_tensor(prompt)
    audio = audio[None] if audio.dim() == 2 else audio
    if audio.dim() != 3 or not audio.is_floating_point() or not audio.shape[1]:
        raise ArgumentError(
            f"prompt {audio.dtype} {list(audio.shape)}: must be floats [batch, channels, time]"
        )
    if not bool(audio.isfinite().all()):
        raise ArgumentError("prompt: has samples that are not finite")
    rows = [_at_own_rate(row, sample_rate, config) for row in audio.cpu().float().numpy()]
    ready = torch.from_numpy(np.stack(rows)).to(codec.device)
    if ready.shape[2] < config.hop:
        raise ArgumentError(f"prompt of {audio.shape[2]} samples: is shorter than a frame")
    channels = [codec.encode(ready[:, c : c + 1])[0] for c in range(config.channels)]
    books = config.codebooks // config.channels
    stacked = torch.stack([codes[:, :books] for codes in channels], dim=1)
    return torch.stack([interleaved(codes) for codes in stacked])


def _at_own_rate(audio: Samples, sample_rate: int, config: LMConfig) -> Samples:
    """Return samples at a model's rate, mixed down or doubled to its channels."""
    if audio.shape[0] != config.channels:
        audio = np.repeat(mix_channels(audio, 1), config.channels, axis=0)
    resampler = Resampler(sample_rate, config.sample_rate, config.channels)
    parts = [resampler.push(np.ascontiguousarray(audio)), resampler.finish()]
    return np.concatenate(parts, axis=1)


def packet_of(frames: list[Tensor], first: int, number: int, channels: int) -> Packet:
    """Return frames `[K * C]` of one item as a packet."""
    codes = streams_of(torch.stack(frames, dim=1), channels).transpose(0, 1)
    array = np.ascontiguousarray(codes.cpu().numpy().astype(np.uint16))
    return Packet(number, first, array, None)


class Sounding:
    """Decodes frames as they come, by the exact streaming decoder: no seams, no window.

    Args:
        codec: Of the codes.
        config: Of the language model.
        block: Frames that are decoded together. 1 lets each be heard at once; more is faster.
    """

    def __init__(self, codec: CompressionModel, config: Spoken, block: int = 1) -> None:
        if block < 1:
            raise ArgumentError(f"block {block}: must be at least 1 frame")
        self.header = header_of(codec, config, packet_frames=block)
        self._decoder = StreamDecoder(codec, self.header, gapless=False)
        self._channels, self._block = config.channels, block
        self._waiting: list[Tensor] = []
        self._frames = 0

    def push(self, frame: Tensor) -> Samples:
        """Take the codes `[K * C]` of the next frame; return the samples `[C, T]` then ready."""
        self._waiting.append(frame)
        if len(self._waiting) < self._block:
            return np.zeros((self._channels, 0), np.float32)
        return self._decode()

    def finish(self) -> Samples:
        """End: return the samples that were held back; there are hop a frame in all."""
        parts = [self._decode()] if self._waiting else []
        total = self._frames * self.header.hop
        return np.concatenate([*parts, self._decoder.finish(total)], axis=1)

    def _decode(self) -> Samples:
        number = self._frames // self._block
        packet = packet_of(self._waiting, self._frames, number, self._channels)
        self._frames += len(self._waiting)
        self._waiting = []
        return self._decoder.push(packet)


def decode_frames(
    frames: Iterator[Tensor], codec: CompressionModel, config: Spoken, block: int = 1
) -> Iterator[Samples]:
    """Yield the samples `[C, T]` of one item's frames `[K * C]`, none of them empty."""
    sounding = Sounding(codec, config, block)
    for frame in frames:
        if (samples := sounding.push(frame)).shape[1]:
            yield samples
    if (samples := sounding.finish()).shape[1]:
        yield samples
