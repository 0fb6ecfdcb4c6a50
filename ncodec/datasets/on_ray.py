"""Shards written by actors of Ray, on one machine or many.

Ray carries numbers of shards in and what is in them out; shards are written by the actors as
everywhere, so what Ray repeats, restarts or loses does no harm. Actors ask for a CPU each (and a
GPU), and no more of them are made than the cluster has free: then nothing waits for ever.
"""

from __future__ import annotations

import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncodec.datasets.run import Run, Summary, Told, open_worker
from ncodec.datasets.tokenizer import Tokenizer
from ncodec.errors import ArgumentError, NcodecError

PATIENCE = 60.0
"""Seconds without news until it is said what is waited for."""
_RESTARTS = 3  # of an actor that died, and of what it was at


class Writer:
    """What an actor is: it writes the shards of a run."""

    def __init__(self, folder: str, settings: Mapping[str, Any]) -> None:
        """Take what it needs; `folder` is the run's, as all machines of the cluster see it."""
        import torch

        torch.set_num_threads(1)
        self._folder, self._settings = Path(folder), settings
        self._opened: tuple[Run, Tokenizer] | None = None

    def write(self, number: int) -> Summary | NcodecError | OSError:
        """Write a shard; return what is in it, or why that cannot be.

        The model is loaded here and not at the start, whose errors Ray tells by a traceback.
        """
        try:
            if self._opened is None:
                self._opened = open_worker(self._folder, self._settings)
            run, tokenizer = self._opened
            with run.at_work():
                return run.write(number, tokenizer, lambda *_: None)
        except (NcodecError, OSError) as error:
            return error


@dataclass(frozen=True)
class Ray:
    """How a run uses Ray.

    Attributes:
        jobs: Actors, at most.
        address: Of the cluster: "auto" finds it, None starts one on this machine.
        told: Is told what is done.
        say: Is given lines that a person should see while it waits.
    """

    jobs: int
    address: str | None
    told: Told
    say: Callable[[str], None] | None = None


def write_on_ray(
    run: Run, numbers: Sequence[int], settings: Mapping[str, Any], how: Ray
) -> Iterator[Summary]:
    """Have actors write shards; yield what is in them as they come.

    Raises:
        ArgumentError: Ray is not installed, there is no cluster, or it has no CPU or GPU free.
        NcodecError: An actor died time and again.
        OSError: A shard cannot be written.
    """
    if not numbers:
        return
    ray = _ray()
    begun = not ray.is_initialized()
    if begun:
        _join(ray, how.address)
    try:
        count = min(how.jobs, len(numbers), _free(ray, str(settings["device"])))
        needs = {"num_cpus": 1, "num_gpus": int(_on_gpu(settings))}
        actor = ray.remote(**needs, max_restarts=_RESTARTS, max_task_retries=_RESTARTS)(Writer)
        folder = str(run.folder.absolute())
        actors = [actor.remote(folder, dict(settings)) for _ in range(count)]
        pool = importlib.import_module("ray.util").ActorPool(actors)
        for number in numbers:
            pool.submit(lambda actor, number: actor.write.remote(number), number)
        while pool.has_next():
            summary = _next(ray, pool, how.say)
            how.told(summary["rows"] + len(summary["errors"]), summary["seconds"])
            yield summary
    finally:
        if begun:
            ray.shutdown()


def _next(ray: Any, pool: Any, say: Callable[[str], None] | None) -> Summary:
    """Wait for the next shard; say what is waited for when that takes long."""
    began = time.monotonic()
    while True:
        try:
            found = pool.get_next_unordered(timeout=PATIENCE)
        except TimeoutError:
            if say is not None:
                free, whole = ray.available_resources(), ray.cluster_resources()
                cpus = f"{free.get('CPU', 0):g} of {whole.get('CPU', 0):g} CPUs are free"
                waited = time.monotonic() - began
                say(f"no shard has come for {waited:.0f} s; on the cluster {cpus}")
            continue
        except ray.exceptions.RayError as error:
            reason = _reason(error)
            raise NcodecError(f"a worker of Ray failed: {reason}; start again to go on") from error
        if isinstance(found, Exception):
            raise found
        return found


def _reason(error: Exception) -> str:
    """Return the line that says it: the error's own, which ends a traceback, or Ray's first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = lines[-1:] and re.match(r"[\w.]+(Error|Exception|Interrupt)\b", lines[-1])
    return lines[-1] if own else (lines or [type(error).__name__])[0]


def _free(ray: Any, device: str) -> int:
    """Return how many actors the cluster can hold now.

    Raises:
        ArgumentError: None.
    """
    kind = "GPU" if device.startswith("cuda") else "CPU"
    free, whole = ray.available_resources(), ray.cluster_resources()
    count = int(min(free.get("CPU", 0), free.get(kind, 0)))
    if count < 1:
        counts = f"{free.get(kind, 0):g} of {whole.get(kind, 0):g} {kind}s free"
        raise ArgumentError(f"the Ray cluster has {counts}: a worker needs one")
    return count


def _on_gpu(settings: Mapping[str, Any]) -> bool:
    return str(settings["device"]).startswith("cuda")


def _join(ray: Any, address: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None and not os.environ.get("RAY_ADDRESS"):
        # one of its own, not one that happens to run, or to die of the kill that a run comes after
        address, options["include_dashboard"] = "local", False
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        place = "this machine" if address in (None, "local") else address
        raise ArgumentError(f"no Ray cluster at {place}: {_reason(error)}") from None


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise ArgumentError(
            "--engine ray needs Ray, which is not installed: pip install 'ray[data]'"
        ) from None
