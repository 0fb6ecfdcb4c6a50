import pytest


@pytest.fixture(scope="session")
def tiny_model():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from ncodec.config import EncodecConfig
    from ncodec.models.encodec import EncodecModel

    return EncodecModel(EncodecConfig(filters=2, latent_dim=8, bins=16)).eval()
