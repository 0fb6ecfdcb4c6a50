"""Values computed from a module's tensors and kept while those stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ncodec.kernels.switch import is_exporting, is_portable

T = TypeVar("T")


class Derived(Generic[T]):
    """Keeps `compute(*sources)` until one is replaced or written to (not through `.data`).

    While gradients are wanted the value is computed anew, so that they flow. What is kept is made
    outside inference mode, so that it serves all modes. Of tensors that were made in inference
    mode, whose changes nothing counts, nothing is kept. Copies of a module and pickles of it start
    without the kept value.
    """

    def __init__(self, compute: Callable[..., T]) -> None:
        self._compute = compute
        self._kept: tuple[list[int], list[Tensor], T] | None = None

    def __call__(self, *sources: Tensor | None) -> T:
        """Return the value for these sources."""
        if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in sources):
            return self._compute(*_given(sources))
        seen = [int(is_portable())]
        try:
            for source in sources:  # a frame of a stream comes here some twenty times
                if source is not None:
                    seen += (source.data_ptr(), source._version)
        except RuntimeError:  # of inference mode, or a stand-in without memory while tracing
            return self._compute(*_given(sources))
        kept = self._kept
        if kept is None or kept[0] != seen:
            if is_exporting():  # a graph computes it from its weights
                return self._compute(*_given(sources))
            with torch.inference_mode(False), torch.no_grad():
                aliases = [x.detach() for x in _given(sources)]  # no other gets their address
                kept = self._kept = (seen, aliases, self._compute(*aliases))
        return kept[2]

    def __deepcopy__(self, memo: dict[int, Any]) -> Derived[T]:
        return Derived(copy.deepcopy(self._compute, memo))

    def __reduce__(self) -> tuple[object, ...]:
        return (Derived, (self._compute,))


def _given(sources: Iterable[Tensor | None]) -> list[Tensor]:
    return [source for source in sources if source is not None]


def lasting(compute: Callable[[Any], T]) -> cached_property[T]:
    """As `cached_property`, for parts of a derived value: made outside inference mode too."""

    def outside(owner: Any) -> T:
        wanted = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(wanted):
            return compute(owner)

    outside.__doc__ = compute.__doc__
    return cached_property(outside)


def parts_of(module: nn.Module) -> tuple[Any, ...]:
    """Return a module's parameters, then its modules, each in the order of definition.

    For what runs once a frame: every attribute that a module looks up costs a microsecond.
    """
    own = module.__dict__
    return (*own["_parameters"].values(), *own["_modules"].values())
