"""What the last steps alone say of the next codes, by way of the codec's own vectors.

The finer codebooks of a frame code what the coarser ones leave, and a frame resembles the one
before it. A net that sees those codes as the vectors that they stand for has most of that within
minutes of training; a transformer over sums of embeddings would need hours to find it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.lm.transformer import apply, start
from ncodec.models.lm_config import LMConfig
from ncodec.nn.linear import Linear


class Near(nn.Module):
    """Maps the last `near_steps` steps and the transformer's output to what each head takes."""

    def __init__(self, config: LMConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.steps, self._special = config.near_steps, config.bins
        dim, width, codebooks = config.dim, config.near, config.codebooks
        self._codebooks = codebooks
        self.emb = nn.ModuleList(
            nn.Embedding(config.bins + 1, config.near_vector) for _ in range(codebooks)
        )
        self.heard = Linear(codebooks * config.near_vector * self.steps, width, bias=False)
        self.told = Linear(dim, width, bias=False)
        self.out = Linear(width, codebooks * dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(codebooks, config.bins))
        for weight in (self.heard.weight, self.told.weight, self.out.weight):
            start(weight)

    def start_from(self, codebook: int, vectors: Tensor) -> None:
        """Give a codebook's entries first weights `[V, near_vector]`; the special token has 0."""
        self.emb[codebook].weight = nn.Parameter(F.pad(vectors, (0, 0, 0, 1)))

    def initial(self, batch: int, device: torch.device) -> Tensor:
        """Return the steps before the first, `[B, K, near_steps - 1]`."""
        shape = (batch, self._codebooks, self.steps - 1)
        return torch.full(shape, self._special, device=device)

    def forward(self, sequence: Tensor, before: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each head takes, `[B, S, K, D]`, and the steps to keep.

        Args:
            sequence: The steps `[B, K, S]`.
            before: Those before them, as from `initial`.
            hidden: The transformer's output `[B, S, D]` for them.
        """
        seen = torch.cat([before, sequence], dim=2)
        vectors = torch.cat([emb(seen[:, k]) for k, emb in enumerate(self.emb)], dim=2)
        windows = vectors.unfold(1, self.steps, 1).flatten(2)  # [B, S, K * vector * steps]
        inner = F.gelu(apply(self.heard, windows) + apply(self.told, hidden))
        each = apply(self.out, inner).unflatten(2, (self._codebooks, -1))
        return hidden[:, :, None] + each, seen[:, :, seen.shape[2] - before.shape[2] :]
