"""Short-time spectra: in NumPy's float64 to measure with, in torch where gradients flow.

One rule for both: frame k is centred on sample `k * hop`; `size // 2` samples are added at either
end, and what does not fill a frame is left out, so that T samples have `1 + T // hop` frames if
`size` is even. Windows are periodic.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ncodec.errors import ArgumentError

Array = NDArray[np.float64]

_POWER_FLOOR = 1e-12
"""Keeps the gradient of a magnitude finite at zero: -120 dB, a magnitude of 1e-6."""


def hann(size: int) -> Array:
    """Return a periodic Hann window, `[size]`."""
    return np.hanning(size + 1)[:-1]


def power_spectra(
    x: Array, size: int, hop: int, window: int, edges: Literal["constant", "reflect"] = "constant"
) -> Array:
    """Return power spectra `[C, size // 2 + 1, frames]` of `[C, T]`.

    The Hann window is `window` samples long, in the middle of a frame of `size`; `edges` says
    whether silence or the signal's reflection is added at the ends.
    """
    padded = np.pad(x, ((0, 0), (size // 2, size // 2)), mode=edges)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]
    taper = np.zeros(size)
    start = (size - window) // 2
    taper[start : start + window] = hann(window)
    return np.abs(np.fft.rfft(frames * taper, axis=-1).transpose(0, 2, 1)) ** 2


@lru_cache(maxsize=64)
def _window(n_fft: int, device: torch.device) -> Tensor:
    """A periodic Hann window of unit energy, so that white noise keeps its RMS at any length."""
    with torch.inference_mode(False):  # else it could never serve a backward pass
        window = torch.hann_window(n_fft, device=device)
        return window / window.square().sum().sqrt()


class Spectra:
    """The STFTs of one signal, each computed once.

    Hann windows of unit energy, hop `n_fft // 4`, edges reflected.
    """

    def __init__(self, signal: Tensor):
        """`signal`: `[B, C, T]` of any real type; the transforms are done in float32."""
        if signal.dim() != 3:
            raise ArgumentError(f"a signal of shape {tuple(signal.shape)}: must be [B, C, T]")
        self.signal = signal
        self._samples = signal.float().flatten(0, 1)
        self._stfts: dict[int, Tensor] = {}
        self._powers: dict[int, Tensor] = {}

    def stft(self, n_fft: int) -> Tensor:
        """Complex `[B * C, frames, n_fft // 2 + 1]`.

        Raises:
            ArgumentError: if the signal is shorter than `n_fft`.
        """
        if n_fft not in self._stfts:
            length = self._samples.shape[-1]
            if length < n_fft:
                raise ArgumentError(f"a signal of {length} samples: n_fft {n_fft} needs as many")
            # unfold and rfft: on CPUs its backward pass is faster than torch.stft's
            padded = F.pad(self._samples, (n_fft // 2, n_fft // 2), mode="reflect")
            frames = padded.unfold(-1, n_fft, n_fft // 4)
            self._stfts[n_fft] = torch.fft.rfft(frames * _window(n_fft, self._samples.device))
        return self._stfts[n_fft]

    def power(self, n_fft: int) -> Tensor:
        """Squared magnitudes plus 1e-12, `[B * C, frames, n_fft // 2 + 1]`."""
        if n_fft not in self._powers:
            parts = torch.view_as_real(self.stft(n_fft))
            self._powers[n_fft] = parts.square().sum(dim=-1) + _POWER_FLOOR
        return self._powers[n_fft]

    def magnitude(self, n_fft: int) -> Tensor:
        """Magnitudes, `[B * C, frames, n_fft // 2 + 1]`."""
        return self.power(n_fft).sqrt()
