"""On Ray: the same shards, after a kill too, and the tokenizer in one's own pipeline."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from ncodec.datasets import Tokenizer, on_ray, tokenize
from ncodec.errors import ArgumentError
from tests.datasets.conftest import sound
from tests.datasets.test_tokenizing import contents

ray = pytest.importorskip("ray", reason="ray not installed")
pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "formats"), *filter(None, sys.path)])


@pytest.fixture(scope="module")
def cluster():
    """Ray with two processors, from which workers find the package."""
    os.environ["PYTHONPATH"], before = PATHS, os.environ.get("PYTHONPATH", "")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    os.environ["PYTHONPATH"] = before


def test_actors_write_the_same_shards_and_it_says_what_waits(
    cluster, made, sources, tmp_path, monkeypatch
):
    monkeypatch.setattr(on_ray, "PATIENCE", 0.2)  # a model takes longer to load
    said, done = [], []
    tokenized = tokenize(
        [sources], tmp_path / "out", format="shar", shard_size=4, jobs=8, engine="ray",
        progress=lambda seconds, whole: done.append((seconds, whole)), say=said.append,
    )  # fmt: skip
    assert (tokenized.rows, tokenized.errors) == (11, 1)
    assert contents(tmp_path / "out") == contents(made["shar"].folder)
    assert re.fullmatch(
        r"no shard has come for \d+ s; on the cluster \d of 2 CPUs are free", said[0]
    )
    assert done[-1] == (pytest.approx(tokenized.seconds),) * 2


def test_the_tokenizer_stands_in_a_pipeline_of_ray_data(cluster, model):
    sounds = [sound(i, 24000)[:, 0] for i in range(4)]
    rows = ray.data.from_items([{"n": i, "audio": x, "rate": 24000} for i, x in enumerate(sounds)])
    coded = rows.map_batches(
        Tokenizer, fn_constructor_kwargs={"codebooks": 4}, batch_size=2, concurrency=1, num_cpus=1
    )
    tokenizer = Tokenizer(model, codebooks=4)
    found = {row["n"]: row["codes"] for row in coded.take_all()}
    for i, x in enumerate(sounds):
        np.testing.assert_array_equal(found[i], tokenizer.codes(x, 24000))


def test_without_a_free_processor_it_does_not_wait_for_ever(cluster, sources, tmp_path):
    @ray.remote(num_cpus=2)
    class Greedy:
        def there(self):
            return True

    greedy = Greedy.remote()
    assert ray.get(greedy.there.remote())
    with pytest.raises(ArgumentError, match="0 of 2 CPUs free"):
        tokenize([sources], tmp_path / "out", format="shar", engine="ray")
    ray.kill(greedy)


START = """
import sys
from ncodec.datasets import tokenize
if __name__ == "__main__":
    tokenize([sys.argv[1]], sys.argv[2], format="shar", shard_size=1, jobs=2, engine="ray")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
def test_a_kill_of_all_spoils_nothing(sources, model, tmp_path):
    script, folder = tmp_path / "start.py", tmp_path / "out"
    script.write_text(START)
    environment = {**os.environ, "PYTHONPATH": PATHS}
    started = subprocess.Popen(
        [sys.executable, script, sources, folder], env=environment, start_new_session=True
    )
    while started.poll() is None and len(list((folder / "shards").glob("cuts*"))) < 2:
        time.sleep(0.05)
    ours = psutil.Process(started.pid).children(recursive=True)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    psutil.wait_procs(ours, timeout=60)  # Ray's workers, of groups of their own, go within seconds
    done = tokenize([sources], folder, format="shar", model=model, shard_size=1)
    assert 2 <= done.before < 12
    tokenize([sources], tmp_path / "whole", format="shar", model=model, shard_size=1)
    assert contents(folder) == contents(tmp_path / "whole")
