import pytest

from ncodec.config import EncodecConfig
from ncodec.models.encodec import EncodecModel


@pytest.fixture(scope="session")
def tiny_model():
    return EncodecModel(EncodecConfig(filters=2, latent_dim=8, bins=16)).eval()
