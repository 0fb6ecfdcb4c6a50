"""`ncodec train`: train or fine-tune a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ncodec.errors import ArgumentError
from ncodec_cli.checks import check_device
from ncodec_cli.common import device_option, threads_option, use_threads
from ncodec_cli.completing import complete_recipes


@click.command
@click.argument(
    "config", required=False, type=click.Path(dir_okay=False), shell_complete=complete_recipes
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as optim.lr=1e-4; may be repeated.",
)
@click.option("--resume", metavar="FOLDER", help="Go on with the run in FOLDER.")
@device_option
@threads_option
def train(
    config: str | None,
    changes: tuple[str, ...],
    resume: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Train a model as CONFIG says, a TOML file or the name of a recipe.

    The run lies in a folder, runs/NAME unless `output` says otherwise; its model, as all commands
    take it, is FOLDER/model.safetensors. Ctrl-C writes a checkpoint, from which --resume goes on.

    \b
    Examples:
      ncodec train ncodec_24khz --set 'data.sources=["~/speech"]'
      ncodec train --resume runs/ncodec_24khz
      ncodec train --resume runs/ncodec_24khz --set optim.steps=30000
      torchrun --nproc-per-node 8 -m ncodec_cli train recipe.toml
    """
    if (config is None) == (resume is None):
        raise click.UsageError("give either a CONFIG or --resume FOLDER")
    check_device(device)
    recipe = None if config is None else _recipe(config)
    use_threads(threads)
    from ncodec.train.config import home, load_config
    from ncodec.train.distributed import processes
    from ncodec.train.resume import resume as resume_run
    from ncodec.train.trainer import Trainer

    where = _device(device)
    with processes(where) as (rank, world):
        if recipe is None:
            trainer = resume_run(resume or "", where, rank, world, changes=changes)
        else:
            settings = load_config(recipe, changes)
            if any(home(settings.output).glob("checkpoint-*.pt")):
                raise ArgumentError(
                    f"{settings.output}: holds a run; go on with --resume, or set another output"
                )
            trainer = Trainer.create(settings, where, rank, world)
        trainer.run()


def _recipe(config: str) -> Path:
    """Return the path of a file, or of a recipe that comes with the package."""
    from ncodec.train import RECIPES

    path = Path(config)
    shipped = RECIPES / f"{config}.toml"
    if not path.is_file() and shipped.is_file():
        return shipped
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise ArgumentError(f"{config}: no such file, nor a recipe; recipes: {names}")
    return path


def _device(name: str) -> Any:
    import os

    import torch

    from ncodec.runtime import pick_device

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if pick_device(name) == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    return torch.device(name)
