"""A cache folder for each test, one seed, no gradients."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; a seed, and no gradients."""
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield
