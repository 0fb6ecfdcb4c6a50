"""Mimi, the codec of Moshi (Defossez et al. 2024, arXiv:2410.00037).

A causal SEANet with a transformer on either side of the quantizer, which is split in two: the first
codebook, distilled to be semantic, and the others beside it, not after it.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncodec.config import MimiConfig
from ncodec.models.composed import ComposedCodec
from ncodec.nn import ELU, Conv1d, ConvTranspose1d
from ncodec.nn.attention import Transformer
from ncodec.nn.conv import seanet_padding
from ncodec.quantize import ResidualVQ
from ncodec.quantize.quantized import check_codes, check_count, check_latents
from ncodec.streaming import Residual, Sequential, Streamable, TiledSequential
from ncodec_formats.bitrate import kbps_steps

KERNEL, LAST_KERNEL, RESIDUAL_KERNEL = 7, 3, 3
"""Sizes that the released model and transformers' MimiConfig have."""
TILE = 9600
"""Samples of audio fed at once to the two strides of the highest rates, to stay in the cache."""


class MimiModel(ComposedCodec):
    """Mimi: 24 kHz mono at 12.5 frames a second."""

    config_type: ClassVar[Any] = MimiConfig
    fills_last_frame = False

    def __init__(self, config: MimiConfig, name: str = "mimi") -> None:
        """Build with random weights."""
        super().__init__()
        self.config, self.name = config, name
        stride, width = config.frame_stride, config.latent_dim
        down = _conv(width, width, 2 * stride, stride=stride, bias=False, replicate=True)
        up = ConvTranspose1d(
            width,
            width,
            2 * stride,
            stride=stride,
            groups=width,
            bias=False,
            trim=(0, stride),
        )
        self.encoder = TiledSequential(_seanet_encoder(config), _transformer(config), down)
        self.quantizer = SplitVQ(config)
        self.decoder = TiledSequential(up, _transformer(config), _seanet_decoder(config))
        self._describe(config)

    def _describe(self, config: MimiConfig) -> None:
        self.sample_rate, self.channels = config.sample_rate, 1
        self.hop = math.prod(config.ratios) * config.frame_stride
        self.total_codebooks, self.latent_dim = config.codebooks, config.latent_dim
        self.codebook_sizes = (config.bins,) * config.codebooks
        self.bandwidths = kbps_steps(self.codebook_sizes, 1, self.frame_rate)
        self.latency_samples = 0
        self.frames_at_once = config.context // config.frame_stride
        # Every layer of the transformers looks further back: all of it is too far to count on.
        self.receptive_field = 0
        self.preroll_frames = math.ceil(config.context / config.frame_stride)


class SplitVQ(nn.Module):
    """Two residual quantizers of the same latent, whose sums are added.

    The first has the semantic codebooks, the second the acoustic ones, each its own projection.
    """

    def __init__(self, config: MimiConfig) -> None:
        """Build with random codebooks."""
        super().__init__()
        acoustic = config.codebooks - config.semantic_codebooks
        self.semantic = ProjectedVQ(config, config.semantic_codebooks)
        self.acoustic = ProjectedVQ(config, acoustic)

        self.n_q = config.codebooks

    def encode(self, z: Tensor, n_q: int | None = None, beam: int = 1) -> Tensor:
        """Code `[B, D, F]` with the first `n_q` codebooks, semantic ones first: `[B, K, F]`.

        The search in either part follows `beam` partial sums.
        """
        weight = self.semantic.input.weight
        check_latents(z, weight.shape[1], weight)
        count, first = check_count(n_q, self.n_q), self.semantic.count
        codes = self.semantic.encode(z, min(count, first), beam)
        if count <= first:
            return codes
        return torch.cat([codes, self.acoustic.encode(z, count - first, beam)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries: `[B, K, F]`, any K up to the total, to `[B, D, F]`."""
        codes = check_codes(codes, self.n_q, self.semantic.input.weight)
        first = self.semantic.count
        z = self.semantic.decode(codes[:, :first])
        return z + self.acoustic.decode(codes[:, first:]) if codes.shape[1] > first else z

    def look_up(self, codes: Tensor) -> Tensor:
        """As `decode`, for any number of codebooks in one graph."""
        first = self.semantic.count
        return self.semantic.look_up(codes[:, :first]) + self.acoustic.look_up(codes[:, first:])


class ProjectedVQ(nn.Module):
    """A residual quantizer in a narrower space."""

    def __init__(self, config: MimiConfig, count: int) -> None:
        """Build with random codebooks."""
        super().__init__()
        self.count = count
        self.input = nn.Linear(config.latent_dim, config.codebook_dim, bias=False)
        self.output = nn.Linear(config.codebook_dim, config.latent_dim, bias=False)
        self.rvq = ResidualVQ(config.codebook_dim, count, config.bins)

    def encode(self, z: Tensor, n_q: int, beam: int) -> Tensor:
        """Project and code."""
        return self.rvq.encode(self.input(z.transpose(1, 2)).transpose(1, 2), n_q, beam)

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries and project back."""
        return self.output(self.rvq.decode(codes).transpose(1, 2)).transpose(1, 2)

    def look_up(self, codes: Tensor) -> Tensor:
        """Sum the entries of any number of codebooks, 0 too, and project back."""
        return self.output(self.rvq.look_up(codes).transpose(1, 2)).transpose(1, 2)


def _transformer(config: MimiConfig) -> Transformer:
    return Transformer(
        config.latent_dim,
        layers=config.layers,
        heads=config.heads,
        feed_forward=config.feed_forward,
        context=config.context,
        rope_period=config.rope_period,
    )


def _seanet_encoder(config: MimiConfig) -> TiledSequential:
    channels = config.filters
    layers: list[Streamable] = [_conv(1, channels, KERNEL)]
    for stride in reversed(config.ratios):
        down = _conv(channels, 2 * channels, 2 * stride, stride=stride)
        layers += [_residual(channels), ELU(), down]
        channels *= 2
    split = 1 + 3 * 2
    layers += [ELU(), _conv(channels, config.latent_dim, LAST_KERNEL)]
    return TiledSequential(*layers, tiles=((slice(split), TILE), (slice(split, None), 0)))


def _seanet_decoder(config: MimiConfig) -> TiledSequential:
    channels = config.filters * 2 ** len(config.ratios)
    layers: list[Streamable] = [_conv(config.latent_dim, channels, KERNEL)]
    for stride in config.ratios:
        up = ConvTranspose1d(channels, channels // 2, 2 * stride, stride=stride, trim=(0, stride))
        layers += [ELU(), up, _residual(channels // 2)]
        channels //= 2
    layers += [ELU(), _conv(channels, 1, LAST_KERNEL)]
    split = max(1, len(layers) - 2 - 3 * 2)
    tile = max(1, TILE // math.prod(config.ratios[-2:]))
    return TiledSequential(*layers, tiles=((slice(split), 0), (slice(split, None), tile)))


def _residual(channels: int) -> Residual:
    hidden = channels // 2
    return Residual(
        Sequential(
            ELU(), _conv(channels, hidden, RESIDUAL_KERNEL), ELU(), _conv(hidden, channels, 1)
        )
    )


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    bias: bool = True,
    replicate: bool = False,
) -> Conv1d:
    return Conv1d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        bias=bias,
        padding=seanet_padding(kernel, stride, causal=True),
        pad_mode="replicate" if replicate else "constant",
        ceil_mode=True,
    )
