"""What may go into a model: tensors, states and numbers from outside, checked in one place.

The public methods of `CompressionModel` call these once; the families behind them trust what they
are given. A frame pays for comparisons of shapes and one sum of its values. All raise
`ArgumentError` with the value and the rule. Values are not looked at while a program is traced.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncodec.arguments import check_whole
from ncodec.errors import ArgumentError

_FULL_SCALE = {torch.int8: 128.0, torch.int16: 32768.0, torch.int32: 2147483648.0}


def as_tensor(what: str, value: Any) -> Tensor:
    """Return a tensor as it is, and a NumPy array as one, which may share its memory."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        raise ArgumentError(f"{what} of type {type(value).__name__}: must be a tensor or an array")
    array: Any = value
    if array.dtype.kind not in "iufbc" or array.dtype.itemsize > 8:
        raise ArgumentError(f"{what} of {array.dtype}: must be numbers of at most 64 bits")
    array = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


def as_samples(audio: Any) -> Tensor:
    """Return samples as float32, full scale 1.0: integers are divided by that of their type."""
    samples = as_tensor("samples", audio)
    if samples.layout != torch.strided:
        raise ArgumentError("samples in a sparse layout: must be dense")
    kind = samples.dtype
    if kind == torch.float32 or kind.is_floating_point:
        return samples.float()
    if kind in _FULL_SCALE:
        return (samples.double() / _FULL_SCALE[kind]).float()
    if kind == torch.uint8:  # as WAV has it
        return (samples.float() - 128.0) / 128.0
    raise ArgumentError(
        f"samples of {kind}: must be floats of full scale 1, or int8, int16, int32 or uint8"
    )


def check_audio(audio: Any, name: str, channels: int, device: torch.device) -> Tensor:
    """Return samples `[B, C, T]` as float32; arrays are moved to the device."""
    if not isinstance(audio, Tensor) or audio.dtype != torch.float32:
        audio = on_device(audio, as_samples(audio), device)
    shape = audio.shape
    if len(shape) != 3 or shape[1] != channels or audio.layout != torch.strided:
        raise ArgumentError(
            f"audio of shape {list(shape)}: must be [batch, channels, samples], and {name} has "
            f"{channels} {'channel' if channels == 1 else 'channels'}"
        )
    if audio.device != device:
        raise _elsewhere("audio", audio, name, device)
    return _usable(audio)


def check_codes(codes: Any, name: str, total: int, device: torch.device) -> Tensor:
    """Return codes `[B, K, F]`, 1 <= K <= `total`, as int64; their values are not looked at."""
    if not isinstance(codes, Tensor) or codes.dtype != torch.int64:
        given = as_tensor("codes", codes)
        if given.dtype.is_floating_point or given.dtype.is_complex or given.dtype == torch.bool:
            raise ArgumentError(f"codes of {given.dtype}: must be integers")
        codes = on_device(codes, given.to(torch.int64), device)
    shape = codes.shape
    if len(shape) != 3 or not 1 <= shape[1] <= total or codes.layout != torch.strided:
        raise ArgumentError(
            f"codes must be [B, K, F] with K from 1 to {total} for {name}, not {list(shape)}"
        )
    if codes.device != device:
        raise _elsewhere("codes", codes, name, device)
    return _usable(codes)


def check_pair(chunk: Any) -> tuple[Any, Any]:
    """Return codes and scale of a chunk, or of a pair that is one."""
    if not isinstance(chunk, tuple) or len(chunk) != 2:
        raise ArgumentError(f"chunk of type {type(chunk).__name__}: must be codes and scale")
    return chunk


def check_latent(latent: Any, name: str, width: int, device: torch.device) -> Tensor:
    """Return latents `[B, D, F]`."""
    if not isinstance(latent, Tensor):
        latent = on_device(latent, as_tensor("latents", latent), device)
    shape = latent.shape
    if len(shape) != 3 or shape[1] != width or not latent.dtype.is_floating_point:
        raise ArgumentError(
            f"latents of shape {list(shape)} and type {latent.dtype}: must be floats "
            f"[batch, {width}, frames] for {name}"
        )
    if latent.device != device:
        raise _elsewhere("latents", latent, name, device)
    return _usable(latent)


def check_scale(scale: Any, name: str, shape: tuple[int, ...] | None) -> Tensor | None:
    """Return the scale as float32 of this shape; None where the model has none, `shape` None."""
    if shape is None or scale is None:
        if scale is not None:
            raise ArgumentError(f"a scale was given: {name} has none")
        if shape is not None and math.prod(shape):
            raise ArgumentError(f"no scale: {name} needs one of shape {list(shape)}")
        return None
    values = as_tensor("scale", scale).float()
    if tuple(values.shape) != shape:
        raise ArgumentError(f"scale of shape {list(values.shape)}: must be {list(shape)}")
    if not torch.compiler.is_compiling() and not bool(((values >= 0) & values.isfinite()).all()):
        raise ArgumentError("scale: must be finite and at least 0")
    return _usable(values)


def check_finite(what: str, values: Tensor) -> None:
    """Check that there is no NaN and no infinity."""
    if torch.compiler.is_compiling() or math.isfinite(values.sum().item()):
        return
    if not bool(values.isfinite().all()):
        raise ArgumentError(f"{what} must be finite: there is a NaN or an infinity")


def check_batch(what: str, found: int, batch: int) -> None:
    """Check the number of signals against the state's."""
    if found != batch:
        raise ArgumentError(f"{what} of a batch of {found}: the state is of a batch of {batch}")


def check_row(row: Any, batch: int) -> None:
    """Check the number of one of a batch's streams."""
    check_whole("row", row, 0, batch - 1)


def check_streams(batch: Any, device: Any, own: torch.device, name: str) -> int:
    """Return the number of streams that a state is asked for, of a model on device `own`."""
    if device is not None:
        try:
            asked = torch.device(device)
        except (RuntimeError, TypeError):
            raise ArgumentError(f"device {device!r}: must be the model's, {own}") from None
        if asked.type != own.type or asked.index not in (None, own.index):
            raise ArgumentError(f"a state on {asked}: {name} is on {own}")
    return check_whole("batch", batch, 0)


@contextmanager
def fitting(batch: int) -> Generator[None]:
    """Raise ArgumentError where the memory is not there for the state of so many streams."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if batch > 1 and re.search("alloc|memory|overflow", str(error) or "memory", re.IGNORECASE):
            raise ArgumentError(f"batch {batch}: its state does not fit in memory") from None
        raise


def on_device(given: Any, made: Tensor, device: torch.device) -> Tensor:
    """Move what came as an array, which has no device of its own."""
    return made if isinstance(given, Tensor) else made.to(device)


def _usable(x: Tensor) -> Tensor:
    """Copy what was made in inference mode, if a gradient may have to pass it."""
    return x.clone() if torch.is_grad_enabled() and x.is_inference() else x


def _elsewhere(what: str, x: Tensor, name: str, device: torch.device) -> ArgumentError:
    return ArgumentError(f"{what} on {x.device}: {name} is on {device}; move one of them")
