"""Making codes with a language model: one loop, for whole results and for streams.

Frames are counted in whole numbers. Where a model hears only so many frames, a window moves on:
the last of what was made is read again from position 0, as AudioCraft does; where its context is
bounded and positions are relative there are no windows, and no end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.lm.model import Conditions, LMModel, LMState
from ncodec.lm.sampling import Sampling, generators_of, guided


@dataclass(frozen=True)
class Guided:
    """Conditions of items, and how strongly they lead.

    Attributes:
        conditions: Of the items, or None; those with a text come first.
        guided: How many items, from the first, have a condition that leads.
        guidance: By how much; 1 is the condition alone, 0 none.
        two_step: Run the pass without the condition by itself.
    """

    conditions: Conditions | None = None
    guided: int = 0
    guidance: float = 1.0
    two_step: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        frames: New ones; None: without end.
        window: Frames that the model hears at most, or None.
        stride: Frames that the window moves on by.
    """

    frames: int | None
    window: int | None
    stride: int


class Passes:
    """Logits of the next codes, led by the condition: one pass with two rows an item, or two."""

    def __init__(self, model: LMModel, items: int, led: Guided, null: Tensor | None) -> None:
        """Begin before the first step; `null` is what is added without a condition, if anything."""
        self._model, self._items, self._led = model, items, led
        doubled = led.guided if led.guidance != 1 else 0
        conditions = led.conditions
        if conditions is not None and conditions.added is not None and doubled:
            assert null is not None
            conditions = Conditions(
                added=torch.cat([conditions.added, null.expand(doubled, -1)]) if not led.two_step
                else conditions.added
            )  # fmt: skip
        self._doubled = doubled
        if doubled and led.two_step:
            alone = None if null is None else Conditions(added=null.expand(doubled, -1))
            self._null: LMState | None = model.initial_state(doubled, alone)
            self._state = model.initial_state(items, conditions)
        else:
            self._null = None
            self._state = model.initial_state(items + doubled, conditions)

    def next(self, sequence: Tensor) -> Tensor:
        """Take the next steps `[B, K, S]`; return logits `[B, K, V]` of the one after them."""
        model, doubled = self._model, self._doubled
        rows = sequence
        if doubled and self._null is None:
            rows = torch.cat([sequence, sequence[:doubled]])
        hidden, self._state = model.hidden(rows, self._state)
        logits = model.heads(hidden[:, -1:])[:, :, 0]
        if not doubled:
            return logits
        if self._null is None:
            own, null = logits[: self._items], logits[self._items :]
        else:
            hidden, self._null = model.hidden(sequence[:doubled], self._null)
            own, null = logits, model.heads(hidden[:, -1:])[:, :, 0]
        led = guided(own[:doubled], null, self._led.guidance)
        return led if doubled == self._items else torch.cat([led, own[doubled:]])


def generate_frames(
    model: LMModel,
    led: Guided,
    plan: Plan,
    seeds: Sequence[int],
    sampling: Sampling,
    *,
    prompt: Tensor | None = None,
) -> Iterator[Tensor]:
    """Yield new frames, codes int64 `[B, K]` each, as they become complete.

    Args:
        model: The language model.
        led: The items' conditions.
        plan: How many frames, and the windows.
        seeds: One for each item.
        sampling: How codes are drawn.
        prompt: Codes `[B, K, F]` that go before; they are not yielded.

    Raises:
        ArgumentError: The prompt fills the window, or the model's pattern cannot do without an end.
    """
    items, generators = len(seeds), generators_of(seeds)

    def draw(logits: Tensor) -> Tensor:
        return sampling.draw(logits, generators)

    heard = prompt if prompt is not None else torch.zeros(items, model.num_codebooks, 0).long()
    heard = heard.to(model.device)
    sampling.check(model.num_codebooks)
    if plan.window is not None and heard.shape[2] >= plan.window:
        raise ArgumentError(
            f"prompt of {heard.shape[2]} frames: {model.name} hears {plan.window}, which must have "
            "room for new ones"
        )
    left = plan.frames
    if plan.window is None and model.pattern.streams:
        # Training has shown it no end, so none is told: frames are as in a longer piece.
        yield from islice(_window(model, led, heard, None, draw), left)
        return
    while left is None or left > 0:
        room = None if plan.window is None else plan.window - heard.shape[2]
        count = room if left is None else left if room is None else min(left, room)
        if count is None:
            raise ArgumentError(f"pattern {model.pattern.name!r}: needs an end")
        made: list[Tensor] = []
        for frame in _window(model, led, heard, count, draw):
            if plan.window is not None:
                made.append(frame)
            yield frame
        left = None if left is None else left - count
        if plan.window is not None:
            kept = plan.window - plan.stride
            heard = torch.cat([heard, torch.stack(made, dim=2)], dim=2)[..., -kept:]


def _window(
    model: LMModel,
    led: Guided,
    prompt: Tensor,
    count: int | None,
    draw: Callable[[Tensor], Tensor],
) -> Iterator[Tensor]:
    """Yield `count` new frames after a prompt that is read from position 0."""
    items, codebooks, known = prompt.shape
    end = None if count is None else known + count
    null = model.tag_conditions([()]).added if model.tags is not None else None
    passes, special = Passes(model, items, led, null), model.special_token_id
    waiting, partial, following = list[Tensor](), defaultdict[int, dict[int, Tensor]](dict), known
    drawn: Tensor | None = None
    for step in model.pattern.steps(end):
        due = [code for code in step if end is None or code.frame < end]
        if drawn is None and any(code.frame >= known for code in due):
            drawn = draw(passes.next(torch.stack(waiting, dim=2)))
        elif drawn is not None:
            drawn = draw(passes.next(waiting[-1][..., None]))
        tokens = torch.full((items, codebooks), special, device=model.device)
        for frame, codebook in due:
            if frame < known:
                tokens[:, codebook] = prompt[:, codebook, frame]
                continue
            assert drawn is not None
            tokens[:, codebook] = drawn[:, codebook]
            partial[frame][codebook] = drawn[:, codebook]
        waiting = [*waiting, tokens] if drawn is None else [tokens]
        while len(partial[following]) == codebooks:
            made = partial.pop(following)
            yield torch.stack([made[k] for k in range(codebooks)], dim=1)
            following += 1
