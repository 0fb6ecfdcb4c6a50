"""Batches of random segments for training, from worker processes if there are some."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ncodec.datasets import Augment, Clip, Draw, Items
from ncodec.datasets.training import OrderedDataset, Row
from ncodec.errors import NcodecError
from ncodec.train.config import DataSection
from ncodec.train.stopping import ignore_signals


class Segments(Dataset[Tensor]):
    """Item i: a segment `[C, T]` drawn from `clips`, augmented; always the same (see `Items`).

    Args:
        clips: What to draw from, by duration within a kind.
        options: Shares, length and augmentation.
        sample_rate: Of the segments, in Hz.
        channels: Of the segments; mono files fill both, stereo is mixed down for 1.
        samples: Length of a segment.
        seed: Of all draws.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        options: DataSection,
        *,
        sample_rate: int,
        channels: int,
        samples: int,
        seed: int,
    ) -> None:
        augment = Augment(**{name: getattr(options, name) for name in AUGMENTATIONS})
        self.items = Items(
            Draw(clips, options.kinds),
            augment,
            rate=sample_rate,
            channels=channels,
            samples=samples,
            seed=seed,
        )

    def __getitem__(self, index: int) -> Tensor:
        """Return segment `index`, float32 `[C, T]`.

        Raises:
            ArgumentError: Time and again the files that were drawn could not be used.
        """
        return torch.from_numpy(self.items[index].audio)


AUGMENTATIONS = tuple(field.name for field in fields(Augment))


def batches(
    segments: Dataset[Any], options: DataSection, *, step: int, rank: int, world: int
) -> Iterator[Any]:
    """Yield this process's batches from step `step` on; of `Segments` they are `[B, C, T]`.

    `rank` is its number of `world`.

    Raises:
        ArgumentError: As `Segments` does, also where a worker read.
    """
    dataset = _Numbered(segments, options.batch, rank, world)
    dataset.load_state_dict({"epoch": 0, "row": step * options.batch})
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=options.batch,
        collate_fn=_stack,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        worker_init_fn=ignore_signals,
    )
    iterator: Any = iter(loader)
    # Workers ignore the signals that end a run, and so the one that would end them at its exit.
    end = iterator._shutdown_workers if options.workers else _nothing
    atexit.register(end)
    try:
        yield from iterator
    except NcodecError as error:  # from a worker it comes with a traceback in its text
        raise type(error)(str(error).rstrip().splitlines()[-1].split("Error: ")[-1]) from None
    finally:
        atexit.unregister(end)
        end()


class _Numbered(OrderedDataset):
    """Items by their numbers, in the order that all data sets have."""

    def __init__(self, items: Dataset[Any], batch: int, rank: int, world: int) -> None:
        super().__init__(batch, rank, world)
        self._items = items

    def read(self, epoch: int, numbers: Iterator[int]) -> Iterator[Row]:
        """See OrderedDataset."""
        for number in numbers:
            yield {"item": self._items[number]}


def _stack(rows: Sequence[Row]) -> Any:
    return default_collate([row["item"] for row in rows])


def _nothing() -> None:
    """There are no workers."""
