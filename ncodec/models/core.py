"""What a codec model is: its facts, its settings, and the steps that its family provides.

`ncodec.models.base.CompressionModel` adds the public steps, which check what they are given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncodec import runtime
from ncodec.arguments import whole
from ncodec.errors import ArgumentError, DeviceError
from ncodec.kernels import Derived
from ncodec.models.fingerprint import fingerprint_of
from ncodec.models.records import Latents, Quantizer, Streams
from ncodec.quantize import ResidualVQ
from ncodec.quantize.bits import Search
from ncodec.streaming import State
from ncodec_formats.bitrate import check_codebooks

MAX_BEAM = 32
"""Widest search: by then the gain is long flat, and the work linear."""


class ModelCore(nn.Module, ABC):
    """The facts and settings of a model, and its family's steps, which trust their arguments."""

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
    latent_dim: int
    """Width D of the latents."""
    scaled: bool = False
    """Whether each segment has a scale."""
    lifts_quiet: ClassVar[bool] = False
    """Whether quiet recordings should be coded louder than they are."""
    heard_out: ClassVar[bool] = False
    """Whether codes may be searched for by what the decoder makes of them."""
    fills_last_frame: bool = False
    """Whether zeros complete a stream's last frame before anything else ends it."""
    ends_with_steps: bool = False
    """Whether steps end a stream: of those zeros, and of `postroll_frames` zero latents."""
    frames_at_once: int | None = None
    """Most frames that a step takes as one, not in blocks; None if any number."""
    overlaps: bool = False
    """Whether `encode_later` and `decode_latent_later` leave work that can overlap."""

    config: Any  # the family's frozen dataclass, of type `config_type`
    config_type: ClassVar[Any]
    quantizer: Quantizer
    _num_codebooks: int | None = None
    _beam: int = 1
    _precision: str = "float32"

    def __init__(self) -> None:
        super().__init__()
        self._hashed = Derived(self._hash)
        self._known_as = dict[bytes, bytes]()  # digest of converted weights -> of those before

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the nets compute in; audio, codebooks and sums are float32 all the same."""
        return torch.float32 if self._precision == "float32" else torch.bfloat16

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
        self._num_codebooks = self._count(n)

    def _count(self, n: int) -> int:
        return check_codebooks(whole("codebooks", n), self.total_codebooks, self.name)

    @property
    def beam(self) -> int:
        """How many partial sums the search for codes follows; 1 is greedy coding."""
        return self._beam

    def set_beam(self, width: int) -> None:
        """Let the search for codes follow `width` partial sums: slower, nearer codes.

        Only encoding changes: any decoder reads the codes, and fewer of them gain too. Streams that
        have begun keep the width that they began with.

        Raises:
            ArgumentError: `width` is not in 1..`MAX_BEAM`, or the family has no such search.
        """
        width = whole("beam", width)
        if not 1 <= width <= MAX_BEAM:
            raise ArgumentError(f"beam {width}: must be 1 (greedy) to {MAX_BEAM}")
        self._check_search(Search(width))
        self._beam = width

    def _check_search(self, search: Search) -> None:
        if search.bits is not None and not isinstance(self.quantizer, ResidualVQ):
            raise ArgumentError(f"{self.name} has no search that weighs bits")
        if search.width > 1 and not any(isinstance(part, ResidualVQ) for part in self.modules()):
            raise ArgumentError(f"beam {search.width}: {self.name} has only the greedy search, 1")

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
            DeviceError: The model's device has no bf16.
        """
        if precision != self._precision:
            runtime.check_precision(precision, str(self.device))
            nets = self._nets()
            if precision == "float32" or not nets:
                raise ArgumentError(
                    f"{self.name} cannot change from {self._precision} to {precision}"
                )
            before = self.fingerprint
            for net in nets:
                net.to(torch.bfloat16)
            self._precision = precision
            self._known_as[self.fingerprint] = before

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ModelCore:
        """Move the weights, as `to` and its kin do; their type only `set_precision` changes."""
        for kind in (torch.float32, self.dtype):
            try:
                made = fn(torch.zeros(1, dtype=kind)).dtype
            except (AssertionError, RuntimeError) as error:  # PyTorch's, of devices not there
                raise DeviceError(f"{self.name} cannot go there: {error}") from error
            if made != kind:
                raise ArgumentError(
                    f"weights of {kind} to {made}: {self.name} computes in float32, or where "
                    "set_precision('bf16') says so, in bf16"
                )
        return super()._apply(fn, recurse)

    def _nets(self) -> list[nn.Module]:
        """Return the parts that `set_precision` converts; none in families that need float32."""
        return []

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over the configuration and all weights: what a file says it was coded with.

        Computed when it is first asked for and whenever weights have changed since.
        """
        with torch.no_grad():
            digest = self._hashed(*(tensor for _, tensor in sorted(self.state_dict().items())))
        return self._known_as.get(digest, digest)

    def _hash(self, *tensors: Tensor) -> bytes:
        return fingerprint_of(
            self.config, dict(zip(sorted(self.state_dict()), tensors, strict=True))
        )

    @property
    def segment_frames(self) -> int | None:
        """Frames of a whole segment; None without segments."""
        return None if self.segment is None else -(-self.segment[0] // self.hop)

    def _identity(self) -> tuple[type, str, object, str]:
        return (type(self), self.name, getattr(self, "config", None), self._precision)

    # What families provide

    def _quantize(self, latent: Tensor, streams: Streams) -> Tensor:
        """Code latents `[B, D, F]`, F > 0, as the streams want it: `[B, K, F]`."""
        if streams.search == Search():
            return self.quantizer.encode(latent, streams.codebooks)
        wider: Any = self.quantizer  # `_check_search` has asked whether it can
        search = streams.search
        how = search.width if search.bits is None else search
        return wider.encode(latent, streams.codebooks, how)

    def _decode_latent(self, codes: Tensor) -> Tensor:
        return self.quantizer.decode(codes)

    @abstractmethod
    def _encoder_state(self, batch: int, device: torch.device) -> State:
        """Return the encoder's state before the first sample."""

    @abstractmethod
    def _encode_step(self, audio: Tensor, state: State) -> tuple[list[Latents], State]:
        """Take the next samples `[B, C, T]`, T >= 0; return the latents that are ready."""

    def _encode_later(
        self, audio: Tensor, state: State
    ) -> tuple[Callable[[], list[Latents]], State]:
        """As `_encode_step`, but return the work. Here all is done at once."""
        latents, state = self._encode_step(audio, state)
        return lambda: latents, state

    @abstractmethod
    def _encode_flush(self, state: State, batch: int) -> list[Latents]:
        """Return the last latents of `batch` streams."""

    def _encode_end(self, audio: Tensor, state: State) -> Tensor:
        """Take the last samples; return all latents that are left, as one layer after another."""
        raise ArgumentError(f"{self.name}: its family has no graphs for export")

    def _decode_end(self, latent: Tensor, state: State) -> Tensor:
        """Take the last latents; return all audio that is left, as `_encode_end`."""
        raise ArgumentError(f"{self.name}: its family has no graphs for export")

    @abstractmethod
    def _decoder_state(self, batch: int, device: torch.device) -> State:
        """Return the decoder's state before the first frame."""

    @abstractmethod
    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Take the next latents `[B, D, F]`, F >= 0; return the audio that is final, float32."""

    def _decode_later(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Callable[[], Tensor], State]:
        """As `_decode_step`, but return the work. Here all is done at once."""
        audio, state = self._decode_step(latent, scale, state)
        return lambda: audio, state

    @abstractmethod
    def _decode_flush(self, state: State, batch: int) -> Tensor:
        """Return the rest of the audio of `batch` streams."""
