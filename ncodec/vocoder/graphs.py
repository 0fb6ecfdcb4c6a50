"""Vocoders as ONNX graphs: writing them, and running them in a vocoder's place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncodec.config import HifiGanConfig
from ncodec.errors import ArgumentError, CheckpointError, DeviceError
from ncodec.export.checking import AUDIO
from ncodec.export.description import Precision, read_description
from ncodec.export.running import Graphs, Running, Through
from ncodec.export.tracing import Way
from ncodec.export.writing import Plan, export_as
from ncodec.streaming import State, join_all
from ncodec.vocoder.log_mel import LogMel
from ncodec.vocoder.model import Vocoder

FRAMES_A_PIECE = (None, 1, 3)


def export_vocoder(
    model: Vocoder,
    folder: str | os.PathLike[str],
    *,
    dtype: Precision = "float32",
    licence: str = "unknown",
    force: bool = False,
) -> list[Path]:
    """Write a vocoder's graphs, mels to audio, into a folder; as `ncodec.export.export_graphs`.

    Raises:
        ArgumentError: A package is missing, or a graph does not give what the model gives.
        OutputExistsError: The folder has files already.
    """
    if isinstance(model, OnnxVocoder):
        raise ArgumentError(f"{model.folder}: has been exported already")
    if model.device.type != "cpu":
        raise ArgumentError(f"{model.name} on {model.device}: export it from the CPU")
    return export_as(_PLAN, model, folder, dtype=dtype, licence=licence, force=force)


class OnnxVocoder(Vocoder):
    """A vocoder that was exported, run by onnxruntime on the CPU; its streams are the model's.

    Args:
        folder: With `ncodec.json` and the graphs.

    Raises:
        ArgumentError: onnxruntime is not installed.
        CheckpointError: Something is missing or damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        nn.Module.__init__(self)
        self.folder = Path(folder)
        known = read_description(folder)
        try:
            self.config = HifiGanConfig.from_dict(known.config)
        except (ArgumentError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.folder}: no configuration of a vocoder") from error
        self.name, self.sample_rate, self.hop = known.name, known.sample_rate, known.hop
        self.bands, self.latency_samples = known.latent_dim, known.latency_samples
        self.preroll_frames, self.postroll_frames = known.preroll_frames, known.postroll_frames
        self.front_end = LogMel(self.config)

        def nothing(mel: Tensor) -> Tensor:
            return mel.new_zeros(0, 1, mel.shape[2] * self.hop)

        self._through = Through(Graphs(self.folder, known), "decoder", self.bands, 1, nothing)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_opened, (self.folder,))

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxVocoder:
        return _opened(self.folder)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def _fuses(self) -> bool:
        return False

    def set_precision(self, precision: str) -> None:
        """Graphs compute in the precision that they were exported in.

        Raises:
            ArgumentError: It is asked for another.
        """
        if precision != "float32":
            raise ArgumentError(f"precision {precision!r}: {self.name} is run by onnxruntime")

    def _apply(self, fn: Any, recurse: bool = True) -> Vocoder:
        if fn(torch.zeros(1)).device.type != "cpu":
            raise DeviceError(f"{self.name} is run by onnxruntime: on the CPU")
        return super()._apply(fn, recurse)

    def forward(self, mel: Tensor) -> Tensor:
        """Return audio `[B, 1, F * hop]` of mels `[B, bands, F]`."""
        y, state = self.step(mel, self._through.begin(len(mel)))
        return join_all([y, self.flush(state)])

    def initial_state(self, batch: int = 1) -> State:
        """Return the state before the first frame of `batch` streams."""
        if batch < 1:
            raise ArgumentError(f"batch {batch}: must be positive")
        return self._through.begin(batch)

    def step(self, mel: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the next frames `[B, bands, F]`; return the samples that are final, and a state."""
        assert isinstance(state, Running)
        y, after = self._through.step(self.check_mel(mel), state)
        return _audio(y, len(mel)), after

    def flush(self, state: State) -> Tensor:
        """End the streams: return the samples that were held back."""
        assert isinstance(state, Running)
        return _audio(self._through.finish(state), len(state.waiting))


def _audio(y: Tensor | None, batch: int) -> Tensor:
    return torch.zeros(batch, 1, 0) if y is None else y


def _opened(folder: Path) -> OnnxVocoder:
    return OnnxVocoder(folder).eval()


def _mels(model: Vocoder, batch: int, frames: int) -> Tensor:
    """Return mels such as noise has: between silence and full scale."""
    unit = 1.0 if model.config.log == "ln" else torch.tensor(10.0).log().item()
    return (2 * torch.randn(batch, model.bands, frames) - 5).clamp(-9, 2) / unit


def _way(model: Vocoder) -> Way:
    net = model.generator
    return Way(
        name="decoder",
        given="mel",
        out="audio",
        unit=model.hop,
        begin=lambda batch: net.initial_state(batch, model.device),
        step=lambda mel, state: net.step(model.normalised(mel), state),
        end=lambda mel, state: net.end(model.normalised(mel), state),
        example=lambda batch, frames, more: _mels(model, batch, frames),
    )


def _about(model: Vocoder) -> dict[str, Any]:
    names = ("sample_rate", "hop", "latency_samples", "preroll_frames", "postroll_frames")
    return {name: getattr(model, name) for name in names} | {
        "channels": 1,
        "codebook_sizes": (),
        "latent_dim": model.bands,
        "bandwidths": (),
        "receptive_field": (model.preroll_frames + 1 + model.postroll_frames) * model.hop,
        "fills_last_frame": False,
        "flush_frames": 0,
    }


@torch.no_grad()
def check_vocoder(model: Vocoder, folder: Path) -> None:
    """Run streams of several sizes through graphs and model.

    Raises:
        ArgumentError: Something comes out otherwise.
    """
    graphs = OnnxVocoder(folder)
    least = read_description(folder).decoder.least
    for batch, frames in ((1, 1), (2, least + 6), (1, least + 9)):
        mel = _mels(model, batch, frames)
        expected = model(mel)
        for piece in FRAMES_A_PIECE:
            sound = _in_pieces(graphs, mel, piece or frames)
            worst = (sound - expected).abs().max() if sound.shape == expected.shape else 1.0
            if not worst <= AUDIO * max(float(expected.abs().max()), 0.1):
                raise ArgumentError(f"{folder}: the graphs give other audio than {model.name}")


def _in_pieces(model: Vocoder, mel: Tensor, frames: int) -> Tensor:
    state, parts = model.initial_state(len(mel)), list[Tensor]()
    for piece in mel.split(frames, dim=2):
        y, state = model.step(piece, state)
        parts.append(y)
    return join_all([*parts, model.flush(state)])


_PLAN = Plan(
    kind="vocoder",
    ways=lambda model: (_way(model),),
    others=lambda model: [],
    about=_about,
    run=lambda model: model(_mels(model, 1, 3)),
    check=check_vocoder,
)
