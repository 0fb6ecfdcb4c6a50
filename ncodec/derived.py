"""Values computed from a module's tensors and kept while those stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Derived(Generic[T]):
    """Keeps `compute(*sources)`, say a re-laid weight, until a source is replaced or written to.

    While gradients are wanted the value is computed anew, so that they flow. Copies of a module and
    pickles of it start without the kept value.
    """

    def __init__(self, compute: Callable[..., T]) -> None:
        self._compute = compute
        self._kept: tuple[tuple[object, ...], T] | None = None

    def __call__(self, *sources: Tensor) -> T:
        """Return the value for these sources."""
        if torch.is_grad_enabled() and any(s.requires_grad for s in sources):
            return self._compute(*sources)
        kept, stamp = self._kept, tuple(_stamp(s) for s in sources)
        if kept is None or kept[0] != stamp:
            kept = (stamp, self._compute(*(s.detach() for s in sources)))
            self._kept = kept
        return kept[1]

    def __deepcopy__(self, memo: dict[int, object]) -> Derived[T]:
        return Derived(self._compute)

    def __reduce__(self) -> tuple[object, ...]:
        return (Derived, (self._compute,))


def _stamp(tensor: Tensor) -> tuple[object, ...]:
    version = 0 if tensor.is_inference() else tensor._version
    return (tensor.data_ptr(), version, tensor.dtype, tensor.shape)
