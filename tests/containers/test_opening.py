"""Files of codes of other kinds decode like our own."""

import io

import numpy as np
import pytest

import ncodec
from ncodec.errors import ArgumentError


def test_a_given_model_stays_as_it_is(monkeypatch) -> None:
    """It may already compute in bf16, which it cannot leave again; that is its owner's affair."""
    model = ncodec.load_model()
    audio = np.sin(np.arange(12000) / 9).astype(np.float32) / 2
    coded, arrays = io.BytesIO(), io.BytesIO()
    ncodec.write(coded, audio, 24000, model=model, codebooks=2)
    ncodec.convert(io.BytesIO(coded.getvalue()), arrays, to="npz")
    expected, _ = ncodec.read(coded.getvalue(), model=model)
    monkeypatch.setattr(model, "_precision", "bf16")
    with pytest.raises(ArgumentError, match="cannot change"):
        model.set_precision("float32")
    found, _ = ncodec.read(arrays.getvalue(), model=model)
    assert np.array_equal(found, expected)
