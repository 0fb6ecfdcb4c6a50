"""What a language model in training is told of an item: some of its tags, or its description."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.lm.model import Conditions, LMModel
from ncodec.lm.text import MAX_CHARACTERS, TextEncoder

Labels = Mapping[str, Any]
Encoder = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
"""Texts to `[C, L, W]` and the mask `[C, L]`, as `TextEncoder`."""
_KEPT = 4096
"""Descriptions whose encodings are remembered: some 60 kB each."""


class Told(NamedTuple):
    """What rows are conditioned on.

    Attributes:
        order: Items by their numbers, in the order that the conditions have.
        conditions: Of them; None where the model takes none.
    """

    order: list[int]
    conditions: Conditions | None


class Telling(ABC):
    """Which conditions items have by their names; each item is dropped by itself.

    Args:
        name: From an item's labels to what it is called by; "" is nothing.
        drop: Probability that an item is told nothing.
        drop_each: Probability that it is not told one of its words.
    """

    def __init__(self, name: Callable[[Labels], str], drop: float, drop_each: float) -> None:
        self.name, self._drop, self._each = name, drop, drop_each

    @abstractmethod
    def tell(self, model: LMModel, names: Sequence[str], rng: np.random.Generator | None) -> Told:
        """Return the conditions of items; without a generator nothing is dropped."""

    def kept(self, words: Sequence[str], rng: np.random.Generator | None) -> tuple[str, ...]:
        """Return the words that an item is told."""
        if rng is None:
            return tuple(words)
        kept = tuple(word for word in words if rng.random() >= self._each)
        return () if rng.random() < self._drop else kept


class Tags(Telling):
    """The tags of a vocabulary that an item's labels name."""

    def __init__(self, vocabulary: Sequence[str], *, drop: float, drop_each: float) -> None:
        super().__init__(_words_in, drop, drop_each)
        self._vocabulary = vocabulary

    def tell(self, model: LMModel, names: Sequence[str], rng: np.random.Generator | None) -> Told:
        """See Telling."""
        named = [name.split() for name in names]
        told = [self.kept([t for t in self._vocabulary if t in words], rng) for words in named]
        conditions = None if model.tags is None else model.tag_conditions(told)
        return Told(list(range(len(names))), conditions)


class Descriptions(Telling):
    """The text of a label, by way of a text encoder that learns nothing."""

    def __init__(self, label: str, encoder: Encoder, *, drop: float, drop_each: float) -> None:
        super().__init__(partial(_text_of, label), drop, drop_each)
        self._encoder = encoder

    def tell(self, model: LMModel, names: Sequence[str], rng: np.random.Generator | None) -> Told:
        """See Telling. Items that are told nothing come last, as the model has it."""
        texts = [" ".join(self.kept(name.split(), rng)) for name in names]
        order = sorted(range(len(texts)), key=lambda i: not texts[i])
        said = [texts[i] for i in order if texts[i]]
        if said:
            return Told(order, model.text_conditions(*self._encoder(said)))
        # zeros are what no condition comes to, and all processes have the same gradients to share
        nothing = torch.zeros(1, 1, model.config.text_width), torch.zeros(1, 1, dtype=torch.bool)
        return Told(order, Conditions(model.text_conditions(*nothing).memory))


def _words_in(labels: Labels) -> str:
    """Return the words of all labels, between spaces."""
    texts = (str(text).lower() for text in labels.values())
    return " ".join(word for text in texts for word in re.findall(r"[\w-]+", text))


def _text_of(label: str, labels: Labels) -> str:
    return str(labels.get(label) or "").strip()[:MAX_CHARACTERS]


def telling_of(
    model: LMModel, label: str | None, device: torch.device, *, drop: float, drop_each: float
) -> Telling:
    """Return how a model is told what items are: by a label's text, or by its tags without one.

    Raises:
        ArgumentError: The model takes something else.
        NcodecError: There is no text encoder here.
    """
    config = model.config
    if (config.condition == "text") != (label is not None):
        takes = "descriptions: it names their label" if label is None else config.condition
        raise ArgumentError(f"lm.text = {label!r}: {model.name} takes {takes}")
    if label is None:
        return Tags(config.tags, drop=drop, drop_each=drop_each)
    encoder = TextEncoder(
        config.text_encoder, model.told_by, config.text_width, device=device, kept=_KEPT
    )
    return Descriptions(label, encoder, drop=drop, drop_each=drop_each)
