"""What shells offer after Tab: names of models and recipes, files of the right endings."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


def complete_models(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the models that are here, and files."""
    return _begun(_here(), incomplete) or [CompletionItem(incomplete, type="file")]


def complete_known(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the models that can be pulled."""
    from ncodec.checkpoints import known

    return _begun((entry.name for entry in known() if not entry.embedded), incomplete)


def complete_stored(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the models that were pulled or imported."""
    from ncodec.checkpoints import stored_names

    return _begun(stored_names(), incomplete)


def _here() -> list[str]:
    from ncodec.checkpoints import known, stored_names

    return list(dict.fromkeys([*(e.name for e in known() if e.embedded), *stored_names()]))


def _begun(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_recipes(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the recipes that come with the package, and files of that kind."""
    folder = Path(__file__).parents[1] / "ncodec" / "train" / "recipes"
    recipes = sorted(path.stem for path in folder.glob("*.toml"))
    return [*_files(incomplete, {".toml"}), *_begun(recipes, incomplete)]


class AnyPath(click.Path):
    """A path or "-", but not nothing."""

    def __init__(self) -> None:
        """Check nothing else."""
        super().__init__(readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what names no file, such as a variable of a script that is not set."""
        if not value:
            self.fail("'': names no file")
        return super().convert(value, param, ctx)


class Files(AnyPath):
    """A path or "-"; shells offer folders, and files of these endings.

    Whether it can be used, the command says.
    """

    def __init__(self, *endings: str, audio: bool = False) -> None:
        """Take endings as in ".ecdc"; with `audio` those of all audio files are added."""
        super().__init__()
        self._endings, self._audio = frozenset(endings), audio

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what a shell offers."""
        endings = self._endings
        if self._audio:
            from ncodec.audio import AUDIO_SUFFIXES

            endings |= AUDIO_SUFFIXES
        return _files(incomplete, endings)


def _files(incomplete: str, endings: Container[str]) -> list[CompletionItem]:
    """Offer folders, by the shell's own means, and files with these endings."""
    folder, begun = os.path.split(incomplete)
    place = Path(folder).expanduser()
    try:
        there = [path for path in place.iterdir() if path.name.startswith(begun)]
    except OSError:
        there = []
    if not there:
        return [CompletionItem(incomplete, type="file")]  # the shell may know more of it
    names = sorted(path.name for path in there if path.suffix.lower() in endings)
    shown = [name for name in names if begun or not name.startswith(".")]
    items = [CompletionItem(os.path.join(folder, name)) for name in shown]
    # First, since bash's code begins anew at a "dir".
    return [CompletionItem(incomplete, type="dir"), *items]


AUDIO = Files(audio=True)
CODED = Files(".ecdc", ".dac", ".npz", ".safetensors")
ECDC = Files(".ecdc")
SOUND = Files(".ecdc", ".dac", audio=True)
