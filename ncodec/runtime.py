"""Where and how models compute: device, precision, threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ncodec.errors import DeviceError

if TYPE_CHECKING:
    from ncodec.models.base import CompressionModel


def pick_device(name: str) -> str:
    """Return the device that "auto" stands for, or the one that is named.

    Raises:
        DeviceError: this machine does not have it.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, available in there.items() if available)
    if not there.get(name.split(":", maxsplit=1)[0]):
        have = ", ".join(device for device, available in there.items() if available)
        raise DeviceError(f"device {name!r}: this machine has {have}")
    return name


def in_precision(model: CompressionModel, precision: str, device: str) -> CompressionModel:
    """Make a model that was just loaded compute in "float32" or "bf16".

    Raises:
        ArgumentError: the model cannot.
        DeviceError: the device has no bf16, which the library would imitate many times slower.
    """
    if precision == "bf16" and not has_bf16(device):
        raise DeviceError(f"precision 'bf16': this machine's {device} has none; use float32")
    model.set_precision(precision)
    return model


def has_bf16(device: str) -> bool:
    """Say whether a device computes in bf16 itself; elsewhere it would be imitated, slowly."""
    if device == "cpu":
        mkldnn = torch.backends.mkldnn.is_available()
        return mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device.startswith("cuda") and torch.cuda.is_bf16_supported()
