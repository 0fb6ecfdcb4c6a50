"""Training: data, losses, loop and recipes."""

from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"
"""Folder of the configurations that come with the package."""
