"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, float | None], None]
"""Called now and then with how much is done, and how much there is in all (None: not known yet).

Seconds of audio, bytes, files or steps: what is counted says the function that takes it. It may be
called from a thread of that function; an error that it raises ends the work."""
