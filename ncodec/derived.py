"""Values computed from a module's tensors and kept while those stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Derived(Generic[T]):
    """Keeps `compute(*sources)` until one is replaced or written to (not through `.data`).

    While gradients are wanted the value is computed anew, so that they flow. Copies of a module and
    pickles of it start without the kept value.
    """

    def __init__(self, compute: Callable[..., T]) -> None:
        self._compute = compute
        self._kept: tuple[tuple[tuple[Tensor, int], ...], T] | None = None

    def __call__(self, *sources: Tensor) -> T:
        """Return the value for these sources."""
        if torch.is_grad_enabled() and any(source.requires_grad for source in sources):
            return self._compute(*sources)
        kept = self._kept
        if kept is None or not all(map(_unchanged, kept[0], sources)):
            seen = tuple((source.detach(), _version(source)) for source in sources)
            kept = self._kept = (seen, self._compute(*(alias for alias, _ in seen)))
        return kept[1]

    def __deepcopy__(self, memo: dict[int, object]) -> Derived[T]:
        return Derived(self._compute)

    def __reduce__(self) -> tuple[object, ...]:
        return (Derived, (self._compute,))


_Seen = tuple[Tensor, int]  # an alias, so that its address cannot become another's, and a version


def _unchanged(seen: _Seen, source: Tensor) -> bool:
    alias, version = seen
    same = alias.data_ptr() == source.data_ptr() and alias.dtype == source.dtype
    return same and alias.device == source.device and version == _version(source)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
