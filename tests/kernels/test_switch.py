"""The switch to plain PyTorch: by context, by environment, by PyTorch's own."""

from __future__ import annotations

import runpy
import threading

import pytest
import torch

from ncodec.kernels import switch
from ncodec.kernels.switch import is_portable, portable


def test_it_holds_for_its_context_and_thread_alone() -> None:
    before, seen = is_portable(), list[bool]()
    with portable():
        assert is_portable()
        with portable():
            pass
        assert is_portable()
        other = threading.Thread(target=lambda: seen.append(is_portable()))
        other.start()
        other.join()
    assert is_portable() == before
    assert seen == [before]


def test_it_is_set_back_after_an_error() -> None:
    before = is_portable()
    with pytest.raises(ZeroDivisionError), portable():
        raise ZeroDivisionError
    assert is_portable() == before


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch has no oneDNN")
def test_onednn_switched_off_is_honoured() -> None:
    with torch.backends.mkldnn.flags(enabled=False):
        assert is_portable()


@pytest.mark.parametrize("value", ["1", "yes", "0", ""])
def test_the_environment_says_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_PORTABLE", value)
    names = runpy.run_path(switch.__file__)
    assert names["_PORTABLE"].get() == (value in ("1", "yes"))
