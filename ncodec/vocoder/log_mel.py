"""Log mel spectrograms as vocoders take them, whole or piece by piece.

A front end belongs to a checkpoint: rate, window, bands, logarithm and floor are its configuration.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ncodec.config import HifiGanConfig
from ncodec.dsp.mel import mel_filters
from ncodec.errors import ArgumentError
from ncodec.nn import Conv1d
from ncodec.nn.conv import ConvState
from ncodec.streaming import State


class LogMel(Conv1d):
    """Samples `[B, 1, T]` to log mels `[B, bands, F]`; windows lie as those of a convolution.

    Periodic Hann windows in frames of `n_fft`, the signal reflected at its ends, magnitudes, mels
    of Slaney's scale and area (librosa's), logarithm above a floor. Uncentred, frame k is centred
    on the middle of its hop, and T samples give T // hop frames (jik876/hifi-gan, meldataset.py);
    centred, on sample k * hop, and there is one frame more.

    Args:
        config: Of the vocoder that the mels are for.
    """

    def __init__(self, config: HifiGanConfig) -> None:
        torch.nn.Module.__init__(self)
        self.config = config
        self.hop = self.stride = config.hop
        self.span, self.dilation = config.n_fft, 1
        self.in_channels, self.out_channels = 1, config.bands
        pad = config.n_fft // 2 if config.centred else (config.n_fft - config.hop) // 2
        self.padding, self.pad_mode, self.ceil_mode = (pad, pad), "reflect", False
        self.keep, self.memoryless = pad + config.hop, False
        filters = mel_filters(
            config.sample_rate, config.n_fft, config.bands, fmin=config.fmin, fmax=config.fmax
        )
        weight = torch.from_numpy(np.ascontiguousarray(filters.T, np.float32))
        self.register_buffer("weight", weight, persistent=False)  # type: ignore[arg-type]

    @property
    def latency_samples(self) -> int:
        """Samples beyond a frame's own hop that it waits for."""
        return self.span - self.padding[0] - self.hop

    def flush(self, state: State) -> Tensor:
        """Return the frames that reach beyond the end.

        Raises:
            ArgumentError: The signal was too short to be reflected.
        """
        assert isinstance(state, ConvState)
        if state.padded is None and state.samples.shape[1]:
            raise ArgumentError(
                f"{state.samples.shape[1]} samples: mels of these windows need at least "
                f"{self.padding[0] + 1}"
            )
        return super().flush(state)

    def _convolve(self, x: Tensor, windows: int) -> Tensor:
        if windows == 0:
            return x.new_zeros(x.shape[0], self.out_channels, 0)
        config = self.config
        samples = x[:, :, 0]
        if config.double and x.device.type != "mps":  # which has no float64
            samples = samples.double()
        window = self._window(samples)
        frames = samples.unfold(1, self.span, self.stride)[:, :windows] * window
        power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) + config.power_floor
        if config.least_power:
            power = power.clamp(min=config.least_power)
        mel = (power.sqrt().to(x.dtype) @ self.weight).clamp(min=config.floor)
        log = mel.log() if config.log == "ln" else mel.log10()
        return log.transpose(1, 2)

    def _window(self, like: Tensor) -> Tensor:
        """Return the window in the middle of a frame."""
        config = self.config
        window = torch.hann_window(config.window, dtype=like.dtype, device=like.device)
        before = (config.n_fft - config.window) // 2
        return functional.pad(window, (before, config.n_fft - config.window - before))
