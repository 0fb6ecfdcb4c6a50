"""A streaming resampler with an exact total length, and the mixing of channels."""

from __future__ import annotations

import numpy as np
import soxr

from ncodec.audio.pcm import Samples, check_format


def resampled_length(samples: int, in_rate: int, out_rate: int) -> int:
    """Return ceil(samples * out_rate / in_rate), the length rule of the whole project.

    Rounding up never loses the tail: n samples taken to another rate and back give n or more,
    and the first n of them are the source's.
    """
    return -(-samples * out_rate // in_rate)


class Resampler:
    """Change the rate of a stream `[C, T]`; the output does not depend on how the input is cut.

    soxr ("HQ", 20 bits) has its delay taken out: output sample i stands at i / out_rate.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        """Take rates in Hz; equal rates pass the samples through."""
        check_format(in_rate, channels)
        check_format(out_rate, channels)
        self.in_rate, self.out_rate, self.channels = in_rate, out_rate, channels
        self.taken = self.given = 0
        self._stream = None
        if in_rate != out_rate:
            self._stream = soxr.ResampleStream(
                in_rate, out_rate, channels, dtype="float32", quality="HQ"
            )

    def push(self, x: Samples) -> Samples:
        """Take `[C, T]`, return what is ready."""
        self.taken += x.shape[1]
        y = x if self._stream is None else self._run(x, last=False)
        self.given += y.shape[1]
        return y

    def finish(self) -> Samples:
        """Return the rest: `resampled_length` of all that was pushed has then come out."""
        total = resampled_length(self.taken, self.in_rate, self.out_rate)
        if self._stream is None:
            return np.zeros((self.channels, 0), np.float32)
        # soxr rounds its total to the nearest: silence behind the end makes room for the ceiling.
        room = np.zeros((self.channels, 2 + 2 * self.in_rate // self.out_rate), np.float32)
        y = self._run(room, last=True)[:, : total - self.given]
        self.given = total
        return y

    def _run(self, x: Samples, *, last: bool) -> Samples:
        assert self._stream is not None
        y = self._stream.resample_chunk(np.ascontiguousarray(x.T), last=last)
        return np.ascontiguousarray(y.T)


def mix_channels(x: Samples, channels: int) -> Samples:
    """Change the number of channels: down by the mean, up from mono by copies.

    Other changes have no plain meaning without a layout: the first channels are kept, or silent
    ones are added.
    """
    have = x.shape[0]
    if have == channels:
        return x
    if channels == 1:
        return x.mean(axis=0, keepdims=True, dtype=np.float32)
    if have == 1:
        return np.repeat(x, channels, axis=0)
    if have > channels:
        return x[:channels]
    return np.concatenate([x, np.zeros((channels - have, x.shape[1]), np.float32)])
