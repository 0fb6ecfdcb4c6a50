"""Discriminators of a run, made from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from ncodec.adversarial import (
    AdversarialLoss,
    CombinedDiscriminator,
    HiFiGANScaleDiscriminator,
    MultiDiscriminator,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleSTFTDiscriminator,
)
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.train.checkpoint import load_checkpoint
from ncodec.train.config import AdversarialSection, home

DISCRIMINATORS: Mapping[str, Callable[..., MultiDiscriminator]] = {
    "mpd": MultiPeriodDiscriminator,
    "msd": MultiScaleDiscriminator,
    "hifigan_msd": HiFiGANScaleDiscriminator,
    "msstftd": MultiScaleSTFTDiscriminator,
}


def make_discriminators(
    options: AdversarialSection, channels: int, device: torch.device, *, start: bool = True
) -> AdversarialLoss | None:
    """Return the discriminators with their optimizer, or None if there are none.

    Without `start` the weights of `options.start` are not loaded: others will be.

    Raises:
        ArgumentError: A name or an option is unknown.
        CheckpointError: `options.start` does not fit them.
    """
    if not options.discriminators:
        return None
    made: list[MultiDiscriminator] = []
    for name, settings in options.discriminators.items():
        if name not in DISCRIMINATORS:
            raise ArgumentError(f"discriminator {name!r}: must be of {', '.join(DISCRIMINATORS)}")
        try:
            made.append(DISCRIMINATORS[name](channels=channels, **settings))
        except TypeError as error:
            raise ArgumentError(f"discriminator {name}: {error}") from error
    critics = CombinedDiscriminator(made).to(device)
    if start and options.start:
        _load(critics, home(options.start))
    optimizer = torch.optim.AdamW(critics.parameters(), lr=options.lr, betas=(0.5, 0.9))
    return AdversarialLoss(critics, optimizer, cast(Any, options.loss))


def _load(critics: nn.Module, path: Path) -> None:
    try:
        critics.load_state_dict(load_checkpoint(path))
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path}: does not fit these discriminators: {error}") from error
