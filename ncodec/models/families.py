"""The families of models: one record each, from which all else is found. Needs no PyTorch.

Other packages add theirs by an entry point of the group `ncodec.families` that gives a `Family`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from ncodec.config import (
    Config,
    DacConfig,
    EncodecConfig,
    EncodecLMConfig,
    HifiGanConfig,
    MimiConfig,
    SpectralConfig,
)
from ncodec.errors import CheckpointError
from ncodec.models.latent_config import LatentGanConfig, SecondLevelConfig
from ncodec.models.lm_config import LMConfig
from ncodec.models.musika_config import MusikaConfig

ENTRY_POINTS = "ncodec.families"

Kind = Literal[
    "codec", "language model", "generator", "vocoder", "latent model", "endless generator"
]


@dataclass(frozen=True)
class Family:
    """Models of one architecture.

    Attributes:
        name: As model files and configurations have it.
        kind: What its models are for.
        config: The dataclass of their configuration.
        cls: Their class, "module:Class", imported when a model is built: it takes the configuration
            and `name=`.
        layouts: Other tools' layouts of its checkpoints (`ncodec.checkpoints.layouts.Layout`),
            "module:NAME" each, in the order in which they are tried.
        task: The training task that can make such models, or None.
    """

    name: str
    kind: Kind
    config: type[Config]
    cls: str
    layouts: tuple[str, ...] = ()
    task: str | None = None

    @property
    def model_class(self) -> Any:
        """The class of its models."""
        return resolve(self.cls)


_LAYOUTS = "ncodec.checkpoints.layouts"

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "lm",
            "generator",
            LMConfig,
            "ncodec.lm.model:LMModel",
            (f"{_LAYOUTS}.lm:AUDIOCRAFT_LM", f"{_LAYOUTS}.lm:HF_MUSICGEN"),
            task="lm",
        ),
        Family(
            "encodec_lm",
            "language model",
            EncodecLMConfig,
            "ncodec.models.encodec_lm:EncodecLM",
            (f"{_LAYOUTS}.encodec:ENCODEC_LM",),
        ),
        Family(
            "encodec",
            "codec",
            EncodecConfig,
            "ncodec.models.encodec:EncodecModel",
            tuple(f"{_LAYOUTS}.encodec:{x}" for x in ("AUDIOCRAFT", "ENCODEC", "HF_ENCODEC")),
            task="codec",
        ),
        Family(
            "dac",
            "codec",
            DacConfig,
            "ncodec.models.dac:DacModel",
            (f"{_LAYOUTS}.dac:DAC", f"{_LAYOUTS}.dac:HF_DAC"),
        ),
        Family(
            "mimi",
            "codec",
            MimiConfig,
            "ncodec.models.mimi:MimiModel",
            (f"{_LAYOUTS}.mimi:HF_MIMI",),
        ),
        Family(
            "hifigan",
            "vocoder",
            HifiGanConfig,
            "ncodec.vocoder.model:Vocoder",
            tuple(
                f"{_LAYOUTS}.hifigan:{x}"
                for x in ("OFFICIAL", "HF_HIFIGAN", "COQUI", "SPEECHBRAIN", "PWG", "BIGVGAN")
            ),
            task="vocoder",
        ),
        Family(
            "musika",
            "endless generator",
            MusikaConfig,
            "ncodec.latents.musika.model:Musika",
            (f"{_LAYOUTS}.musika:MUSIKA",),
            task="musika",
        ),
        Family(
            "second_level",
            "latent model",
            SecondLevelConfig,
            "ncodec.latents.second_level:SecondLevel",
            task="second_level",
        ),
        Family(
            "latent_gan",
            "endless generator",
            LatentGanConfig,
            "ncodec.latents.gan:LatentGan",
            task="latent_gan",
        ),
        Family(
            "spectral",
            "codec",
            SpectralConfig,
            "ncodec.models.spectral:SpectralCodec",
            task="codec",
        ),
    )
}
"""Those that come with the package."""


RUNNERS: Mapping[str, str] = {
    "codec": "ncodec.export.codec:OnnxCodec",
    "vocoder": "ncodec.vocoder.graphs:OnnxVocoder",
}
"""What runs exported graphs of models of each kind, "module:Class"."""


def find_family(name: str) -> Family:
    """Return a family by its name.

    Raises:
        CheckpointError: There is none.
    """
    family = FAMILIES.get(name) or next((f for f in _added() if f.name == name), None)
    if family is None:
        names = ", ".join(sorted(family.name for family in known()))
        raise CheckpointError(f"unknown model family {name!r}; known: {names}")
    return family


def known() -> Iterator[Family]:
    """Yield all families, those of other packages last."""
    yield from FAMILIES.values()
    yield from _added()


def family_of(model: object) -> Family:
    """Return the family whose class, or a class of it, a model is.

    Raises:
        CheckpointError: It is of none.
    """
    ancestors = {f"{base.__module__}:{base.__name__}" for base in type(model).__mro__}
    for family in known():
        if family.cls in ancestors:
            return family
    names = ", ".join(sorted(family.name for family in known()))
    raise CheckpointError(f"{type(model).__name__} is of no known family: {names}")


def resolve(place: str) -> Any:
    """Import "module:NAME"."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def _added() -> Iterator[Family]:
    for point in entry_points(group=ENTRY_POINTS):
        family = point.load()
        if not isinstance(family, Family):
            raise CheckpointError(
                f"entry point {point.name} of {ENTRY_POINTS}: must give a Family, not {family!r}"
            )
        yield family
