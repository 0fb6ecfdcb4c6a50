"""Values computed from a module's tensors and kept while those stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Derived(Generic[T]):
    """Keeps `compute(source)` until the source is replaced or written to (not through `.data`).

    While gradients are wanted the value is computed anew, so that they flow. Copies of a module and
    pickles of it start without the kept value.
    """

    def __init__(self, compute: Callable[[Tensor], T]) -> None:
        self._compute = compute
        self._kept: tuple[Tensor, int, T] | None = None

    def __call__(self, source: Tensor) -> T:
        """Return the value for this source."""
        if torch.is_grad_enabled() and source.requires_grad:
            return self._compute(source)
        version = 0 if source.is_inference() else source._version
        kept = self._kept
        if kept is None or kept[1] != version or not _same(kept[0], source):
            alias = (
                source.detach()
            )  # held, so that its address cannot come back as another tensor's
            kept = self._kept = (alias, version, self._compute(alias))
        return kept[2]

    def __deepcopy__(self, memo: dict[int, object]) -> Derived[T]:
        return Derived(self._compute)

    def __reduce__(self) -> tuple[object, ...]:
        return (Derived, (self._compute,))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.dtype == b.dtype and a.device == b.device
