"""LMModel: logits and losses over codes, in the order of a pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec import runtime
from ncodec.errors import ArgumentError
from ncodec.lm.near import Near
from ncodec.lm.patterns import Pattern
from ncodec.lm.transformer import Decoder, DecoderState, apply, start
from ncodec.models.lm_config import LMConfig
from ncodec.nn.linear import Linear


@dataclass(frozen=True)
class Conditions:
    """What rows are conditioned on.

    Attributes:
        memory: `[C, L, D]` of the first C rows, for cross attention.
        mask: Bool `[C, L]`, which places of it count.
        added: `[B, D]`, added to every step's input.
    """

    memory: Tensor | None = None
    mask: Tensor | None = None
    added: Tensor | None = None


@dataclass(frozen=True)
class LMState:
    """What a model has seen.

    Attributes:
        decoder: Of the transformer.
        added: `[B, D]`, added to every step's input, or None.
        recent: `[B, K, n]`, the last steps, where a net of their own hears them.
    """

    decoder: DecoderState
    added: Tensor | None
    recent: Tensor | None = None


@dataclass(frozen=True)
class LMOutput:
    """Predictions of codes.

    Attributes:
        logits: `[B, K, F, V]`, of the code of each codebook and frame.
        mask: Bool `[B, K, F]`, whether it is predicted.
    """

    logits: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Losses:
    """Cross-entropy in nats a code.

    Attributes:
        total: The mean over the codebooks.
        codebooks: `[K]`, each the mean over its places.
    """

    total: Tensor
    codebooks: Tensor


class LMModel(nn.Module):
    """A language model over codes `[B, K, F]`, in AudioCraft's terms.

    Steps and states are pure: one model serves many streams. Inputs are codes 0..V-1 and the
    special token V; the special token is never predicted.

    Attributes:
        pattern: How codes are ordered.
        special_token_id: V.
        told_by: Name of the model whose text encoder it has; at first its own.
    """

    config_type: ClassVar[Any] = LMConfig

    def __init__(self, config: LMConfig, name: str = "lm") -> None:
        super().__init__()
        self.config, self.name, self.told_by = config, name, name
        self.pattern = pattern_of(config)
        self.num_codebooks, self.special_token_id = config.codebooks, config.bins
        dim = config.dim
        self.emb = nn.ModuleList(
            nn.Embedding(config.bins + 1, dim) for _ in range(config.codebooks)
        )
        self.transformer = Decoder(config)
        self.linears = nn.ModuleList(
            Linear(dim, config.bins, bias=False) for _ in range(config.codebooks)
        )
        for key, weight in self.named_parameters():
            if key.startswith(("emb.", "linears.")):
                start(weight, width=dim)
        self.near = Near(config) if config.near else None
        projected = config.condition == "text" and config.projection
        self.text_projection = nn.Linear(config.text_width, dim) if projected else None
        tagged = config.condition == "tags"
        self.tags = nn.Embedding(len(config.tags) + 1, dim) if tagged else None  # the last: no tag

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.transformer.out_norm.weight.device

    def set_precision(self, precision: str) -> None:
        """Hold the large weights in "float32", or in "bf16": half as much to read, less exact.

        Raises:
            ArgumentError: The precision is unknown, or it would be the way back.
            DeviceError: The device has no bf16.
        """
        runtime.check_precision(precision, str(self.device))
        products = [module for module in self.modules() if isinstance(module, Linear)]
        if precision == "bf16":
            for module in products:
                module.to(torch.bfloat16)
        elif products[0].weight.dtype != torch.float32:
            raise ArgumentError(f"{self.name} cannot change from bf16 to {precision}")

    def text_conditions(self, hidden: Tensor, mask: Tensor) -> Conditions:
        """Return the conditions of a text encoder's output.

        Args:
            hidden: `[C, L, W]`, of the first C rows.
            mask: Bool `[C, L]`. Places that do not count are not attended to, so a text does not
                depend on how long others beside it are (AudioCraft attends to their zeros).
        """
        hidden = hidden.to(self.device)
        if self.text_projection is not None:
            hidden = self.text_projection(hidden)
        return Conditions(hidden * mask[..., None].to(hidden), mask.to(self.device))

    def tag_conditions(self, tags: list[tuple[str, ...]]) -> Conditions:
        """Return the conditions of tags, of each row; a row without any has a term of its own.

        Raises:
            ArgumentError: A tag is not in the vocabulary.
        """
        assert self.tags is not None
        known = {tag: index for index, tag in enumerate(self.config.tags)}
        rows: list[Tensor] = []
        for named in tags:
            unknown = [tag for tag in named if tag not in known]
            if unknown:
                raise ArgumentError(f"tag {unknown[0]!r}: {self.name} knows {', '.join(known)}")
            indices = [known[tag] for tag in named] or [len(known)]
            rows.append(self.tags(torch.tensor(indices, device=self.device)).sum(0))
        return Conditions(added=torch.stack(rows))

    def initial_state(self, batch: int, conditions: Conditions | None = None) -> LMState:
        """Return the state before the first step of so many rows."""
        conditions = conditions or Conditions()
        decoder = self.transformer.initial_state(
            batch, self.device, None, conditions.memory, conditions.mask
        )
        recent = None if self.near is None else self.near.initial(batch, self.device)
        return LMState(decoder, conditions.added, recent)

    def step(self, sequence: Tensor, state: LMState) -> tuple[Tensor, LMState]:
        """Take the next steps `[B, K, S]`; return the logits of those after them, and a state.

        The logits are float32 `[B, K, S, V]`.
        """
        y, state = self.hidden(sequence, state)
        return self.heads(y), state

    def hidden(self, sequence: Tensor, state: LMState) -> tuple[Tensor, LMState]:
        """As `step`, but return what the heads take: `[B, S, D]`, or `[B, S, K, D]` for each."""
        tables, codes = [cast(Tensor, each.weight) for each in self.emb], sequence.unbind(1)
        x = F.embedding(codes[0], tables[0])
        for table, of_codebook in zip(tables[1:], codes[1:], strict=True):
            x = x + F.embedding(of_codebook, table)
        if state.added is not None:
            x = x + state.added[:, None]
        y, decoder = self.transformer.step(x.transpose(1, 2), state.decoder)
        y, recent = y.transpose(1, 2), state.recent
        if self.near is not None:
            assert recent is not None
            y, recent = self.near(sequence, recent, y)
        return y, LMState(decoder, state.added, recent)

    def heads(self, hidden: Tensor) -> Tensor:
        """Return float32 logits `[B, K, S, V]` of what `hidden` returns."""
        heads = cast("list[Linear]", list(self.linears))
        if self.near is None:
            return torch.stack([apply(head, hidden).float() for head in heads], dim=1)
        each = [apply(head, hidden[:, :, k]).float() for k, head in enumerate(heads)]
        return torch.stack(each, dim=1) + self.near.bias[:, None]

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Give embeddings and heads first weights by what the codes stand for.

        Args:
            vectors: Of the codec's entries, `[K, V, near_vector]`. Through one random map of each
                codebook they become rows as large as random ones would be.
        """
        for k, entries in enumerate(vectors.to(self.device)):
            scaled = (entries - entries.mean(0)) / entries.std()
            width, dim = scaled.shape[1], self.config.dim
            for tables in (self.emb, self.linears):
                spread = torch.randn(width, dim, device=self.device) / math.sqrt(width * dim)
                cast(Tensor, tables[k].weight)[: self.config.bins] = scaled @ spread
            if self.near is not None:
                self.near.start_from(k, scaled)

    def forward(self, sequence: Tensor, conditions: Conditions | None = None) -> Tensor:
        """Return logits `[B, K, S, V]` of a whole sequence `[B, K, S]`."""
        return self.step(sequence, self.initial_state(len(sequence), conditions))[0]

    def compute_predictions(
        self, codes: Tensor, conditions: Conditions | None = None, mask: Tensor | None = None
    ) -> LMOutput:
        """Predict each code `[B, K, F]` from those before it in the pattern.

        As in training: the sequence ends where the first codebook does, so the last frames of
        codebooks that come late are not predicted. Frames where `mask` `[B, F]` is False are
        padding: special tokens, as behind the end when sound is generated.

        Raises:
            ArgumentError: They are not codes of this model.
        """
        codes = self._check_codes(codes)
        if mask is not None:
            codes = codes.masked_fill(~mask[:, None].to(codes.device), self.special_token_id)
        layout = self.pattern.layout(codes.shape[2])
        sequence = layout.sequence(codes, self.special_token_id, valid_only=True)
        logits, mask = layout.logits(self(sequence, conditions))
        return LMOutput(logits, mask.expand(len(codes), -1, -1))

    def loss(
        self, codes: Tensor, conditions: Conditions | None = None, mask: Tensor | None = None
    ) -> Losses:
        """Return the cross-entropy of codes `[B, K, F]`, the mean of the codebooks' means.

        Args:
            codes: To be predicted.
            conditions: Of the rows.
            mask: Bool `[B, F]`, which frames are sound and not padding; all if None.

        Raises:
            ArgumentError: A codebook has nothing to be predicted, as with fewer frames than it is
                late by.
        """
        predicted = self.compute_predictions(codes, conditions, mask)
        codes = codes.to(self.device)
        counted = predicted.mask
        if mask is not None:
            counted = counted & mask[:, None].to(self.device)
        counts = counted.sum((0, 2))
        if not bool((counts > 0).all()):
            raise ArgumentError(
                f"{codes.shape[2]} frames: codebook {int(counts.argmin()) + 1} has none to predict"
            )
        each = F.cross_entropy(predicted.logits.permute(0, 3, 1, 2), codes, reduction="none")
        means = each.masked_fill(~counted, 0).sum((0, 2)) / counts
        return Losses(means.mean(), means)

    def _check_codes(self, codes: Tensor) -> Tensor:
        if codes.dim() != 3 or codes.shape[1] != self.num_codebooks or codes.is_floating_point():
            raise ArgumentError(
                f"codes {codes.dtype} {list(codes.shape)}: {self.name} takes whole numbers "
                f"[batch, {self.num_codebooks}, frames]"
            )
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.config.bins:
            raise ArgumentError(f"codes: must be 0 to {self.config.bins - 1}")
        return codes.to(self.device).long()


def pattern_of(config: LMConfig) -> Pattern:
    """Return the pattern that a configuration describes.

    Raises:
        ArgumentError: Its fields do not go together.
    """
    return Pattern(
        config.pattern,
        config.codebooks,
        config.delays if config.pattern in ("delay", "unroll", "coarse_first") else (),
        config.flatten_first,
        config.empty_initial,
        config.flattening if len(config.flattening) == config.codebooks else (),
        config.group,
    )
