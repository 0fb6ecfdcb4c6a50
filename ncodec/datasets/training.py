"""Sets for training, as PyTorch's `IterableDataset`: one order of rows, from any place on.

The order of an epoch is drawn from a seed. Row n of a rank is the same with any number of workers
of a `DataLoader`: they take whole batches in turn, as the loader asks for them. So a place in an
epoch is one number, and a run that goes on, with as many workers as it likes, hears what it would
have heard.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ncodec.arguments import check_whole
from ncodec.datasets.formats import Coded
from ncodec.datasets.items import Items
from ncodec.datasets.run import Run
from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel

Row = dict[str, Any]


class OrderedDataset(IterableDataset[Row]):
    """Rows in an order that nothing but a seed decides; see the module.

    Args:
        batch: The `batch_size` of the `DataLoader` that reads it.
        rank: Of this process; as `torch.distributed` or its environment says by default.
        world: How many processes share the rows.
    """

    def __init__(self, batch: int, rank: int | None, world: int | None) -> None:
        super().__init__()
        own_rank, own_world = _place()
        self.batch = check_whole("batch", batch, 1)
        self.world = check_whole("world", own_world if world is None else world, 1)
        self.rank = check_whole("rank", own_rank if rank is None else rank, 0, self.world - 1)
        self._epoch = self._row = self._origin = 0

    @property
    def rows(self) -> int | None:
        """Rows of an epoch that this rank has, the same number on all; None if it never ends."""
        return None

    def read(self, epoch: int, numbers: Iterator[int]) -> Iterator[Row]:
        """Yield rows of an epoch by their numbers in its order, which rise."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Row]:
        """Yield the rest of the epoch; the next call yields the next one."""
        positions = list[int]()  # the last one that was read

        def numbers() -> Iterator[int]:
            for position in self._positions():
                positions[:] = [position]
                yield self._number(position)

        for row in self.read(self._epoch, numbers()):
            self._row = positions[0] + 1
            yield row
        self._epoch, self._row, self._origin = self._epoch + 1, 0, 0

    def _positions(self) -> Iterator[int]:
        """Yield what this worker is to read of the rank's rows; batches go round."""
        worker = get_worker_info()
        number, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        at, end = self._row, self.rows
        while end is None or at < end:
            if (at // self.batch - self._origin) % of == number:
                yield at
                at += 1
            else:
                at = (at // self.batch + 1) * self.batch

    def _number(self, position: int) -> int:
        """Return which row of all a row of this rank is: batches go round the ranks."""
        group, at = divmod(position, self.batch)
        size = self.batch
        if self.rows is not None:
            size = min(size, self.rows - group * self.batch)  # the last batch of each
        return group * self.batch * self.world + self.rank * size + at

    def set_epoch(self, epoch: int) -> None:
        """Begin with an epoch."""
        self.load_state_dict({"epoch": epoch, "row": 0})

    def state_dict(self) -> dict[str, int]:
        """Return the place, as it is in this process or this worker; see `Loader`."""
        return {"epoch": self._epoch, "row": self._row, "origin": self._origin}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a place, with any number of workers.

        Raises:
            ArgumentError: It is none, or stands inside a batch.
        """
        try:
            epoch, row = (check_whole(name, state[name], 0) for name in ("epoch", "row"))
        except (KeyError, TypeError):
            raise ArgumentError(f"state {state!r}: must have epoch and row") from None
        origin = state.get("origin", 0)
        if get_worker_info() is None:  # a loader that begins here asks its first worker first
            origin = row // self.batch
        self._epoch, self._row, self._origin = epoch, row, origin


class CodesDataset(OrderedDataset):
    """Recordings as codes, from a folder of `ncodec tokenize`, in any of its formats.

    A row is a dict: `codes` int64 `[K, F]`, `id`, `seconds`, `samples`, `rate`, `channels`, `text`
    and `tags`. Shards are shuffled, and the rows of `pool` shards among themselves, which are in
    memory together. All ranks have as many rows: some begin anew at the end, unless `drop_last`.

    Args:
        folder: Where the shards are.
        shuffle: Draw an order for each epoch.
        seed: Of the order.
        batch: The `batch_size` of the `DataLoader` that reads it.
        pool: Shards that are in memory together.
        drop_last: Leave out rows at the end, so that all batches are full and no row comes twice.
        rank: Of this process; as `torch.distributed` or its environment says by default.
        world: How many processes share the rows.

    Raises:
        ArgumentError: There are no codes, not all of them yet, or too few for the ranks.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        shuffle: bool = True,
        seed: int = 0,
        batch: int = 1,
        pool: int = 4,
        drop_last: bool = False,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__(batch, rank, world)
        self.run = Run.open(folder)
        self._shuffle, self._seed, self._drop_last = shuffle, seed, drop_last
        self._pool = check_whole("pool", pool, 1) if shuffle else 1
        try:
            self._sizes = [summary["rows"] for summary in self.run.summaries()]
        except FileNotFoundError:
            raise ArgumentError(f"{folder}: not all shards are there; tokenize on") from None
        self._all = sum(self._sizes)
        if not self.rows:
            raise ArgumentError(f"{folder}: {self._all} rows are too few for {self.world} ranks")

    @property
    def about(self) -> Mapping[str, Any]:
        """What all codes have in common: model, fingerprint, codebook sizes and so on."""
        return self.run.about

    @property
    def rows(self) -> int:
        """See OrderedDataset."""
        if self._drop_last:
            return self._all // (self.batch * self.world) * self.batch
        return -(-self._all // self.world)

    def __len__(self) -> int:
        """Return the rows of an epoch that this rank has."""
        return self.rows

    def read(self, epoch: int, numbers: Iterator[int]) -> Iterator[Row]:
        """See OrderedDataset."""
        pools = self._pools(epoch)
        starts = [pool.start for pool in pools]
        now, rows = -1, list[Coded]()
        for number in numbers:
            own = number % self._all  # ranks that have no row left begin anew
            which = bisect_right(starts, own) - 1
            if which != now:
                now, rows = which, self._load(pools[which], epoch)
            yield _as_row(rows[own - starts[which]])

    def _pools(self, epoch: int) -> list[_Pool]:
        shards = [n for n, size in enumerate(self._sizes) if size]
        if self._shuffle:
            rng = np.random.default_rng([self._seed, epoch])
            shards = [shards[i] for i in rng.permutation(len(shards))]
        pools, start = list[_Pool](), 0
        for begin in range(0, len(shards), self._pool):
            part = shards[begin : begin + self._pool]
            pools.append(_Pool(start, part))
            start += sum(self._sizes[n] for n in part)
        return pools

    def _load(self, pool: _Pool, epoch: int) -> list[Coded]:
        rows = [row for number in pool.shards for row in self.run.read(number)]
        if not self._shuffle:
            return rows
        rng = np.random.default_rng([self._seed, epoch, pool.start, 1])
        return [rows[i] for i in rng.permutation(len(rows))]


class _Pool(NamedTuple):
    """Shards that are read together, and the number of their first row in an epoch."""

    start: int
    shards: Sequence[int]


def _as_row(coded: Coded) -> Row:
    codes = torch.from_numpy(coded.codes.astype(np.int64))
    told = coded.about()
    return {**told, "codes": codes, "tags": dict(coded.tags)}


class AudioDataset(OrderedDataset):
    """Endless random stretches of recordings; see `Items`, which makes them.

    A row is a dict: `audio` float32 `[C, T]`, `path` of the recording ("" for synthetic tones) and
    `start` in seconds.

    Args:
        items: What makes them.
        batch: The `batch_size` of the `DataLoader` that reads it.
        rank: Of this process; as `torch.distributed` or its environment says by default.
        world: How many processes share the rows.
    """

    def __init__(
        self,
        items: Items,
        *,
        batch: int = 1,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__(batch, rank, world)
        self._items = items

    def read(self, epoch: int, numbers: Iterator[int]) -> Iterator[Row]:
        """See OrderedDataset."""
        for number in numbers:
            item = self._items[number]
            path = str(item.clip.path) if item.clip is not None else ""
            yield {"audio": torch.from_numpy(item.audio), "path": path, "start": item.start}


class Decoded(OrderedDataset):
    """Rows of codes with their sound: `audio` float32 `[C, T]` at the model's rate.

    Order, ranks and place are those of the codes, which it takes over.

    Args:
        codes: What it decodes.
        model: The one that made them.

    Raises:
        ArgumentError: The model is another one.
    """

    def __init__(self, codes: CodesDataset, model: CompressionModel) -> None:
        super().__init__(codes.batch, codes.rank, codes.world)
        if model.fingerprint.hex() != codes.about["fingerprint"]:
            raise ArgumentError(
                f"made with {codes.about['model']}, another model than {model.name}"
            )
        self._codes, self._model = codes, model
        self.load_state_dict(codes.state_dict())

    @property
    def rows(self) -> int:
        """See OrderedDataset."""
        return self._codes.rows

    def __len__(self) -> int:
        """Return the rows of an epoch that this rank has."""
        return self.rows

    def read(self, epoch: int, numbers: Iterator[int]) -> Iterator[Row]:
        """See OrderedDataset."""
        for row in self._codes.read(epoch, numbers):
            codes = row["codes"][None].to(self._model.device)
            with torch.inference_mode():
                audio = self._model.decode(codes)[0].cpu()
            samples = -(-row["samples"] * self._model.sample_rate // row["rate"])
            yield {**row, "audio": audio[:, :samples].clone()}


class Loader:
    """A `DataLoader` that knows its place, with any number of workers.

    Args:
        dataset: What it reads, epoch after epoch, one each time it is iterated.
        workers: Processes that read; 0 reads in this one.
        collate: Makes a batch of rows; a list of them by default. See `pad`.
    """

    def __init__(
        self,
        dataset: OrderedDataset,
        *,
        workers: int = 0,
        collate: Callable[[list[Row]], Any] = list,
    ) -> None:
        self._dataset, self._workers, self._collate = dataset, workers, collate
        place = dataset.state_dict()
        self._epoch, self._row = place["epoch"], place["row"]

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches that are left of the epoch; the next call begins the next one."""
        self._dataset.load_state_dict(self.state_dict())
        loader: DataLoader[Any] = DataLoader(
            self._dataset,
            batch_size=self._dataset.batch,
            num_workers=self._workers,
            collate_fn=self._collate,
        )
        for batch in loader:
            self._row += self._dataset.batch
            yield batch
        self._epoch, self._row = self._epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Return the place behind the batch that was given last."""
        return {"epoch": self._epoch, "row": self._row}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a place, with any number of workers.

        Raises:
            ArgumentError: It is none.
        """
        self._dataset.load_state_dict(state)
        place = self._dataset.state_dict()
        self._epoch, self._row = place["epoch"], place["row"]


def pad(rows: Sequence[Row], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Return the codes of rows as int64 `[B, K, F]`, filled up at the end, and their lengths."""
    codes = [row["codes"] for row in rows]
    lengths = torch.tensor([c.shape[1] for c in codes])
    batch = codes[0].new_full((len(codes), codes[0].shape[0], int(lengths.max())), fill)
    for own, c in zip(batch, codes, strict=True):
        own[:, : c.shape[1]] = c
    return batch, lengths


def _place() -> tuple[int, int]:
    """Return the rank of this process and their number."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    rank, world = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    return (int(rank), int(world)) if rank.isdecimal() and world.isdecimal() else (0, 1)
