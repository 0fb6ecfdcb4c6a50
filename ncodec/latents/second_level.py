"""A second level over a codec's latents: vectors at an eighth of their rate, and latents again.

Musika decodes windows apart, padded by zeros, so that its sound has a seam at each join. Here
convolutions overlap and see a finite past, beside a linear path of principal components: latents
that come piece by piece are those of the whole.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.models.latent_config import SecondLevelConfig
from ncodec.nn import ELU, Conv1d, ConvTranspose1d, Tanh
from ncodec.streaming import Residual, Sequential, State, Streamable

_LEAST_DEVIATION = 1e-3  # a dimension that is always the same stays as it is
_LEAST_POWER = 1e-6  # of a component
_SPREAD = 3.0  # deviations of a component that tanh brings to 0.76


class SecondLevel(nn.Module):
    """Latents `[B, D, F]` to vectors `[B, dim, ceil(F / stride)]` within -1 and 1, and back.

    Steps and states are pure, as those of codecs. A vector is complete with the last of its
    latents; latents are, `lookahead` vectors later.

    Attributes:
        mean: `[D]`, of the latents.
        deviation: `[D]`, of the latents; by it errors of their dimensions are compared.
        encoder: Latents about zero, with unit deviation, to vectors.
        decoder: Back.
        warmup: Vectors before its own, at most, that a latent depends on, `lookahead` included.
    """

    config_type: ClassVar[Any] = SecondLevelConfig
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: SecondLevelConfig, name: str = "second_level") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.register_buffer("mean", torch.zeros(config.latent))
        self.register_buffer("deviation", torch.ones(config.latent))
        self.encoder, self.decoder = _encoder(config), _decoder(config)
        # the first convolution, then at each rate a unit and a step of the one below
        rates = range(len(config.widths) + 1)
        self.warmup = config.kernel + math.ceil(sum((config.kernel + 1) / 2**n for n in rates))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """Start from latents `[B, D, F]`: their mean and deviation, and linear paths.

        Those are the principal components of `stride` latents together, and what is nearest to
        them after tanh; the nets add to it.
        """
        self.mean.copy_(latents.mean((0, 2)))
        self.deviation.copy_(latents.std((0, 2)).clamp(min=_LEAST_DEVIATION))
        stride, dim = self.config.stride, self.config.dim
        whole = latents.shape[2] // stride * stride
        groups = self.standard(latents[..., :whole]).unflatten(2, (-1, stride))
        rows = groups.transpose(1, 2).flatten(2).flatten(0, 1).double()  # [N, D * stride]
        powers, axes = torch.linalg.eigh(rows.T @ rows / len(rows))
        scale = (_SPREAD**2 * powers[-dim:]).clamp(min=_LEAST_POWER).rsqrt()
        into = (axes[:, -dim:] * scale).T
        vectors = torch.tanh(rows @ into.T)
        back = torch.linalg.lstsq(vectors, rows, driver="gelsd").solution
        analysis, synthesis = self.encoder.layers[0], self.decoder
        assert isinstance(analysis, Residual)
        for path, weight in ((analysis.shortcut, into), (synthesis.shortcut, back)):
            assert path is not None
            path.weight.copy_(weight.unflatten(1, (-1, stride)))  # pyright: ignore

    def standard(self, latents: Tensor) -> Tensor:
        """Return latents `[B, D, F]` about zero, with unit deviation.

        Raises:
            ArgumentError: They are of another width.
        """
        if latents.dim() != 3 or latents.shape[1] != len(self.mean):
            raise ArgumentError(
                f"latents of shape {list(latents.shape)}: {self.name} takes "
                f"[batch, {len(self.mean)}, frames]"
            )
        return (latents - self.mean[:, None]) / self.deviation[:, None]

    def vectors_of(self, latents: Tensor) -> Tensor:
        """Return the vectors of whole signals."""
        return self.encoder(self.standard(latents))

    def latents_of(self, vectors: Tensor) -> Tensor:
        """Return latents `[B, D, stride * n]` of whole signals of vectors `[B, dim, n]`."""
        return self.decoder(vectors) * self.deviation[:, None] + self.mean[:, None]

    def initial_state(self, batch: int) -> State:
        """Return the state of `decode_step` before the first vector."""
        return self.decoder.initial_state(batch)

    def decode_step(self, vectors: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the next vectors; return the latents that are final and the new state."""
        latents, state = self.decoder.step(vectors, state)
        return latents * self.deviation[:, None] + self.mean[:, None], state

    def forward(self, latents: Tensor, noise: float = 0.0) -> Tensor:
        """Return latents `[B, D, F]` as the vectors keep them, for training; F a whole `stride`.

        `noise` is the deviation of what is added to the vectors, so that vectors that a generator
        makes, near those of recordings, have latents near theirs.
        """
        vectors = self.vectors_of(latents)
        return self.latents_of(vectors + noise * torch.randn_like(vectors))


def _encoder(config: SecondLevelConfig) -> Sequential:
    first, *_ = config.widths
    layers: list[Streamable] = [_conv(config, config.latent, first)]
    width = first
    for wider in config.widths:
        down = Conv1d(width, wider, 4, stride=2, padding=(2, 0), ceil_mode=True)
        layers += [_unit(config, width), ELU(), down]
        width = wider
    layers += [_unit(config, width), ELU(), _silent(Conv1d(width, config.dim, 1))]
    stride = config.stride
    linear = Conv1d(config.latent, config.dim, stride, stride=stride, bias=False, ceil_mode=True)
    return Sequential(Residual(Sequential(*layers), linear), Tanh())


def _decoder(config: SecondLevelConfig) -> Residual:
    width = config.widths[-1]
    ahead = config.lookahead
    past = config.kernel - 1 - ahead
    if past < 0:
        raise ArgumentError(f"kernel {config.kernel}: must be at least {1 + ahead}")
    layers: list[Streamable] = [Conv1d(config.dim, width, config.kernel, padding=(past, ahead))]
    for narrower in reversed(config.widths):
        up = ConvTranspose1d(width, narrower, 4, stride=2, trim=(0, 2))
        layers += [_unit(config, width), ELU(), up]
        width = narrower
    layers += [_unit(config, width), ELU(), _silent(Conv1d(width, config.latent, 1))]
    stride = config.stride
    linear = ConvTranspose1d(config.dim, config.latent, stride, stride=stride, bias=False)
    return Residual(Sequential(*layers), linear)


def _silent(layer: Conv1d) -> Conv1d:
    """Let a net begin as nothing beside its linear path."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _unit(config: SecondLevelConfig, width: int) -> Residual:
    return Residual(Sequential(ELU(), _conv(config, width, width), ELU(), Conv1d(width, width, 1)))


def _conv(config: SecondLevelConfig, inputs: int, outputs: int) -> Conv1d:
    return Conv1d(inputs, outputs, config.kernel, padding=(config.kernel - 1, 0))
