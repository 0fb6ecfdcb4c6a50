"""Drawing codes from logits: each item by a generator of its own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncodec.arguments import check_number, check_whole
from ncodec.errors import ArgumentError

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn; the names are AudioCraft's.

    Attributes:
        use_sampling: Draw; or else take the likeliest code.
        top_k: Draw from the likeliest k codes, and from those that are as likely as the last of
            them; 0: from all.
        top_p: Draw from the likeliest codes that together have this probability; 0: not used. If it
            is used, `top_k` is not.
        temperature: Divides the logits; several numbers are for the codebooks one by one. 0 takes
            the likeliest.

    Raises:
        ArgumentError: A value out of range.
    """

    use_sampling: bool = True
    top_k: int = 250
    top_p: float = 0.0
    temperature: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        check_whole("top_k", self.top_k, 0)
        if not 0 <= check_number("top_p", self.top_p) <= 1:
            raise ArgumentError(f"top_p {self.top_p}: must be 0 to 1")
        several = self.temperature if isinstance(self.temperature, Sequence) else ()
        for number in several or [self.temperature]:
            if check_number("temperature", number) < 0:
                raise ArgumentError(f"temperature {number}: must not be negative")
        if several and len({value == 0 for value in several}) > 1:
            raise ArgumentError("temperature 0: must be of all codebooks or of none")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest code is taken."""
        several = isinstance(self.temperature, Sequence)
        first = self.temperature[0] if several else self.temperature  # pyright: ignore
        return not self.use_sampling or first == 0

    def check(self, codebooks: int) -> None:
        """Check against a model.

        Raises:
            ArgumentError: There is not one temperature for each codebook.
        """
        if isinstance(self.temperature, Sequence) and len(self.temperature) != codebooks:
            raise ArgumentError(
                f"{len(self.temperature)} temperatures: must be one, or one for each of "
                f"{codebooks} codebooks"
            )

    def draw(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw codes `[B, K]` of logits `[B, K, V]`, each item by its own generator.

        An item takes K x V numbers of its generator, whatever its neighbours, in the order in which
        `torch.multinomial` takes them: the codes are those of AudioCraft and transformers for one
        item with the same seed (with `top_k`; with `top_p` these draw in sorted order).
        """
        if self.greedy:
            return logits.argmax(dim=-1)
        probabilities = self._restricted(logits / self._temperatures(logits)).softmax(dim=-1)
        if self.top_p > 0:
            probabilities = _nucleus(probabilities, self.top_p)
        noise = torch.stack(
            [
                torch.empty(logits.shape[1:], dtype=torch.float32).exponential_(generator=each)
                for each in generators
            ]
        )
        return (probabilities / noise.to(logits.device)).argmax(dim=-1)

    def _temperatures(self, logits: Tensor) -> Tensor:
        return torch.as_tensor(self.temperature, dtype=logits.dtype, device=logits.device).reshape(
            1, -1, 1
        )

    def _restricted(self, logits: Tensor) -> Tensor:
        if self.top_p > 0 or not 0 < self.top_k < logits.shape[-1]:
            return logits
        least = logits.topk(self.top_k, dim=-1).values[..., -1:]
        return logits.masked_fill(logits < least, -torch.inf)


def _nucleus(probabilities: Tensor, most: float) -> Tensor:
    """Keep codes while those likelier than them have at most so much probability together."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(before > most, 0))
    return kept / kept.sum(dim=-1, keepdim=True)


def seeds_of(seed: int | None, count: int) -> list[int]:
    """Return the seeds of so many items: `seed`, `seed` + 1 and so on; a random one if None.

    Raises:
        ArgumentError: It is no seed.
    """
    if seed is None:
        seed = secrets.randbelow(2**32)
    first = check_whole("seed", seed, 0, MAX_SEED - count)
    return list(range(first, first + count))


def generators_of(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return a generator for each seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def guided(logits: Tensor, null: Tensor, guidance: float) -> Tensor:
    """Return logits led away from those without the condition (Ho and Salimans, 2207.12598)."""
    return null + (logits - null) * guidance
