"""Processes that share a run, as `torchrun` starts them: each hears its own part of every batch."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextmanager
def processes(device: torch.device) -> Generator[tuple[int, int]]:
    """Join the others if there are any; yields this process's rank and how many there are."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield dist.get_rank(), world
    finally:
        dist.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over processes, in one exchange.

    Not by DistributedDataParallel: a step calls the model's parts, not its forward.
    """
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def share(module: nn.Module) -> None:
    """Give all processes the first one's weights and buffers."""
    if dist.is_initialized():
        for tensor in (*module.parameters(), *module.buffers()):
            values = tensor.detach().clone()
            dist.broadcast(values, 0)
            tensor.copy_(values)  # not through `.data`: what is kept of the weights must notice


def same_for_all(value: float) -> float:
    """Return the first process's value, so that all decide alike."""
    if not dist.is_initialized():
        return value
    tensor = torch.tensor([value], dtype=torch.float64)
    if dist.get_backend() == "nccl":
        tensor = tensor.cuda()
    dist.broadcast(tensor, 0)
    return float(tensor)


def mean_over_processes(values: dict[str, Tensor]) -> dict[str, float]:
    """Average scalars by name over processes."""
    stacked = torch.stack([v.detach().float() for v in values.values()])
    if dist.is_initialized():
        dist.all_reduce(stacked)
        stacked /= dist.get_world_size()
    return dict(zip(values, stacked.tolist(), strict=True))
