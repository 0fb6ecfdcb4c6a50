"""Each way of the kernels' table on the shapes that the models have, beside a matrix product.

    python benchmarks/kernels.py [--rounds 7] [--only windows]

One thread, processor time, in turns, best of the rounds, in thousand millions of operations a
second. The last column multiplies matrices of the same sizes that lie ready: the roof. Which entry
pays on which instructions (`ncodec/kernels/table.py`) is read from these tables.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ncodec.kernels import table
from ncodec.runtime import processor_class

WINDOWS = (  # windows, channels, outputs, taps, stride, dilation
    (2400, 32, 64, 4, 2, 1),
    (600, 64, 128, 8, 4, 1),
    (2400, 128, 256, 10, 5, 1),
    (300, 256, 512, 16, 8, 1),
    (4800, 32, 16, 3, 1, 1),
    (2400, 64, 32, 3, 1, 1),
    (600, 128, 64, 3, 1, 1),
    (2400, 256, 128, 3, 1, 1),
    (300, 512, 128, 7, 1, 1),
    (600, 128, 256, 2, 1, 1),
    (300, 512, 2048, 2, 1, 1),
    (2048, 96, 96, 7, 1, 3),
    (689, 512, 512, 7, 1, 3),
)
ROWS = (  # rows, inputs, outputs
    (4800, 32, 32),
    (2400, 64, 64),
    (600, 128, 128),
    (2400, 256, 256),
    (75, 256, 768),
    (75, 384, 1152),
    (75, 1152, 384),
    (1, 384, 1152),
)
Way = Callable[[], Tensor]


def windows(shape: tuple[int, ...]) -> tuple[int, dict[str, Way]]:
    """Return the operations of a convolution, and the ways to compute it."""
    count, channels, out, taps, stride, dilation = shape
    matrix, bias = torch.randn(taps * channels, out), torch.randn(out)
    length = (count - 1) * stride + (taps - 1) * dilation + 1
    x, rows = torch.randn(1, length, channels), torch.randn(count, taps * channels)
    made = {name: make(matrix, bias, channels, stride, dilation) for name, make in ways("windows")}
    works: dict[str, Way] = {
        name: lambda slide=slide: slide(x, count) for name, slide in made.items()
    }
    return 2 * count * matrix.numel(), works | {"roof": lambda: rows @ matrix}


def rows(shape: tuple[int, ...]) -> tuple[int, dict[str, Way]]:
    """Return the operations of a product, and the ways to compute it."""
    count, inputs, out = shape
    weight = (torch.randn(out, inputs) / inputs**0.5).half().float()
    bias, x, columns = torch.randn(out), torch.randn(count, inputs), weight.t().contiguous()
    found = dict(ways("rows")) | dict(ways("half rows"))
    if count == 1:
        found |= {f"{name}, one row": make for name, make in ways("row")}
    made = {name: make(weight, bias) for name, make in found.items()}
    works: dict[str, Way] = {name: lambda call=call: call(x) for name, call in made.items()}
    return 2 * count * weight.numel(), works | {"roof": lambda: x @ columns}


def ways(operation: str) -> list[tuple[str, Callable[..., Callable[..., Tensor]]]]:
    """Return whose ways there are here, and what packs weights for them."""
    about = table.OPERATIONS[operation]
    there = [entry for entry in about.entries if entry.there(torch.float32)]
    return [("PyTorch", about.make), *((entry.name, entry.make) for entry in there)]


def rates(operations: int, works: dict[str, Way], rounds: int) -> dict[str, float]:
    """Return the best rate of each in GFLOP/s; each round has another order."""
    repeats, best = max(1, 20_000_000 // operations), dict.fromkeys(works, float("inf"))
    for number in range(rounds + 1):
        for name in random.sample(list(works), len(works)):
            start = time.thread_time()
            for _ in range(repeats):
                works[name]()
            if number:
                best[name] = min(best[name], (time.thread_time() - start) / repeats)
    return {name: operations / took / 1e9 for name, took in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="repetitions in turns")
    parser.add_argument("--only", choices=["windows", "rows"], help="one of the tables")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{processor_class()}; torch {torch.__version__}\n")
    tables = {"windows": (windows, WINDOWS), "rows": (rows, ROWS)}
    with torch.inference_mode():
        for name, (build, shapes) in tables.items():
            for shape in shapes if args.only in (None, name) else ():
                found = rates(*build(shape), args.rounds)
                print(name, shape, ", ".join(f"{k}: {v:.0f}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    main()
