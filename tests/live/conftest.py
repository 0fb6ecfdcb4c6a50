"""A light model with random weights, and the virtual sound card."""

import os
import shutil
import sys

import pytest

from tests.codec.conftest import ToyModel
from tests.live import fake_sound
from tests.live.virtual_card import TOOLS, VirtualCard


@pytest.fixture(scope="session")
def model():
    return ToyModel(rate=24000, hop=320, codebooks=10)


@pytest.fixture
def sound(monkeypatch):
    fake = fake_sound.module()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def missing():
    """Say why there can be no virtual sound card here, or None."""
    if sys.platform != "linux":
        return "virtual sound devices need Linux"
    gone = [tool for tool in TOOLS if shutil.which(tool) is None]
    if gone:
        return f"virtual sound devices need {', '.join(gone)} (apt: pulseaudio, pulseaudio-utils)"
    try:
        import sounddevice  # noqa: F401
    except OSError:
        return "PortAudio is missing (apt: libportaudio2)"
    return None


@pytest.fixture(scope="session")
def card_server():
    reason = missing()
    if reason is not None:
        if os.environ.get("NCODEC_REQUIRE_LIVE"):
            pytest.fail(f"NCODEC_REQUIRE_LIVE is set, but {reason}")
        pytest.skip(reason)
    card = VirtualCard()
    yield card
    card.close()


@pytest.fixture
def card(card_server):
    if not card_server.plugged:
        card_server.plug()
    return card_server
