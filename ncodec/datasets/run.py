"""A folder of shards, whole or on its way: what a kill cannot spoil and a second run completes.

Shard n is always the n-th slice of the manifest. Its files appear under their names when they are
whole, so what is there is done and what is missing is to do, whoever does it. Layout:

    metadata.json    what all codes have in common, and how the slices lie
    manifest.jsonl   the recordings, in order
    shards/          the shards, nothing else
    shards.json      when all are there: rows, frames, seconds and a digest of each
    errors.jsonl     then, too: the recordings that could not be read, and why
    parts/           until then: the same, shard by shard
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ncodec.datasets.formats import FORMATS, Coded, ShardFormat
from ncodec.datasets.recordings import Recording
from ncodec.datasets.tokenizer import Tokenizer
from ncodec.errors import ArgumentError, BadFileError
from ncodec.files import atomic_output, locked

Summary = dict[str, Any]
"""What is in a shard: `shard`, `rows`, `frames`, `seconds`, `sha256`, `errors`."""
Told = Callable[[int, float], None]
"""Called with recordings and seconds of audio done since the last call."""
_LOCK, _METADATA, _MANIFEST = ".lock", "metadata.json", "manifest.jsonl"
_WAIT_SECONDS = 30.0  # until the workers of a run that was killed have ended
_FORM = 1
_FIRST = ("format", "model", "fingerprint", "recordings", "manifest_sha256")


@dataclass(frozen=True)
class Run:
    """A set of recordings, being coded into a folder.

    Attributes:
        folder: Where.
        about: What `metadata.json` says.
    """

    folder: Path
    about: Mapping[str, Any]

    @classmethod
    def begin(
        cls,
        folder: str | Path,
        recordings: Sequence[Recording],
        tokenizer: Tokenizer,
        *,
        format: str = "parquet",  # noqa: A002
        shard_size: int = 1000,
    ) -> Run:
        """Begin a run, or go on with the same one.

        Raises:
            ArgumentError: The folder holds something else, or a run of other recordings, another
                model or other settings; the message says which.
            OSError: It cannot be made.
        """
        if format not in FORMATS:
            raise ArgumentError(f"format {format!r}: must be one of {', '.join(FORMATS)}")
        folder = Path(folder)
        manifest = _bytes("".join(f"{r.to_json()}\n" for r in recordings))
        about = {
            "ncodec_codes": _FORM,
            "format": format,
            **tokenizer.describe(),
            "shard_size": shard_size,
            "recordings": len(recordings),
            "shards": -(-len(recordings) // shard_size),
            "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        }
        if (folder / _METADATA).exists():
            run = cls.open(folder)
            run.check_same(about)
            return run
        check_free(folder)
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        for name, content in ((_MANIFEST, manifest), (_METADATA, _json(about))):
            with atomic_output(folder / name, force=True) as file:
                file.write(content)
        return cls(folder, about)

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Open a folder that a run was begun in.

        Raises:
            ArgumentError: It is none.
        """
        try:
            about = json.loads((Path(folder) / _METADATA).read_text(encoding="utf-8"))
            if about["ncodec_codes"] == _FORM and about["format"] in FORMATS:
                return cls(Path(folder), about)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise ArgumentError(f"{folder}: holds no codes of `ncodec tokenize`")

    def check_same(self, about: Mapping[str, Any]) -> None:
        """Raise ArgumentError unless a run is described as this one is."""
        for name in dict.fromkeys([*_FIRST, *self.about, *about]):
            ours, theirs = self.about.get(name), about.get(name)
            if ours != theirs:
                what = _WORDS.get(name, name)
                raise ArgumentError(
                    f"{self.folder}: was begun with {what} {_short(ours)}, not {_short(theirs)}; "
                    "go on as it was begun, or give another folder"
                )

    @property
    def format(self) -> ShardFormat:
        """The form of its shards."""
        return FORMATS[self.about["format"]]

    @property
    def shards(self) -> int:
        """How many there will be."""
        return int(self.about["shards"])

    @cached_property
    def recordings(self) -> list[Recording]:
        """All of them, in order."""
        text = (self.folder / _MANIFEST).read_bytes()
        if hashlib.sha256(text).hexdigest() != self.about["manifest_sha256"]:
            raise BadFileError(f"{self.folder / _MANIFEST}: was changed since the run began")
        return [Recording.from_json(line) for line in text.decode("ascii").splitlines()]

    def slice(self, number: int) -> list[Recording]:
        """Return the recordings of a shard."""
        size = int(self.about["shard_size"])
        return self.recordings[number * size : (number + 1) * size]

    def pending(self) -> list[int]:
        """Return the shards that are not there yet."""
        return [n for n in range(self.shards) if not self._is_done(n)]

    def _is_done(self, number: int) -> bool:
        there = self.format.is_there(self.folder / "shards", number, self.shards)
        return there and (self._part(number).is_file() or (self.folder / "shards.json").is_file())

    def _part(self, number: int) -> Path:
        return self.folder / "parts" / f"{number:06d}.json"

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep other runs out of the folder, and clear what a killed one left.

        Raises:
            ArgumentError: Another run is at work there.
        """
        with ExitStack() as stack:
            lock = self.folder / _LOCK
            end = time.monotonic() + _WAIT_SECONDS
            while True:
                try:
                    stack.enter_context(locked(lock, wait=False))
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise ArgumentError(f"{self.folder}: another run is at work") from None
                    time.sleep(0.2)
            for place in (self.folder, self.folder / "shards", self.folder / "parts"):
                for stale in place.glob(".*.part"):
                    stale.unlink(missing_ok=True)
            if os.name != "nt":  # workers hold it too, so that none is overlooked
                stack.close()
                stack.enter_context(self.at_work())
            yield

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Hold the folder together with other workers of the same run."""
        with locked(self.folder / _LOCK, shared=True):
            yield

    def write(self, number: int, tokenizer: Tokenizer, told: Told) -> Summary:
        """Write a shard, if it is not there; return what is in it.

        Raises:
            OSError: It cannot be written.
        """
        if self._is_done(number) and self._part(number).is_file():
            return json.loads(self._part(number).read_text(encoding="utf-8"))
        rows: list[Coded] = []
        errors: list[dict[str, Any]] = []
        recordings = self.slice(number)
        for begin in range(0, len(recordings), tokenizer.batch):
            part = recordings[begin : begin + tokenizer.batch]
            found = tokenizer.recordings(part, lambda seconds: told(0, seconds))
            for recording, coded in zip(part, found, strict=True):
                if isinstance(coded, Coded):
                    rows.append(coded)
                else:
                    errors.append(_error(number, recording, coded))
            told(len(part), 0.0)
        summary = {"shard": number, **summarize(rows), "errors": errors}
        self._part(number).parent.mkdir(exist_ok=True)
        with atomic_output(self._part(number), force=True) as file:
            file.write(_json(summary))
        self.format.save(self.folder / "shards", number, self.shards, rows, self.about)
        return summary

    def finish(self) -> None:
        """Write what is known of the whole set, once all shards are there."""
        known = {summary["shard"]: summary for summary in self._kept()}
        for number in range(self.shards):
            if self._part(number).is_file():
                known[number] = json.loads(self._part(number).read_text(encoding="utf-8"))
        summaries = [known[number] for number in range(self.shards)]
        errors = [error for summary in summaries for error in summary["errors"]]
        told = [{**s, "errors": len(s["errors"])} for s in summaries]
        lines = "".join(f"{json.dumps(e, ensure_ascii=False)}\n" for e in errors)
        with atomic_output(self.folder / "errors.jsonl", force=True) as file:
            file.write(_bytes(lines))
        with atomic_output(self.folder / "shards.json", force=True) as file:
            file.write(_json({"shards": told}))
        shutil.rmtree(self.folder / "parts", ignore_errors=True)

    def _kept(self) -> Iterator[Summary]:
        """Yield what an earlier run wrote at its end."""
        with suppress(FileNotFoundError):
            lines = (self.folder / "errors.jsonl").read_text("utf-8").split("\n")
            errors = [json.loads(line) for line in lines if line]
            for summary in self.summaries():
                own = [error for error in errors if error["shard"] == summary["shard"]]
                yield {**summary, "errors": own}

    def summaries(self) -> list[Summary]:
        """Return what is in each shard; `errors` is their number.

        Raises:
            FileNotFoundError: Not all shards are there yet.
        """
        text = (self.folder / "shards.json").read_text(encoding="utf-8")
        return json.loads(text)["shards"]

    def read(self, number: int) -> list[Coded]:
        """Read a shard.

        Raises:
            BadFileError: It is damaged.
        """
        return self.format.load(self.folder / "shards", number, self.shards)


def make_tokenizer(settings: Mapping[str, Any]) -> Tokenizer:
    """Return a tokenizer of settings that come from another process."""
    return Tokenizer(
        settings["model"],
        codebooks=settings["codebooks"],
        device=settings["device"],
        batch=settings["batch"],
    )


def open_worker(folder: Path, settings: Mapping[str, Any]) -> tuple[Run, Tokenizer]:
    """Return a run that another process has begun, and the same tokenizer.

    Raises:
        ArgumentError: It is another here.
    """
    run, tokenizer = Run.open(folder), make_tokenizer(settings)
    run.check_same({**run.about, **tokenizer.describe()})
    return run, tokenizer


def summarize(rows: Sequence[Coded]) -> Summary:
    """Return what is in a shard; the digest is that of ids and codes, in whatever form."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(_bytes(f"{row.id}\n{list(row.codes.shape)}\n"))
        digest.update(row.codes.astype("<u2").tobytes())
    return {
        "rows": len(rows),
        "frames": sum(row.codes.shape[1] for row in rows),
        "seconds": sum(row.seconds for row in rows),
        "sha256": digest.hexdigest(),
    }


_WORDS = {
    "fingerprint": "a model of fingerprint",
    "manifest_sha256": "recordings that have the digest",
    "recordings": "so many recordings:",
    "codebook_sizes": "codebooks of sizes",
}


def _short(value: object) -> str:
    text = str(value)
    return text[:16] if len(text) == 64 else text


def _error(number: int, recording: Recording, error: Exception) -> dict[str, Any]:
    reason = str(error).removeprefix(f"{recording.path}: ")
    return {"id": recording.id, "path": recording.path, "error": reason, "shard": number}


def check_free(folder: str | Path) -> None:
    """Check that a run can begin in a folder, or was begun there.

    Raises:
        ArgumentError: It holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder}: is a file; the output is a folder")
    if (folder / _METADATA).exists() or not folder.is_dir():
        return
    left = {_MANIFEST, _LOCK, "shards"}  # of a run that was killed at once
    others = [path.name for path in folder.iterdir() if path.name not in left]
    others = [name for name in others if not name.endswith(".part")]
    others += [path.name for path in (folder / "shards").glob("[!.]*")]
    if others:
        raise ArgumentError(f"{folder}: holds something else, such as {others[0]}; give a new one")


def _json(found: Mapping[str, Any]) -> bytes:
    return _bytes(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
