"""Which codecs can be compared on this machine: tools and models, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncodec.bench.codecs import Codec
from ncodec.bench.neural import ModelCodec, pulled_models
from ncodec.bench.tools import TOOLS, missing_programs
from ncodec.checkpoints import canonical, known, stored_names
from ncodec.errors import ArgumentError, NcodecError


@dataclass(frozen=True)
class Found:
    """The codecs that can run here, and for each other one asked for, why it cannot."""

    codecs: tuple[Codec, ...]
    left_out: tuple[str, ...]


def find(names: Sequence[str] | None = None, model: str | None = None) -> Found:
    """Return the codecs of these names; without names, every tool and every pulled model.

    Args:
        names: of tools and models. Those missing on this machine are told in `left_out`.
        model: the model under test: it comes first, and must be there.

    Raises:
        ArgumentError: a name that is no tool and no model.
        CheckpointError: the model under test is missing.
    """
    models = list(
        dict.fromkeys([*(entry.name for entry in known() if entry.is_codec), *stored_names()])
    )
    asked = [*TOOLS, *pulled_models()] if names is None else [canonical(name) for name in names]
    codecs: list[Codec] = [] if model is None else [ModelCodec(model)]
    left_out = list[str]()
    for name in dict.fromkeys(name for name in asked if name != model):
        if name in TOOLS:
            missing = missing_programs(TOOLS[name])
            if missing:
                left_out.append(f"{name}: {' and '.join(missing)} not installed")
            else:
                codecs.append(TOOLS[name])
            continue
        try:
            codecs.append(ModelCodec(name))
        except NcodecError as error:
            if name not in models and not Path(name).exists():
                choices = ", ".join([*TOOLS, *models])
                raise ArgumentError(f"unknown codec {name!r}: must be one of {choices}") from error
            left_out.append(f"{name}: {error}")
    return Found(tuple(codecs), tuple(left_out))
