"""A codebook: the nearest entry by one matrix product; in training, averages move the entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from ncodec.kernels import Derived, argmax_rows
from ncodec.quantize.kmeans import cluster_sums, kmeans, sample_rows


class Codebook(nn.Module):
    """`bins` entries of width `dim`; only `embed` is part of the state dict.

    In training the first batch starts the entries by k-means; then usage N and sums m decay towards
    each batch's, and e = m / N (van den Oord et al. 2017, appendix A.1). An entry used less than
    `revive_below` of the mean becomes a random input of the batch, its sum and usage with it.

    Args:
        dim: Width of an entry.
        bins: Number of entries.
        decay: What an update keeps of the averages.
        epsilon: Laplace smoothing of the usage.
        revive_below: Entries used less than this part of the mean usage are replaced; 0 keeps all.
        kmeans_steps: Iterations of the start.
    """

    embed: Tensor
    usage: Tensor
    sums: Tensor

    def __init__(
        self,
        dim: int,
        bins: int,
        *,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        revive_below: float = 0.1,
        kmeans_steps: int = 10,
    ) -> None:
        super().__init__()
        self.decay, self.epsilon = decay, epsilon
        self.revive_below, self.kmeans_steps = revive_below, kmeans_steps
        self.started = False
        self.register_buffer("embed", torch.randn(bins, dim))
        self.register_buffer("usage", torch.ones(bins), persistent=False)
        self.register_buffer("sums", self.embed.clone(), persistent=False)
        self._search = Derived(_for_search)
        self.register_load_state_dict_post_hook(_restart_averages)

    def scores(self, x: Tensor) -> Tensor:
        """Return `x e - e^2 / 2` for rows `[N, D]`, `[N, bins]`: largest for the nearest entry."""
        halves, columns = self._search(self.embed)
        return torch.addmm(halves, x, columns)

    def encode(self, x: Tensor) -> Tensor:
        """Return the index of the nearest entry for each row of `x` `[N, D]`: int64 `[N]`."""
        return argmax_rows(self.scores(x))

    def nearest(self, x: Tensor) -> tuple[NDArray[np.int64], Tensor]:
        """Return the nearest entries to a few rows `[N, D]` on a CPU, and what they leave over."""
        embed: Any = self._buffers["embed"]
        halves, columns = self._search(embed)
        best = torch.addmm(halves, x, columns).numpy().argmax(1)
        return best, x - torch.embedding(embed, torch.from_numpy(best))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the entries, `[...]` to `[..., D]`."""
        embed: Any = self._buffers["embed"]  # as `self.embed`, which a frame would wait for
        return torch.embedding(embed, codes)

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Start from the first batch of rows `[N, D]`, before its `encode`; later do nothing."""
        if not self.started:
            self.embed.copy_(kmeans(x, len(self.embed), self.kmeans_steps))
            _restart_averages(self)
            self._share()

    @torch.no_grad()
    def follow(self, x: Tensor, codes: Tensor) -> None:
        """Move the averages towards the rows `[N, D]` that chose the entries `codes` `[N]`."""
        counts, sums = cluster_sums(x, codes, len(self.embed))
        if _distributed():
            dist.all_reduce(counts)
            dist.all_reduce(sums)
        self.usage.lerp_(counts.to(self.usage), 1 - self.decay)
        self.sums.lerp_(sums.to(self.sums), 1 - self.decay)
        self._revive(x)
        total = self.usage.sum()
        smooth = (self.usage + self.epsilon) / (total + len(self.usage) * self.epsilon) * total
        self.embed.copy_(self.sums / smooth[:, None])
        self._share()

    def _revive(self, x: Tensor) -> None:
        mean = self.usage.mean()
        dead = self.usage < self.revive_below * mean
        fresh = sample_rows(x, len(dead)).to(self.sums)
        self.usage.copy_(torch.where(dead, mean, self.usage))
        self.sums.copy_(torch.where(dead[:, None], fresh * mean, self.sums))

    def _share(self) -> None:
        """Give all processes the first one's entries: each drew its own random rows."""
        if _distributed():
            for tensor in (self.embed, self.usage, self.sums):
                dist.broadcast(tensor, 0)

    def averages(self) -> dict[str, Tensor]:
        """Return the averages, which a resumed training needs and a model file does not."""
        return {"usage": self.usage.clone(), "sums": self.sums.clone()}

    def restore_averages(self, state: dict[str, Tensor]) -> None:
        """Take back what `averages` gave."""
        self.usage.copy_(state["usage"])
        self.sums.copy_(state["sums"])
        self.started = True


def _for_search(embed: Tensor) -> tuple[Tensor, Tensor]:
    """Return -e^2 / 2, and the entries as columns: one row is then multiplied twice as fast."""
    return -0.5 * embed.square().sum(1), embed.t().contiguous()


def _restart_averages(codebook: nn.Module, _keys: object = None) -> None:
    """Make averages that agree with the entries, as if each had been used once."""
    assert isinstance(codebook, Codebook)
    codebook.usage.fill_(1.0)
    codebook.sums.copy_(codebook.embed)
    codebook.started = True


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
