"""SEANet, EnCodec's encoder and decoder (Tagliasacchi et al. 2020, arXiv:2009.02095).

Both are stacks of layers; layer i of a stack is layer i of the `encodec` package's `model`.
"""

from __future__ import annotations

import math
from typing import cast

from ncodec.config import EncodecConfig
from ncodec.nn import ELU, LSTM, Conv1d, ConvTranspose1d, SegmentNorm
from ncodec.nn.conv import seanet_padding
from ncodec.nn.padding import PadMode
from ncodec.streaming import Residual, Sequential, Streamable, TiledSequential

EDGE_KERNEL = 7  # of the first and the last convolution
RESIDUAL_KERNEL = 3
TILE = 4800
"""Samples of audio fed at once to all but the innermost stride; 600 to 96000 were tried."""


def encoder(config: EncodecConfig) -> TiledSequential:
    """Return the stack from audio `[B, channels, T]` to latents `[B, D, ceil(T / hop)]`."""
    width = config.filters
    layers: list[Streamable] = [_conv(config, config.channels, width, EDGE_KERNEL)]
    for ratio in reversed(config.ratios):
        layers += [_residual(config, width), ELU()]
        layers += [_conv(config, width, 2 * width, 2 * ratio, ratio)]
        width *= 2
    if config.lstm_layers:
        layers.append(LSTM(width, config.lstm_layers))
    layers += [ELU(), _conv(config, width, config.latent_dim, EDGE_KERNEL)]
    split = 3 * (len(config.ratios) - 1)
    if config.norm == "time_group_norm":
        split = 1  # the first norm holds back the whole segment; it makes the tiles that follow
    return TiledSequential(*layers, tiles=((slice(split), TILE), (slice(split, None), 0)))


def decoder(config: EncodecConfig) -> TiledSequential:
    """Return the stack from latents `[B, D, F]` to audio `[B, channels, F * hop]`."""
    width = config.filters * 2 ** len(config.ratios)
    layers: list[Streamable] = [_conv(config, config.latent_dim, width, EDGE_KERNEL)]
    if config.lstm_layers:
        layers.append(LSTM(width, config.lstm_layers))
    for ratio in config.ratios:
        layers += [ELU(), _transposed(config, width, width // 2, ratio)]
        width //= 2
        layers.append(_residual(config, width))
    layers += [ELU(), _conv(config, width, config.channels, EDGE_KERNEL)]
    split = len(layers) - 3 * (len(config.ratios) - 1) - 2
    tile = max(1, TILE // math.prod(config.ratios[1:]))
    tiles = [(slice(split), 0)]
    for ratio in config.ratios[1:-1]:  # all in one would be 60 % of the work, for one thread
        tiles.append((slice(split, split + 3), tile))
        split, tile = split + 3, tile * ratio
    return TiledSequential(*layers, tiles=[*tiles, (slice(split, None), tile)])


def encoder_lag(config: EncodecConfig) -> int:
    """Return how many samples past its frame's end a latent depends on."""
    ratios = list(reversed(config.ratios))
    lag, factor = _edge_lag(config), 1
    for ratio in ratios:
        lag += factor * _lag(RESIDUAL_KERNEL, config)
        lag += factor * seanet_padding(2 * ratio, ratio, causal=config.causal)[1]
        factor *= ratio
    return lag + factor * _edge_lag(config)


def decoder_lag(config: EncodecConfig) -> int:
    """Return how many samples of a frame wait for frames to come."""
    factor = math.prod(config.ratios)
    lag = factor * _edge_lag(config)
    for ratio in config.ratios:
        factor //= ratio
        lag += factor * (_trim(config, ratio)[0] + _lag(RESIDUAL_KERNEL, config))
    return lag + _edge_lag(config)


def decoder_reach(config: EncodecConfig) -> int:
    """Return how many frames back a sample depends on, but for the LSTM."""
    reach, rate = EDGE_KERNEL - 1.0, 1
    for ratio in config.ratios:
        reach += 1 / rate
        rate *= ratio
        reach += (RESIDUAL_KERNEL - 1) / rate
    return math.ceil(reach + (EDGE_KERNEL - 1) / rate)


def _edge_lag(config: EncodecConfig) -> int:
    return _lag(EDGE_KERNEL, config)


def _lag(kernel: int, config: EncodecConfig) -> int:
    return seanet_padding(kernel, causal=config.causal)[1]


def _conv(
    config: EncodecConfig, in_channels: int, out_channels: int, kernel: int, stride: int = 1
) -> Streamable:
    conv = Conv1d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=seanet_padding(kernel, stride, causal=config.causal),
        pad_mode=cast("PadMode", config.pad_mode),
        ceil_mode=True,
    )
    if config.norm == "time_group_norm":
        return Sequential(conv, SegmentNorm(out_channels))
    return conv


def _transposed(
    config: EncodecConfig, in_channels: int, out_channels: int, ratio: int
) -> Streamable:
    trim = _trim(config, ratio)
    if config.norm == "time_group_norm":  # which counts the samples that are then trimmed
        conv = ConvTranspose1d(in_channels, out_channels, 2 * ratio, stride=ratio)
        return Sequential(conv, SegmentNorm(out_channels, trim=trim))
    return ConvTranspose1d(in_channels, out_channels, 2 * ratio, stride=ratio, trim=trim)


def _trim(config: EncodecConfig, ratio: int) -> tuple[int, int]:
    right = ratio if config.causal else ratio // 2
    return ratio - right, right


def _residual(config: EncodecConfig, width: int) -> Residual:
    branch = Sequential(
        ELU(),
        _conv(config, width, width // 2, RESIDUAL_KERNEL),
        ELU(),
        _conv(config, width // 2, width, 1),
    )
    return Residual(branch, _conv(config, width, width, 1) if config.conv_shortcut else None)
