"""CompressionModel: the one interface that the codec, live audio and training see."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.quantize import ResidualVQ
from ncodec.streaming import State

MAX_BEAM = 32
"""Widest search: by then the gain is long flat, and the work linear."""


class Chunk(NamedTuple):
    """Codes that leave the encoder together.

    Attributes:
        codes: int64 `[B, K, F]`, one row a codebook, one column a frame.
        scale: float32 `[B]`, the gain taken out before coding, or None where the model has none.
    """

    codes: Tensor
    scale: Tensor | None


class CompressionModel(nn.Module, ABC):
    """A neural audio codec: audio `[B, C, T]` to codes `[B, K, F]` and back.

    Models that code overlapping segments (EnCodec 48 kHz) set `segment = (length, stride)` in
    samples: then each chunk is one segment with its scale. All others emit chunks of any number of
    frames.
    """

    name: str
    sample_rate: int
    channels: int
    hop: int
    total_codebooks: int
    codebook_sizes: tuple[int, ...]
    bandwidths: tuple[float, ...]
    latency_samples: int
    receptive_field: int
    preroll_frames: int
    postroll_frames: int = 0
    segment: tuple[int, int] | None = None
    overlaps: bool = False
    """Whether `encode_later` and `decode_latent_later` leave work that can overlap."""

    config: Any  # the family's frozen dataclass, of type `config_type`
    config_type: ClassVar[Any]
    _num_codebooks: int | None = None
    _precision: str = "float32"
    _fingerprint: bytes | None = None

    @property
    def cardinality(self) -> int:
        """Entries of a codebook."""
        return self.codebook_sizes[0]

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    @property
    def num_codebooks(self) -> int:
        """How many codebooks `encode` uses: `total_codebooks` until set."""
        return self.total_codebooks if self._num_codebooks is None else self._num_codebooks

    def set_num_codebooks(self, n: int) -> None:
        """Make `encode` use the first `n` codebooks.

        Raises:
            ArgumentError: `n` is not in 1..`total_codebooks`.
        """
        if not 1 <= n <= self.total_codebooks:
            raise ArgumentError(f"{n} codebooks: {self.name} has 1 to {self.total_codebooks}")
        self._num_codebooks = n

    @property
    def beam(self) -> int:
        """How many partial sums the search for codes follows; 1 is greedy coding."""
        return next((q.beam for q in self._searched()), 1)

    def set_beam(self, width: int) -> None:
        """Let the search for codes follow `width` partial sums: slower, nearer codes.

        Only encoding changes: any decoder reads the codes, and fewer of them gain too.

        Raises:
            ArgumentError: `width` is not in 1..`MAX_BEAM`, or the family has no such search.
        """
        if not 1 <= width <= MAX_BEAM:
            raise ArgumentError(f"beam {width}: must be 1 (greedy) to {MAX_BEAM}")
        quantizers = self._searched()
        if width > 1 and not quantizers:
            raise ArgumentError(f"beam {width}: {self.name} has only the greedy search, 1")
        for quantizer in quantizers:
            quantizer.beam = width

    def _searched(self) -> list[ResidualVQ]:
        return [module for module in self.modules() if isinstance(module, ResidualVQ)]

    @property
    def precision(self) -> str:
        """What the nets compute in: "float32" or "bf16"."""
        return self._precision

    def set_precision(self, precision: str) -> None:
        """Compute the nets in "float32", or in "bf16" where the family can: faster, less exact.

        Codebooks stay in float32, and the fingerprint that of the weights as they were: a file
        does not tell which precision made its codes. There is no way back from "bf16".

        Raises:
            ArgumentError: The precision is unknown, or the family has no such nets.
        """
        if precision not in ("float32", "bf16"):
            raise ArgumentError(f"precision {precision!r}: must be 'float32' or 'bf16'")
        if precision == self._precision:
            return
        nets = self._nets()
        if precision == "float32" or not nets:
            raise ArgumentError(f"{self.name} cannot change from {self._precision} to {precision}")
        self._fingerprint = self.fingerprint
        for net in nets:
            net.to(torch.bfloat16)
        self._precision = precision

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float32 if self._precision == "float32" else torch.bfloat16

    def _nets(self) -> list[nn.Module]:
        """Return the parts that `set_precision` converts; none in families that need float32."""
        return []

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over the configuration and all weights: what a file says it was coded with."""
        if self._fingerprint is not None:
            return self._fingerprint
        digest = hashlib.sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode())
        for key, tensor in sorted(self.state_dict().items()):
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{key} {values.dtype} {list(values.shape)}".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        return digest.digest()

    @staticmethod
    def get_pretrained(name: str, device: torch.device | str = "cpu") -> CompressionModel:
        """Load a model by name or path, as `ncodec.load_model` does."""
        from ncodec.checkpoints import load

        return load(name, device)

    @abstractmethod
    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor | None]:
        """Code whole signals `[B, C, T]`: codes int64 `[B, num_codebooks, F]`, and the scale."""

    @abstractmethod
    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Decode `[B, K, F]`, any 1 <= K <= `total_codebooks`, to audio `[B, C, F * hop]`."""

    @abstractmethod
    def decode_latent(self, codes: Tensor) -> Tensor:
        """Sum the entries, frame by frame: `[B, K, F]` to the latent `[B, D, F]`; F may be 0."""

    @abstractmethod
    def encoder_state(
        self, batch: int, device: torch.device | None = None, codebooks: int | None = None
    ) -> State:
        """Return the encoder's state before the first sample of `batch` streams.

        `codebooks` is how many these streams use, `num_codebooks` if None: it belongs to the
        streams, since one model serves many at once.
        """

    @abstractmethod
    def encode_step(self, audio: Tensor, state: State) -> tuple[list[Chunk], State]:
        """Take the next samples; return the chunks that are ready (if any) and the new state."""

    def encode_later(self, audio: Tensor, state: State) -> tuple[Callable[[], list[Chunk]], State]:
        """As `encode_step`, but return the work, to be done once in any thread, and the new state.

        Works of a stream must begin in the order in which they were made; families whose blocks
        can follow each other through the net let them overlap. Here all is done at once.
        """
        chunks, state = self.encode_step(audio, state)
        return lambda: chunks, state

    @abstractmethod
    def encode_flush(self, state: State) -> list[Chunk]:
        """End the streams: return the last chunks; ceil(T / hop) frames have come out in all."""

    @abstractmethod
    def decoder_state(self, batch: int, device: torch.device | None = None) -> State:
        """Return the decoder's state before the first frame of `batch` streams."""

    def decode_step(self, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Take the next chunk; return the audio that is final `[B, C, T]` and the new state."""
        return self.decode_latent_step(self.decode_latent(chunk.codes), chunk.scale, state)

    @abstractmethod
    def decode_latent_step(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Take the next latents `[B, D, F]` (concealment makes its own); else as decode_step."""

    def decode_latent_later(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Callable[[], Tensor], State]:
        """As `decode_latent_step`, but return the work and the new state, as `encode_later`."""
        audio, state = self.decode_latent_step(latent, scale, state)
        return lambda: audio, state

    @abstractmethod
    def decode_flush(self, state: State) -> Tensor:
        """End the streams: return the rest of the audio."""
