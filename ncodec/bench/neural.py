"""Neural models as codecs of a comparison, through the library's own files."""

from __future__ import annotations

import functools
from pathlib import Path

from ncodec.bench.codecs import Coded, Samples
from ncodec.checkpoints import DEFAULT_MODEL, load, stored_names
from ncodec.models.base import CompressionModel


@functools.lru_cache(maxsize=2)
def loaded(name: str) -> CompressionModel:
    """Return a model, with a beam of W in codes' search for "NAME@W"; the last two stay here."""
    model = load(_plain(name))
    if width := _beam(name):
        model.set_beam(width)
    return model


def _plain(name: str) -> str:
    return name.rpartition("@")[0] if _beam(name) else name


def _beam(name: str) -> int:
    _, at, width = name.rpartition("@")
    return int(width) if at and width.isdigit() else 0


class ModelCodec:
    """A model of the registry, or a checkpoint's path, behind `compress` and `decompress`.

    "NAME@W" is the model with a beam of W.
    """

    def __init__(self, name: str) -> None:
        """Load the model, so that a missing one is known at once.

        Raises:
            CheckpointError: there is no such model here.
        """
        model = loaded(name)
        self.name = name
        fingerprint: bytes = model.fingerprint
        searched = f", beam {model.beam}" if model.beam > 1 else ""
        self.title = f"{Path(_plain(name)).stem} ({fingerprint.hex()[:8]}{searched})"
        self._lowest, self._highest = min(model.bandwidths), max(model.bandwidths)

    def setting(self, bandwidth: float) -> float | None:
        """Return the asked rate where the model has codebooks for it."""
        return bandwidth if self._lowest <= bandwidth <= self._highest * 1.01 else None

    def run(self, samples: Samples, sample_rate: int, setting: float, folder: Path) -> Coded:
        """Compress `[C, T]` into an .ecdc file in `folder` and decompress it again."""
        import soundfile as sf

        from ncodec.codec import compress, decompress

        source, coded, decoded = folder / "source.wav", folder / "coded.ecdc", folder / "out.wav"
        sf.write(source, samples.T, sample_rate, subtype="FLOAT")
        compress(source, coded, model=loaded(self.name), bandwidth=setting)
        decompress(coded, decoded, model=loaded(self.name))
        result, rate = sf.read(decoded, always_2d=True)
        return Coded(coded, result.T, rate)


def pulled_models() -> list[str]:
    """Return the names of the models on this machine, the embedded one first."""
    return [DEFAULT_MODEL, *stored_names()]
