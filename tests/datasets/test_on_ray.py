"""What runs on Ray do without it: what they say, what they count, how errors come out."""

from types import SimpleNamespace

import pytest

from ncodec.datasets import on_ray
from ncodec.errors import ArgumentError, NcodecError


class RayError(Exception):
    """As Ray's own."""


def ray_with(free, whole):
    return SimpleNamespace(
        available_resources=lambda: free,
        cluster_resources=lambda: whole,
        exceptions=SimpleNamespace(RayError=RayError),
    )


class Pool:
    """Gives what it was made of, in order; raises what is an error."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def get_next_unordered(self, timeout):
        assert timeout == on_ray.PATIENCE
        answer = self._answers.pop(0)
        if answer is TimeoutError or isinstance(answer, RayError):
            raise answer
        return answer


def test_it_says_what_is_waited_for():
    said, ray = [], ray_with({"CPU": 1.0}, {"CPU": 4.0})
    found = on_ray._next(ray, Pool(TimeoutError, TimeoutError, {"shard": 3}), said.append)
    assert found == {"shard": 3}
    assert said == ["no shard has come for 0 s; on the cluster 1 of 4 CPUs are free"] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ray::Writer.write() (pid=7)\n  File x\nImportError: no module\n", "ImportError: no mod"),
        ("The actor died unexpectedly.\n\tclass_name: Writer\n", "The actor died unexpectedly."),
        ("", "RayError"),
    ],
)
def test_a_dead_worker_is_told_in_one_line(text, told):
    with pytest.raises(NcodecError) as raised:
        on_ray._next(ray_with({}, {}), Pool(RayError(text)), None)
    assert f"a worker of Ray failed: {told}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_a_worker_could_not_do_is_raised_as_it_is():
    with pytest.raises(OSError, match="full"):
        on_ray._next(ray_with({}, {}), Pool(OSError("full")), None)


@pytest.mark.parametrize(
    ("free", "device", "count"),
    [
        ({"CPU": 3.0}, "cpu", 3),
        ({"CPU": 3.0, "GPU": 2.0}, "cuda", 2),
        ({"CPU": 1.0, "GPU": 2.0}, "cuda:0", 1),
        ({"CPU": 0.5}, "cpu", None),
        ({"CPU": 3.0}, "cuda", None),
        ({}, "cpu", None),
    ],
)
def test_workers_are_no_more_than_what_is_free(free, device, count):
    ray = ray_with(free, {"CPU": 4.0})
    if count is not None:
        assert on_ray._free(ray, device) == count
        return
    kind = "GPU" if device == "cuda" else "CPU"
    with pytest.raises(ArgumentError, match=f"has [0-9.]+ of [04] {kind}s free"):
        on_ray._free(ray, device)


def test_a_worker_with_another_model_writes_nothing(made, tmp_path):
    settings = {"model": None, "codebooks": 2, "device": "cpu", "batch": None}
    found = on_ray.Writer(str(made["shar"].folder), settings).write(0)
    assert isinstance(found, ArgumentError)
    assert "was begun with codebooks of sizes" in str(found)
    found = on_ray.Writer(str(tmp_path), settings).write(0)
    assert "holds no codes" in str(found)
