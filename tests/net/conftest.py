import pytest

from tests.codec.conftest import ToyModel


@pytest.fixture(scope="session")
def model():
    """A small model that looks 3 frames ahead, as the embedded one does."""
    return ToyModel(rate=24000, hop=320, codebooks=8, ahead=3)
