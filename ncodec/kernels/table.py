"""Which code computes each operation here: the first entry that pays, is there and right.

An entry is tried before its first use, by calling it on a few values: where an operator is missing,
has another signature or gives something else, the next entry takes over, and one line of the log
says why. The portable way comes last. The choice is made when weights are packed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ncodec.kernels import fbgemm, minimal, onednn, plain, pointwise, taps, transforms
from ncodec.kernels.switch import is_portable

_LOG = logging.getLogger(__name__)


def _anywhere(dtype: torch.dtype) -> bool:
    return True


def _with_avx2(dtype: torch.dtype) -> bool:
    """Say whether AVX2 computes float32 here: MKL's products are the faster ones there.

    oneDNN picks a layout of a convolution's weights by the number of windows there, and lays out
    anew, for up to ten times the time of the products, what was packed for another.
    """
    return dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() == "AVX2"


def _beyond_avx2(dtype: torch.dtype) -> bool:
    return not _with_avx2(dtype)


class Entry(NamedTuple):
    """A way to compute an operation.

    Attributes:
        name: Whose code it is.
        there: Says whether it can compute in a type here.
        make: Packs weights, and returns what is called at each step.
        pays: Says whether it is the fastest way of a type on this processor's instructions, as
            `benchmarks/kernels.py` measures and docs/performance.md tells.
    """

    name: str
    there: Callable[[torch.dtype], bool]
    make: Callable[..., Any]
    pays: Callable[[torch.dtype], bool] = _anywhere


class Operation(NamedTuple):
    """An operation, its ways in the order of preference, and values to try them on.

    Attributes:
        entries: The ways but the portable one.
        make: The portable one.
        weights: Give the arguments of `make` for the trial.
        inputs: And those of what it returns.
        types: That it is asked for in.
    """

    entries: tuple[Entry, ...]
    make: Callable[..., Any]
    weights: Callable[[torch.dtype], tuple[Any, ...]]
    inputs: Callable[[torch.dtype], tuple[Any, ...]]
    types: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16)


def _values(dtype: torch.dtype, *shape: int) -> Tensor:
    """Return values between -1 and 1 that float16 and bfloat16 hold exactly."""
    count = torch.Size(shape).numel()
    return ((torch.arange(count) * 7 % 17 - 8) / 8).view(shape).to(dtype)


def _image(dtype: torch.dtype) -> Tensor:
    return _values(dtype, 2, 16, 1, 9).contiguous(memory_format=torch.channels_last)


def _affine(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return _values(dtype, 16, 32), _values(dtype, 16)


def _recurrent(dtype: torch.dtype) -> tuple[Tensor, ...]:
    return (*(_values(dtype, 64, 16) for _ in range(2)), *(_values(dtype, 64) for _ in range(2)))


_ONEDNN = Entry("oneDNN", onednn.there, onednn.linear)
OPERATIONS = {
    "row": Operation(
        (
            Entry("FBGEMM", fbgemm.there, fbgemm.row),
            Entry("FBGEMM (newer call)", fbgemm.there, fbgemm.linear),
        ),
        plain.linear,
        _affine,
        lambda dtype: (_values(dtype, 1, 32),),
        (torch.float32,),
    ),
    "half rows": Operation(
        (
            Entry("FBGEMM (older call)", fbgemm.there, fbgemm.rows, _with_avx2),
            Entry("FBGEMM", fbgemm.there, fbgemm.linear),
            _ONEDNN,
        ),
        plain.linear,
        _affine,
        lambda dtype: (_values(dtype, 3, 32),),
        (torch.float32,),
    ),
    "rows": Operation(
        (_ONEDNN._replace(pays=_beyond_avx2),),
        plain.linear,
        _affine,
        lambda dtype: (_values(dtype, 3, 32),),
    ),
    "few rows": Operation(
        (_ONEDNN,),
        plain.linear,
        _affine,
        lambda dtype: (_values(dtype, 2, 32),),
        (torch.float32,),
    ),
    "windows": Operation(
        (
            Entry("minimal filtering", _anywhere, minimal.windows, _with_avx2),
            Entry("a product a tap", _anywhere, taps.windows, _with_avx2),
            Entry("oneDNN", onednn.there, onednn.windows),
        ),
        plain.windows,
        lambda dtype: (_values(dtype, 128, 64), _values(dtype, 64), 32, 2, 1),
        lambda dtype: (_values(dtype, 2, 12, 32), 5),
    ),
    "image": Operation(
        (Entry("oneDNN", onednn.there, onednn.image),),
        plain.image,
        lambda dtype: (_values(dtype, 16, 16, 3), _values(dtype, 16), 2, 2),
        lambda dtype: (_image(dtype), None, _image(dtype)),
    ),
    "lstm": Operation(
        (Entry("oneDNN", onednn.there, onednn.lstm),),
        plain.lstm,
        _recurrent,
        lambda dtype: (_values(dtype, 3, 2, 16), _values(dtype, 2, 16), _values(dtype, 2, 16)),
    ),
    "elu": Operation(
        (Entry("tiles", _anywhere, lambda: pointwise.elu),),
        lambda: plain.elu,
        lambda dtype: (),
        lambda dtype: (_values(dtype, 2, 3, 50),),
    ),
    "snake": Operation(
        (Entry("tiles", _anywhere, lambda: pointwise.snake),),
        lambda: plain.snake,
        lambda dtype: (),
        lambda dtype: (_values(dtype, 2, 3, 50), torch.ones(1, 3, 1, dtype=dtype)),
    ),
    "argmax": Operation(
        (Entry("NumPy", lambda dtype: dtype == torch.float32, lambda: pointwise.argmax),),
        lambda: plain.argmax,
        lambda dtype: (),
        lambda dtype: (_values(dtype, 3, 50),),
        (torch.float32,),
    ),
    "power spectrum": Operation(
        (Entry("PyTorch's FFT", _anywhere, transforms.fft_power),),
        transforms.power,
        lambda dtype: (48, _values(dtype, 48) / 8),
        lambda dtype: (_values(dtype, 2, 48),),
        (torch.float32,),
    ),
    "inverse spectrum": Operation(
        (
            Entry(
                "PyTorch's FFT, sines apart",
                _anywhere,
                transforms.fft_synthesis_in_parts,
                _with_avx2,
            ),
            Entry("PyTorch's FFT", _anywhere, transforms.fft_synthesis),
        ),
        transforms.synthesis,
        lambda dtype: (48, _values(dtype, 48)),
        lambda dtype: (_values(dtype, 2, 25).abs(), _values(dtype, 2, 25)),
        (torch.float32,),
    ),
}


def choose(operation: str, dtype: torch.dtype) -> Entry | None:
    """Return the entry that computes an operation in a type here; None for the portable one."""
    return None if is_portable() else _found(operation, dtype)


def pack(operation: str, dtype: torch.dtype) -> Callable[..., Any]:
    """Return what packs weights for an operation in a type, and returns what computes it."""
    entry = choose(operation, dtype)
    return OPERATIONS[operation].make if entry is None else entry.make


def function(operation: str, dtype: torch.dtype) -> Callable[..., Tensor]:
    """Return what computes an operation that has no weights to pack."""
    return pack(operation, dtype)()


@cache
def _found(operation: str, dtype: torch.dtype) -> Entry | None:
    for entry in OPERATIONS[operation].entries:
        if entry.pays(dtype) and _works(operation, entry, dtype):
            return entry
    return None


def _works(operation: str, entry: Entry, dtype: torch.dtype) -> bool:
    """Try an entry against the portable one."""
    try:
        if not entry.there(dtype):
            return False
        error = _error(OPERATIONS[operation], entry, dtype)
        fault = f"results differ by {error:g}"
        right = error <= (1e-4 if dtype == torch.float32 else 0.25)
    except Exception as failure:  # noqa: BLE001 - whatever is wrong with it, there are other ways
        right, fault = False, str(failure).splitlines()[0] if str(failure) else repr(failure)
    if not right:
        _LOG.warning("%s of %s in %s is not used: %s", operation, entry.name, dtype, fault)
    return right


def _error(tried: Operation, entry: Entry, dtype: torch.dtype) -> float:
    # the first call may come from within a training step in half precision
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        weights, inputs = tried.weights(dtype), tried.inputs(dtype)
        found, meant = entry.make(*weights)(*inputs), tried.make(*weights)(*inputs)
    pairs = [(found, meant)] if isinstance(found, Tensor) else zip(found, meant, strict=True)
    return max(float((a.float() - b.float()).abs().max()) for a, b in pairs)


def describe() -> Iterator[tuple[str, str, str]]:
    """Yield each operation, a type, and whose code computes it here."""
    for operation, about in OPERATIONS.items():
        for dtype in about.types:
            entry = choose(operation, dtype)
            yield operation, str(dtype).removeprefix("torch."), entry.name if entry else "PyTorch"
