"""`OnnxCodec`: exported graphs under onnxruntime, in the place of a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncodec.errors import CheckpointError, DeviceError
from ncodec.export.description import Description, read_description
from ncodec.export.running import Graphs, Running, Through
from ncodec.models.base import CompressionModel
from ncodec.models.core import ModelCore
from ncodec.models.records import Latents, Streams
from ncodec.streaming import join_time


class OnnxCodec(CompressionModel):
    """A codec that was exported, run by onnxruntime on the CPU; its streams are those of the model.

    Codes are the model's but where two entries are as near as rounding, audio is the model's to
    rounding. The search for codes is greedy. Copies and pickles open the folder again.

    Args:
        folder: With `ncodec.json` and the graphs.

    Raises:
        ArgumentError: onnxruntime is not installed.
        CheckpointError: Something is missing or damaged.
    """

    config: Description
    config_type: ClassVar[Any] = Description

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        self.folder = Path(folder)
        known = self.config = read_description(folder)
        self.name, self.sample_rate, self.channels = known.name, known.sample_rate, known.channels
        self.hop, self.codebook_sizes = known.hop, known.codebook_sizes
        self.total_codebooks, self.latent_dim = len(known.codebook_sizes), known.latent_dim
        self.bandwidths, self.receptive_field = known.bandwidths, known.receptive_field
        self.latency_samples, self.preroll_frames = known.latency_samples, known.preroll_frames
        self.postroll_frames = known.postroll_frames
        self._graphs = Graphs(self.folder, known)
        self._encoder, self._decoder = self._directions(known)

    def _directions(self, known: Description) -> tuple[Through, Through]:
        if known.encoder is None:
            raise CheckpointError(f"{self.folder}: is a {known.kind}, not a codec")

        def no_codes(audio: Tensor) -> Tensor:
            frames = -(-audio.shape[2] // self.hop)
            return torch.zeros(0, self.total_codebooks, frames, dtype=torch.int64)

        def no_audio(latent: Tensor) -> Tensor:
            return latent.new_zeros(0, self.channels, latent.shape[2] * self.hop)

        return (
            Through(self._graphs, "encoder", self.channels, self.hop, no_codes),
            Through(self._graphs, "decoder", self.latent_dim, 1, no_audio),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (_opened, (self.folder, self._num_codebooks))

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxCodec:
        return _opened(self.folder, self._num_codebooks)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def fingerprint(self) -> bytes:
        """That of the model that was exported."""
        return bytes.fromhex(self.config.fingerprint)

    def _apply(self, fn: Any, recurse: bool = True) -> ModelCore:
        if fn(torch.zeros(1)).device.type != "cpu":
            raise DeviceError(f"{self.name} is run by onnxruntime: on the CPU")
        return super()._apply(fn, recurse)

    def _wants_gradients(self, x: Tensor | None = None) -> bool:
        return False

    # Audio to codes

    def _encoder_state(self, batch: int, device: torch.device) -> Running:
        return self._encoder.begin(batch)

    def _encode_step(self, audio: Tensor, state: Running) -> tuple[list[Latents], Running]:
        """Give codes, which `_quantize` cuts: the graphs have the search in them."""
        codes, after = self._encoder.step(audio, state)
        return _ready(codes), after

    def _encode_flush(self, state: Running, batch: int) -> list[Latents]:
        known, waiting = self._encoder.known, state.waiting
        missing = -waiting.shape[2] % self.hop
        if self.config.fills_last_frame and missing:
            waiting = join_time(waiting, waiting.new_zeros(batch, self.channels, missing))
        if known.ends or state.tensors is None:
            return _ready(self._encoder.finish(state._replace(waiting=waiting)))
        return self._encode_step(waiting, state._replace(waiting=waiting[..., :0]))[0]

    def _quantize(self, latent: Tensor, streams: Streams) -> Tensor:
        return latent[:, : streams.codebooks]

    # Codes to audio

    def _decode_latent(self, codes: Tensor) -> Tensor:
        if not codes.numel():
            return torch.zeros(codes.shape[0], self.latent_dim, codes.shape[2])
        least, most = torch.aminmax(codes)
        if least < 0 or most >= min(self.codebook_sizes):
            raise IndexError  # as PyTorch's own look-up; the caller says more
        return self._graphs.run("dequantize", [codes])[0]

    def _decoder_state(self, batch: int, device: torch.device) -> Running:
        return self._decoder.begin(batch)

    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: Running
    ) -> tuple[Tensor, Running]:
        y, after = self._decoder.step(latent, state)
        return self._audio_of(y, len(latent)), after

    def _decode_flush(self, state: Running, batch: int) -> Tensor:
        if state.begun and self.config.flush_frames:
            zeros = state.waiting.new_zeros(batch, self.latent_dim, self.config.flush_frames)
            return self._decode_step(zeros, None, state)[0]
        return self._audio_of(self._decoder.finish(state), batch)

    def _audio_of(self, y: Tensor | None, batch: int) -> Tensor:
        return torch.zeros(batch, self.channels, 0) if y is None else y


def _ready(codes: Tensor | None) -> list[Latents]:
    return [] if codes is None or not codes.shape[2] else [Latents(codes, None)]


def _opened(folder: Path, codebooks: int | None) -> OnnxCodec:
    codec = OnnxCodec(folder)
    if codebooks is not None:
        codec.set_num_codebooks(codebooks)
    return codec.eval()
