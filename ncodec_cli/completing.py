"""What shells offer after Tab: names of models and recipes, files of the right endings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


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
