"""What a checkpoint is, told from its keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ncodec.checkpoints.layouts import LAYOUTS, Found
from ncodec.checkpoints.layouts.common import Parts
from ncodec.errors import CheckpointError, NcodecError, naming


def recognise(content: Mapping[str, Any], beside: Mapping[str, Any], file: Path) -> Found:
    """Return what a checkpoint's content is, and what else there is with it.

    Args:
        content: As `read_tensors` gives it.
        beside: The configuration beside it; empty if there is none.
        file: Where it stands, for errors and for what lies beside it.

    Raises:
        CheckpointError: It is of no layout that is known, or is incomplete.
    """
    for layout in LAYOUTS:
        if layout.matches(content):
            try:
                with naming(str(file), NcodecError):
                    config, tensors = layout.read(content, beside)
                    found = Found(layout.description, layout.family, config, tensors)
                    told = layout.parts
                    parts = Parts() if told is None else told(content, beside, file.parent)
            except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
                raise CheckpointError(
                    f"{file}: looks like {layout.description}, but is incomplete ({error!r})"
                ) from error
            return Found(found.layout, found.family, config, tensors, parts)
    keys = ", ".join(sorted(map(str, content))[:3]) or "none"
    raise CheckpointError(f"{file}: no layout that is known; its first keys: {keys}")
