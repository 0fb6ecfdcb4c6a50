"""Where and how models compute: device, precision, threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ncodec.errors import ArgumentError, DeviceError

if TYPE_CHECKING:
    from ncodec.models.base import CompressionModel

PRECISIONS = ("float32", "bf16")


def pick_device(name: str | torch.device) -> str:
    """Return the device that "auto" stands for, or the one that is named.

    Raises:
        DeviceError: this machine does not have it.
    """
    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if name == "auto":
        return next(device for device, count in counts.items() if count)
    kind, _, number = str(name).partition(":")
    if not (number or "0").isdecimal() or int(number or "0") >= counts.get(kind, 0):
        have = ", ".join(device for device, count in counts.items() if count)
        raise DeviceError(f"device {str(name)!r}: this machine has {have}")
    return str(name)


def check_precision(precision: str, device: str) -> None:
    """Check that nets can compute in a precision on a device.

    Raises:
        ArgumentError: the precision is unknown.
        DeviceError: the device has no bf16, which the library would imitate many times slower.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(f"precision {precision!r}: must be 'float32' or 'bf16'")
    if precision == "bf16" and not has_bf16(device):
        raise DeviceError(f"precision 'bf16': this machine's {device} has none; use float32")


def in_precision(model: CompressionModel, precision: str, device: str) -> CompressionModel:
    """Make a model that was just loaded compute in "float32" or "bf16".

    Raises:
        ArgumentError: the model cannot.
        DeviceError: the device has no bf16.
    """
    check_precision(precision, device)
    model.set_precision(precision)
    return model


def processor_class() -> str:
    """Say which instructions PyTorch computes with here, which speed hangs on.

    Its own and oneDNN's, as they are lowered by `ATEN_CPU_CAPABILITY` and `ONEDNN_MAX_CPU_ISA`.
    """
    found = torch.backends.cpu.get_cpu_capability()
    return f"{found}, {'with' if has_bf16('cpu') else 'without'} bf16"


def has_bf16(device: str) -> bool:
    """Say whether a device computes in bf16 itself; elsewhere it would be imitated, slowly."""
    if device == "cpu":
        mkldnn = torch.backends.mkldnn.is_available()
        return mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.startswith("cuda") and torch.cuda.is_bf16_supported()
