"""DAC, the codec of descript-audio-codec (Kumar et al. 2023, arXiv:2306.06546).

Convolutions with Snake activations and symmetric padding around a factorized quantizer. It is not
causal; it streams all the same, as a transducer that looks ahead: zeros stand before the first and
after the last sample, and every layer releases what its windows allow. Pieces of any sizes give
the whole signal's result, without seams.

Where a stride is odd (16 and 24 kHz) the package's decoder returns 8 samples less than the frames
stand for. Here the transposed convolution is trimmed by one sample less at its end, so the audio
has its full length; only what the very end sees differs from the package's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.config import DacConfig
from ncodec.errors import ArgumentError
from ncodec.models.composed import ComposedCodec, Outgoing
from ncodec.models.receptive_field import receptive_field_of
from ncodec.nn import Conv1d, ConvTranspose1d, Snake, Tanh
from ncodec.quantize import FactorizedVQ
from ncodec.streaming import Residual, Sequential, Streamable, TiledSequential
from ncodec_formats.bitrate import kbps_steps

DILATIONS = (1, 3, 9)
"""Of the three residual units in each block."""
KERNEL = 7
TILE = 2048
"""Samples that go at once through the two blocks of the highest rates, to stay in the cache."""


class DacModel(ComposedCodec):
    """DAC at 16, 24 or 44.1 kHz, mono; streams of several channels are coded side by side."""

    config_type: ClassVar[Any] = DacConfig

    def __init__(self, config: DacConfig, name: str = "dac") -> None:
        """Build with random weights."""
        super().__init__()
        self.config, self.name = config, name
        self.encoder = _encoder(config)
        self.quantizer = FactorizedVQ(
            config.latent_dim, config.codebooks, config.bins, config.codebook_dim
        )
        self.decoder = _decoder(config)
        self._describe(config)

    def _describe(self, config: DacConfig) -> None:
        self.sample_rate, self.channels, self.hop = config.sample_rate, 1, math.prod(config.ratios)
        self.latent_dim = config.latent_dim
        self.total_codebooks = config.codebooks
        self.codebook_sizes = (config.bins,) * config.codebooks
        self.bandwidths = kbps_steps(self.codebook_sizes, 1, self.frame_rate)
        field = receptive_field_of(self.encoder, self.decoder, self.hop)
        self.latency_samples = field.encoder_lookahead + field.decoder_held
        self.receptive_field = field.samples
        self.preroll_frames, self.postroll_frames = field.preroll_frames, field.postroll_frames

    def _nets(self) -> list[nn.Module]:
        modules = (*self.encoder.modules(), *self.decoder.modules())
        return [m for m in modules if isinstance(m, Conv1d | ConvTranspose1d)]

    def windowed(self, frames: int) -> WindowedDac:
        """Return this model for the codes of separate windows of `frames` frames.

        Raises:
            ArgumentError: Such windows are too short to give any audio.
        """
        return WindowedDac(self, frames)


class WindowedDac(DacModel):
    """DAC with all padding off, for `.dac` files of more than one window.

    descript-audio-codec codes longer files in windows that overlap by what the padding would have
    hidden; each window's frames decode to their own stretch of audio, and these follow each other.
    """

    def __init__(self, model: DacModel, frames: int) -> None:
        """Share the weights of `model`."""
        nn.Module.__init__(self)
        self.config, self.name = model.config, model.name
        self.encoder, self.quantizer, self.decoder = model.encoder, model.quantizer, model.decoder
        self._precision = model.precision
        self._hashed, self._known_as = model._hashed, model._known_as  # of the same weights
        self._describe(model.config)
        samples = window_samples(model.config, frames)
        if samples < 1:
            raise ArgumentError(f"windows of {frames} frames: too short to decode without padding")
        self.segment, self._frames = (samples, samples), frames
        self.latency_samples = self.preroll_frames = self.postroll_frames = 0

    @property
    def segment_frames(self) -> int:
        """Frames of a window: more than its samples take, since padding is off."""
        return self._frames

    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: Outgoing
    ) -> tuple[Tensor, Outgoing]:
        return _unpadded(self.decoder, latent.to(self.dtype)).float(), state

    def _decode_later(
        self, latent: Tensor, scale: Tensor | None, state: Outgoing
    ) -> tuple[Callable[[], Tensor], Outgoing]:
        return lambda: self._decode_step(latent, scale, state)[0], state


def window_samples(config: DacConfig, frames: int) -> int:
    """Return how many samples a window of so many frames decodes to, without padding."""
    lost = (KERNEL - 1) * sum(DILATIONS)
    length = frames - (KERNEL - 1)
    for stride in reversed(config.ratios):
        length = (length + 1) * stride - lost
    return length - (KERNEL - 1)


def _encoder(config: DacConfig) -> TiledSequential:
    channels = config.encoder_dim
    layers: list[Streamable] = [_conv(1, channels, KERNEL)]
    for stride in config.ratios:
        half = math.ceil(stride / 2)
        down = Conv1d(channels, 2 * channels, 2 * stride, stride=stride, padding=(half, half))
        layers.append(Sequential(*_units(channels), Snake(channels), down))
        channels *= 2
    layers += [Snake(channels), _conv(channels, config.latent_dim, 3)]
    return TiledSequential(*layers, tiles=((slice(3), TILE), (slice(3, None), 0)))


def _decoder(config: DacConfig) -> TiledSequential:
    channels = config.decoder_dim
    layers: list[Streamable] = [_conv(config.latent_dim, channels, KERNEL)]
    for stride in reversed(config.ratios):
        up = ConvTranspose1d(
            channels,
            channels // 2,
            2 * stride,
            stride=stride,
            trim=(math.ceil(stride / 2), stride // 2),
        )
        layers.append(Sequential(Snake(channels), up, *_units(channels // 2)))
        channels //= 2
    layers += [Snake(channels), _conv(channels, 1, KERNEL), Tanh()]
    split = max(1, len(config.ratios) - 1)
    tile = max(1, TILE // math.prod(config.ratios[:2]))
    return TiledSequential(*layers, tiles=((slice(split), 0), (slice(split, None), tile)))


def _units(channels: int) -> list[Residual]:
    return [
        Residual(
            Sequential(
                Snake(channels),
                _conv(channels, channels, KERNEL, dilation),
                Snake(channels),
                _conv(channels, channels, 1),
            )
        )
        for dilation in DILATIONS
    ]


def _conv(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> Conv1d:
    pad = (kernel - 1) * dilation // 2
    return Conv1d(inputs, outputs, kernel, dilation=dilation, padding=(pad, pad))


def _unpadded(layer: nn.Module, x: Tensor) -> Tensor:
    """Run a layer without padding or trimming; a residual unit cuts its shortcut to fit."""
    if isinstance(layer, Sequential):
        for inner in layer:
            x = _unpadded(inner, x)
        return x
    if isinstance(layer, Residual):
        y = _unpadded(layer.branch, x)
        cut = (x.shape[-1] - y.shape[-1]) // 2
        return x[..., cut : x.shape[-1] - cut] + y
    if isinstance(layer, Conv1d):
        return functional.conv1d(x, layer.weight, layer.bias, dilation=layer.dilation)
    if isinstance(layer, ConvTranspose1d):
        return functional.conv_transpose1d(x, layer.weight, layer.bias, layer.stride)
    y: torch.Tensor = layer(x)
    return y
