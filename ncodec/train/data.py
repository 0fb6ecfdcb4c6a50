"""Batches of random segments for training, from worker processes if there are some."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ncodec.datasets import Augment, Clip, Draw, Items, describe, find_clips
from ncodec.datasets.training import OrderedDataset, Row
from ncodec.errors import NcodecError
from ncodec.train.config import DataSection, TrainConfig
from ncodec.train.stopping import ignore_signals
from ncodec.train.task import Place


class Segments(Dataset[Tensor]):
    """Item i: a segment `[C, T]` drawn from `clips`, augmented; always the same (see `Items`).

    Args:
        clips: What to draw from, by duration within a kind.
        options: Shares, length and augmentation.
        sample_rate: Of the segments, in Hz.
        channels: Of the segments; mono files fill both, stereo is mixed down for 1.
        samples: Length of a segment.
        seed: Of all draws.

    Attributes:
        samples: Length of a segment.
        seconds: The same.
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
        self.samples, self.seconds = samples, samples / sample_rate
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


class Recordings:
    """What a run hears and what it is measured on, as its section `data` says.

    Args:
        config: Of the run.
        place: Where it computes, and which part of each batch is this process's.

    Attributes:
        validation: What is never trained on.

    Raises:
        ArgumentError: There are no such recordings.
    """

    def __init__(self, config: TrainConfig, place: Place) -> None:
        self._config, self._place = config, place
        held_out = config.data.validation
        self.validation: Sequence[Clip] = find_clips(held_out) if held_out else ()

    @cached_property
    def clips(self) -> Sequence[Clip]:
        """What it learns from; looked for when it is first asked for."""
        return find_clips(self._config.data.sources, self._config.data.exclude)

    def __str__(self) -> str:
        """How many there are, and the minutes of each kind."""
        return describe(self.clips)

    def frames(self, sample_rate: int, hop: int) -> int:
        """Return how many hops come nearest to `data.seconds`, at least one."""
        return max(1, round(self._config.data.seconds * sample_rate / hop))

    def segments(
        self, sample_rate: int, hop: int, *, channels: int = 1, frames: int | None = None
    ) -> Segments:
        """Return segments of as many hops, those of `data.seconds` by default."""
        count = self.frames(sample_rate, hop) if frames is None else frames
        return Segments(
            self.clips,
            self._config.data,
            sample_rate=sample_rate,
            channels=channels,
            samples=count * hop,
            seed=self._config.seed,
        )

    def batches(self, items: Dataset[Any], step: int) -> Iterator[Any]:
        """Yield this process's batches of items from step `step` on; see `batches`."""
        place = self._place
        return batches(items, self._config.data, step=step, rank=place.rank, world=place.world)


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
