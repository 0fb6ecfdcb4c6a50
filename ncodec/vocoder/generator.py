"""HiFi-GAN's generator as streaming layers (Kong, Kim, Bae 2020, arXiv:2010.05646).

Convolutions up to the sample rate; after each transposed one, the mean of residual branches whose
windows have different lengths. Nothing is recurrent: pieces of mels give the whole's samples.
"""

from __future__ import annotations

from ncodec.config import HifiGanConfig
from ncodec.nn import Conv1d, ConvTranspose1d, LeakyReLU, Tanh
from ncodec.streaming import Mean, Residual, Sequential, Streamable, TiledSequential

_SLOPE, _LAST_SLOPE = 0.1, 0.01
_KERNEL = 7
_TILE = 4096
"""Samples that go at once through the levels of the highest rates, to stay in the cache."""


def generator(config: HifiGanConfig) -> TiledSequential:
    """Return the net: mels `[B, bands, F]` to audio `[B, 1, F * hop]`."""
    layers: list[Streamable] = [_conv(config, config.bands, config.channels, _KERNEL)]
    channels = config.channels
    for rate, kernel in zip(config.rates, config.kernels, strict=True):
        cut = kernel - rate
        up = ConvTranspose1d(
            channels, channels // 2, kernel, stride=rate, trim=(-(-cut // 2), cut // 2)
        )
        channels //= 2
        layers.append(Sequential(LeakyReLU(_SLOPE), up, _fusion(config, channels)))
    last = _conv(config, channels, 1, _KERNEL)
    layers += [LeakyReLU(_LAST_SLOPE), last, Tanh()]
    split = min(3, len(layers) - 3)
    per_frame = 1
    for rate in config.rates[: split - 1]:
        per_frame *= rate
    tile = max(1, _TILE * per_frame // config.hop)
    return TiledSequential(*layers, tiles=((slice(split), 0), (slice(split, None), tile)))


def _fusion(config: HifiGanConfig, channels: int) -> Mean:
    count = len(config.dilations) // len(config.block_kernels)
    return Mean(
        *(
            Sequential(
                *(
                    _unit(config, channels, kernel, dilation)
                    for dilation in config.dilations[i * count : (i + 1) * count]
                )
            )
            for i, kernel in enumerate(config.block_kernels)
        )
    )


def _unit(config: HifiGanConfig, channels: int, kernel: int, dilation: int) -> Residual:
    layers: list[Streamable] = [
        LeakyReLU(_SLOPE),
        _conv(config, channels, channels, kernel, dilation),
    ]
    if config.paired:
        layers += [LeakyReLU(_SLOPE), _conv(config, channels, channels, kernel)]
    return Residual(Sequential(*layers))


def _conv(
    config: HifiGanConfig, inputs: int, outputs: int, kernel: int, dilation: int = 1
) -> Conv1d:
    pad = (kernel - 1) * dilation // 2
    mode = "constant" if config.edges == "zeros" else "reflect"
    return Conv1d(inputs, outputs, kernel, dilation=dilation, padding=(pad, pad), pad_mode=mode)
