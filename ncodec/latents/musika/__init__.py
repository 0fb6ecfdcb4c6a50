"""Musika's own nets, and sound from them without end (Pasini and Schlueter 2022)."""
