"""Puts the manual pages, where `make man` has written them, into the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):
    """Install man/*.1 where man(1) looks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each page to the files of the wheel that lie outside its packages."""
        for page in sorted(Path(self.root, "man").glob("*.1")):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"
