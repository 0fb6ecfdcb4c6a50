"""Musika's spectra: decibels and phases of unpadded windows, and sound of them again.

Windows of four hops (Hann, periodic) begin at each hop; T samples have (T - 3 hop) // hop of them.
Constants are those of marcoppasini/musika, utils.py and parse_generate.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ncodec.dsp.overlap_add import overlap_add
from ncodec.nn import Conv1d
from ncodec.streaming import State, Streamable

OVERLAP = 4
"""Hops of a window."""
_MEAN, _SPREAD = -25.0, 75.0
"""Decibels that are 0, and that are 1 more."""
_LEAST = 1e-10
"""Power before the logarithm."""
_FLOOR = 1e-7
"""Added to powers on the way back, before the root."""
_OVERLAPPED = 1.5
"""Sum of the squared Hann windows over a sample."""


class Analysis(Conv1d):
    """Samples `[B, 1, T]` to decibels `[B, 2 hop + 1, F]`: 0 is -25 dB, 1 is 50 dB.

    Args:
        hop: Samples a frame.
    """

    window: Tensor

    def __init__(self, hop: int) -> None:
        torch.nn.Module.__init__(self)
        self.stride, self.span, self.dilation = hop, OVERLAP * hop, 1
        self.in_channels, self.out_channels = 1, 2 * hop + 1
        self.padding, self.pad_mode, self.ceil_mode = (0, 0), "constant", False
        self.keep, self.memoryless = 0, False
        self.register_buffer("window", torch.hann_window(OVERLAP * hop), persistent=False)
        self.weight = self.window  # type: ignore[assignment]

    def _convolve(self, x: Tensor, windows: int) -> Tensor:
        if windows == 0:
            return x.new_zeros(x.shape[0], self.out_channels, 0)
        frames = x[..., 0].unfold(1, self.span, self.stride)[:, :windows]
        return decibels(frames * self.window)


def decibels(frames: Tensor) -> Tensor:
    """Return the decibels `[B, bins, F]` of windowed frames `[B, F, size]`."""
    power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1)
    log = 10 * power.clamp(min=_LEAST).log10()
    return ((log - _MEAN) / _SPREAD).transpose(1, 2)


def magnitudes(scaled: Tensor) -> Tensor:
    """Return the magnitudes that decibels as `Analysis` gives them stand for."""
    return (10 ** ((scaled * _SPREAD + _MEAN) / 10) + _FLOOR).sqrt()


class Synthesis(Streamable):
    """Spectra `[B, 2 bins, F]`, decibels and then phases in half turns, to samples `[B, 1, T]`.

    F frames give (F + 3) hop samples, of which the first and last three hops fade.

    Args:
        hop: Samples a frame.
    """

    window: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        window = torch.hann_window(OVERLAP * hop) / _OVERLAPPED
        self.register_buffer("window", window, persistent=False)

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return silence."""
        return torch.zeros(batch, (OVERLAP - 1) * self.hop, device=device or self.window.device)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return `hop` samples for each frame."""
        if x.shape[2] == 0:
            return state[:, None, :0], state
        scaled, phase = x.float().transpose(1, 2).chunk(2, dim=2)
        spectrum = torch.polar(magnitudes(scaled), math.pi * phase)
        frames = torch.fft.irfft(spectrum) * self.window
        samples, tail = overlap_add(frames, self.hop, state)
        return samples[:, None], tail.clone()

    def flush(self, state: State) -> Tensor:
        """Return the last samples, which fade."""
        return state[:, None]
