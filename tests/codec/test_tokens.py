"""`ncodec.tokenize` of an array, and `ncodec.detokenize` of its codes."""

import io

import numpy as np
import pytest
import torch

import ncodec
from ncodec.errors import ArgumentError
from ncodec_formats import EcdcReader


@pytest.fixture(params=["causal", "ahead"])
def toy(request, toys):
    return toys[request.param]


def written(x, rate, model, **options):
    """The codes `[K, F]` of a file that `write` makes of the same sound."""
    file = io.BytesIO()
    ncodec.write(file, x, rate, model=model, lift=False, **options)
    file.seek(0)
    return np.concatenate([packet.codes[:, 0] for packet in EcdcReader(file)], axis=1)


@pytest.mark.parametrize("rate", [8000, 11025])
@pytest.mark.parametrize("books", [None, 2])
def test_codes_and_sound_are_those_of_a_file(toy, sound, rate, books):
    x = sound(1, 2 * rate + 77)[0]
    codes, header = ncodec.tokenize(x, rate, model=toy, codebooks=books)
    assert codes.dtype == np.uint16
    assert codes.shape == (len(header.codebook_sizes), -(-(len(x) * 8000 // rate) // toy.hop))
    np.testing.assert_array_equal(codes, written(x, rate, toy, codebooks=books))
    file = io.BytesIO()
    ncodec.write(file, x, rate, model=toy, codebooks=books, lift=False)
    file.seek(0)
    want, _ = ncodec.read(file, model=toy)
    back, own = ncodec.detokenize(codes, header, model=toy)
    assert own == rate
    np.testing.assert_array_equal(back, want)


def test_fewer_codebooks_and_frames_are_enough(toy, sound):
    codes, header = ncodec.tokenize(sound(1, 16000)[0], 8000, model=toy)
    fewer, small = ncodec.tokenize(sound(1, 16000)[0], 8000, model=toy, codebooks=1)
    np.testing.assert_array_equal(codes[:1], fewer)
    whole, _ = ncodec.detokenize(fewer, small, model=toy)
    cut, _ = ncodec.detokenize(torch.from_numpy(codes[:1].astype(np.int64)), header, model=toy)
    np.testing.assert_array_equal(cut, whole)
    part, _ = ncodec.detokenize(codes[:, :10], header, model=toy)
    assert part.shape == (10 * toy.hop,)
    nothing, _ = ncodec.detokenize(codes[:, :0], header, model=toy)
    assert nothing.shape == (0,)


def test_channels_are_mixed_down_and_mono_is_copied(toys, sound):
    x = sound(2, 4000)
    codes, header = ncodec.tokenize(x, 8000, model=toys["causal"], channels_first=True)
    alone, _ = ncodec.tokenize(x.mean(0), 8000, model=toys["causal"])
    np.testing.assert_array_equal(codes, alone)
    assert header.source_channels == 1
    one, header = ncodec.tokenize(x[0], 8000, model=toys["stereo"])
    both, _ = ncodec.tokenize(x[[0, 0]].T, 8000, model=toys["stereo"])
    np.testing.assert_array_equal(one, both)
    assert ncodec.detokenize(one, header, model=toys["stereo"])[0].shape == (4000, 2)


def test_what_is_wrong_is_refused(toy, sound):
    codes, header = ncodec.tokenize(sound(1, 4000)[0], 8000, model=toy)
    sizes = header.codebook_sizes
    for wrong, said in (
        (codes.astype(np.float32), r"float32 \[.*must be integers \[K, F\]"),
        (codes[0], r"must be integers \[K, F\]"),
        (np.vstack([codes, codes]), "codebooks"),
        (codes[:0], "codebooks"),
        (np.full_like(codes, sizes[0]), "codes outside 0 to"),
        (np.full(codes.shape, -1), "codes outside 0 to"),
    ):
        with pytest.raises(ArgumentError, match=said):
            ncodec.detokenize(wrong, header, model=toy)
    with pytest.raises(ArgumentError, match="finite"):
        ncodec.tokenize(np.full(100, np.inf, np.float32), 8000, model=toy)


def test_models_of_segments_are_refused(toys, sound):
    with pytest.raises(ArgumentError, match="with a scale each"):
        ncodec.tokenize(sound(1, 4000)[0], 8000, model=toys["segments"])
