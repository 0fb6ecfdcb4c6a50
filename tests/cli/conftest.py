import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy_model():
    """The smallest model of the codec's tests: 8 kHz, 200 frames a second, 4 x 5 bits."""
    path = Path(__file__).parents[1] / "codec" / "conftest.py"
    spec = importlib.util.spec_from_file_location("toys", path)
    toys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toys)
    return toys.ToyModel()
