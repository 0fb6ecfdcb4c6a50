"""Frequencies are the same to the bit, whoever multiplies."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ncodec_formats import selftest
from ncodec_formats.entropy.predictor import Predictor, _check_exact
from ncodec_formats.entropy.toy import toy_tables
from ncodec_formats.errors import TablesError
from ncodec_formats.selftest import EXACTNESS, exactness_hash

FORMATS = Path(__file__).resolve().parents[2] / "formats"
KERNELS = ["Haswell", "Nehalem", "SkylakeX"]
"""Of OpenBLAS, which NumPy's wheels multiply with on most machines; others take no notice."""


def has_avx512() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and "avx512vl" in cpu.read_text()


def test_the_hash_is_that_of_all_machines() -> None:
    assert exactness_hash() == EXACTNESS


@pytest.mark.portable
@pytest.mark.parametrize("kernel", KERNELS)
def test_other_kernels_give_the_same(kernel: str) -> None:
    if kernel == "SkylakeX" and not has_avx512():
        pytest.skip("the processor has no AVX-512")
    code = "from ncodec_formats.selftest import exactness_hash; print(exactness_hash())"
    names = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(FORMATS)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **names}, capture_output=True, text=True
    )
    assert done.stdout.strip() == EXACTNESS, done.stderr


def test_products_are_those_of_whole_numbers_and_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    tables = toy_tables((1024,) * 2, width=32, units=128)
    predictor = Predictor(tables)
    codes = np.random.default_rng(0).integers(0, 1024, (1, 2, 60))
    contexts = predictor.context(*[predictor.sums(codes)] * 2)[0]
    its = predictor.layers[1]
    units = predictor.units(1, contexts)
    for x, weights in ((contexts, its.inputs), (units, its.blocks), (units, its.entries[7])):
        whole = x.astype(np.int64) @ weights.astype(np.int64)
        assert np.array_equal(x @ weights, whole)
        assert np.array_equal(np.concatenate([row[None] @ weights for row in x]), whole)
        threads = torch.get_num_threads()
        try:
            for count in (1, 2):
                torch.set_num_threads(count)
                product = torch.from_numpy(x) @ torch.from_numpy(weights.copy())
                assert np.array_equal(product.numpy(), whole)
        finally:
            torch.set_num_threads(threads)


def test_a_machine_that_computes_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Predictor.block_frequencies

    def wrong(self, layer, units):
        found = right(self, layer, units)
        found[-1, -1] += 1
        return found

    monkeypatch.setattr(Predictor, "block_frequencies", wrong)
    result = selftest.exactness()
    assert not result.ok
    assert "not 1706ac707868" in result.text


def test_a_machine_of_reduced_precision_is_refused() -> None:
    tables = toy_tables((1024,))

    class Rough(np.ndarray):
        """What multiplies with seven bits, as bfloat16 does."""

        def __rmatmul__(self, other):
            mine = np.asarray(self)
            return other @ (mine // 4 * 4 if mine.dtype == np.float32 else mine)

    _check_exact(tables.layers[0].entries.astype(np.float32))
    with pytest.raises(TablesError, match="not exact on this machine"):
        _check_exact(tables.layers[0].entries.astype(np.float32).view(Rough))
