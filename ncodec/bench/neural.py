"""Neural models as codecs of a comparison, through the library's own files."""

from __future__ import annotations

import functools
from pathlib import Path

from ncodec.bench.codecs import Coded, Samples
from ncodec.checkpoints import DEFAULT_MODEL, load, stored_names
from ncodec.codec.options import EFFORTS
from ncodec.models.base import CompressionModel


@functools.lru_cache(maxsize=2)
def loaded(name: str) -> CompressionModel:
    """Return a model; the last two stay here."""
    return load(name)


def _effort(name: str) -> tuple[str, str | None]:
    """Return a model's name and the effort that stands after it, if one does."""
    plain, _, level = name.rpartition("@")
    return (plain, level) if level in EFFORTS else (name, None)


class ModelCodec:
    """A model of the registry, or a checkpoint's path, behind `compress` and `decompress`.

    "NAME@LEVEL" is the model at a level of effort.
    """

    def __init__(self, name: str) -> None:
        """Load the model, so that a missing one is known at once.

        Raises:
            CheckpointError: there is no such model here.
        """
        self.name = name
        self._plain, self._level = _effort(name)
        model = loaded(self._plain)
        fingerprint: bytes = model.fingerprint
        searched = "" if self._level is None else f", {self._level}"
        self.title = f"{Path(self._plain).stem} ({fingerprint.hex()[:8]}{searched})"
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
        model = loaded(self._plain)
        compress(source, coded, model=model, bandwidth=setting, effort=self._level)
        decompress(coded, decoded, model=model)
        result, rate = sf.read(decoded, always_2d=True)
        return Coded(coded, result.T, rate)


def pulled_models() -> list[str]:
    """Return the names of the models on this machine, the embedded one first."""
    return [DEFAULT_MODEL, *stored_names()]
