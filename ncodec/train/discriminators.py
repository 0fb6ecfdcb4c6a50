"""Discriminators of a run, made from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ncodec.adversarial import (
    AdversarialLoss,
    CombinedDiscriminator,
    HiFiGANScaleDiscriminator,
    MultiDiscriminator,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleSTFTDiscriminator,
    MultiSpectrumDiscriminator,
)
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.train.checkpoint import load_checkpoint, save_tensors
from ncodec.train.config import AdversarialSection, home

DISCRIMINATORS_FILE = "discriminators.pt"
DISCRIMINATORS: Mapping[str, Callable[..., MultiDiscriminator]] = {
    "mpd": MultiPeriodDiscriminator,
    "msd": MultiScaleDiscriminator,
    "hifigan_msd": HiFiGANScaleDiscriminator,
    "msstftd": MultiScaleSTFTDiscriminator,
    "spectrum": MultiSpectrumDiscriminator,
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
        _load(critics, tuple(options.discriminators), home(options.start))
    optimizer = torch.optim.AdamW(critics.parameters(), lr=options.lr, betas=options.betas)
    return AdversarialLoss(critics, optimizer, cast(Any, options.loss), sums=options.sums)


def judge(
    adversary: AdversarialLoss | None,
    options: AdversarialSection,
    fake: Tensor,
    real: Tensor,
    step: int,
) -> dict[str, Tensor]:
    """Return the losses of sound `[B, C, T]` that discriminators give, if their time has come.

    They take their own step first, where this is one of theirs.
    """
    if adversary is None or step < options.from_step:
        return {}
    if step % options.every == 0:
        adversary.train_adv(fake, real)
    adversarial, features = adversary(fake, real)
    return {"adversarial": adversarial, "features": features}


def adversary_state(adversary: AdversarialLoss | None) -> dict[str, Any]:
    """Return what a run that goes on needs of them."""
    return {
        "critics": adversary.discriminator.state_dict() if adversary else None,
        "critics_optimizer": adversary.optimizer.state_dict() if adversary else None,
    }


def load_adversary(
    adversary: AdversarialLoss | None, state: Mapping[str, Any], options: AdversarialSection
) -> list[str]:
    """Take back what `adversary_state` gave; returns what starts afresh, in words."""
    if adversary is None:
        return []
    if state["critics"] is None:
        return ["discriminators"]
    adversary.discriminator.load_state_dict(state["critics"])
    adversary.optimizer.load_state_dict(state["critics_optimizer"])
    for group in adversary.optimizer.param_groups:
        group["lr"], group["betas"] = options.lr, options.betas
    return []


def check_adversary(
    options: AdversarialSection, was: AdversarialSection, state: Mapping[str, Any]
) -> None:
    """Refuse what cannot change any more in a run that goes on.

    Raises:
        ArgumentError: Something did; the message holds the setting and why.
    """
    if not options.discriminators or state["critics"] is None:
        return
    for name in ("discriminators", "start"):
        if getattr(options, name) != getattr(was, name):
            raise ArgumentError(
                f"adversarial.{name}: this run's discriminators go on as they are; "
                "adversarial.discriminators={} drops them"
            )


def _load(critics: nn.Module, names: Sequence[str], path: Path) -> None:
    try:
        critics.load_state_dict(_named(load_checkpoint(path), names))
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path}: does not fit these discriminators: {error}") from error


_OFFICIAL = {"mpd": "mpd", "hifigan_msd": "msd"}
"""Our discriminators under the names that jik876/hifi-gan's `do_*` files have for them."""


def _named(content: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return discriminators' weights under our names, also those of a `do_*` file."""
    if not all(isinstance(content.get(theirs), Mapping) for theirs in _OFFICIAL.values()):
        return content
    return {
        f"parts.{i}.{_renamed(key, content[_OFFICIAL[name]])}": value
        for i, name in enumerate(names)
        if name in _OFFICIAL
        for key, value in content[_OFFICIAL[name]].items()
    }


def _renamed(key: str, state: Mapping[str, Any]) -> str:
    stem, _, last = key.rpartition(".")
    weighed = f"{stem}.weight_g" in state
    # of a spectral norm, `weight_v` is the vector of its power iteration
    ends = {
        "weight_g": "parametrizations.weight.original0",
        "weight_v": f"parametrizations.weight.{'original1' if weighed else '0._v'}",
        "weight_orig": "parametrizations.weight.original",
        "weight_u": "parametrizations.weight.0._u",
    }
    stem = stem.replace(".convs.", ".layers.").replace(".conv_post", ".post")
    return f"{stem}.{ends.get(last, last)}"


def write_adversary(adversary: AdversarialLoss | None, folder: Path) -> None:
    """Write the discriminators, if there are any, beside the model of a run."""
    if adversary is not None:
        save_tensors(adversary.discriminator.state_dict(), folder / DISCRIMINATORS_FILE)
