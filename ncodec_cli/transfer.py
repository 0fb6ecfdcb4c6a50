"""One line of progress for a download."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_MEGA = 1e6


class Transfer:
    """Shows bytes had and bytes in all on a terminal; is silent elsewhere."""

    def __init__(self, label: str, *, quiet: bool = False) -> None:
        """Begin now."""
        self._label = label
        self._on = not quiet and sys.stderr.isatty()
        self._begin = self._shown = time.monotonic()
        self._first: int | None = None

    def __call__(self, had: int, total: int | None) -> None:
        """Show how far it is."""
        now = time.monotonic()
        self._first = had if self._first is None else self._first
        if not self._on or now - self._shown < 0.1:
            return
        self._shown = now
        speed = (had - self._first) / (now - self._begin)
        line = f"{self._label}  {had / _MEGA:.1f}"
        if total:
            left = f"  {(total - had) / speed:.0f} s left" if speed > 0 else ""
            line += f" / {total / _MEGA:.1f} MB  {100 * had / total:3.0f} %{left}"
        else:
            line += " MB"
        sys.stderr.write(f"\r\x1b[K{line}  {speed / _MEGA:.1f} MB/s")
        sys.stderr.flush()

    def __enter__(self) -> Transfer:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the line away."""
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
