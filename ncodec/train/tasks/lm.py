"""The task of a language model over codes: of audio that is coded on the fly, or of shards."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ncodec import checkpoints
from ncodec.datasets import CodesDataset, Loader, pad, read
from ncodec.errors import ArgumentError
from ncodec.lm.model import Conditions, LMModel
from ncodec.models.base import CompressionModel
from ncodec.models.lm_config import LMConfig
from ncodec.train.config import PROBABILITY, Section, TrainConfig, at_least, home
from ncodec.train.data import Recordings, Segments
from ncodec.train.task import Losses, Place, Task, Validation, size_of

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class LMSection(Section):
    """What speaks, and of what.

    Attributes:
        codec: Name or file of the codec whose codes are learned.
        codebooks: Codebooks that are learned, from the first on.
        shards: Folder of `ncodec tokenize` to read instead of `data.sources`.
        words: Tags that the model can be told. An item has those that its kind and its labels name.
        drop: Probability that an item is told nothing.
        drop_each: Probability that it is not told one of its tags.
        noise: Part of the codes that the model hears wrongly, so that it bears its own errors.
    """

    where = "lm."

    codec: str = checkpoints.DEFAULT_MODEL
    codebooks: Annotated[int, at_least(1)] = 4
    shards: str | None = None
    words: tuple[str, ...] = ()
    drop: Annotated[float, PROBABILITY] = 0.12
    drop_each: Annotated[float, PROBABILITY] = 0.1
    noise: Annotated[float, PROBABILITY] = 0.02


@dataclass(frozen=True)
class LMTrainConfig(TrainConfig):
    """A training run of a language model; `model.config` has the fields of `LMConfig`.

    Attributes:
        lm: What speaks, and of what.
    """

    lm: LMSection = field(default_factory=LMSection)


class Batch(NamedTuple):
    """Items as the data give them: audio, or codes with the number of frames that count."""

    audio: Tensor | None
    codes: Tensor | None
    frames: Tensor | None
    labels: list[str]


class LMTask(Task):
    """Codes are predicted from those before them in the pattern, and from tags."""

    config_type: ClassVar[type[TrainConfig]] = LMTrainConfig

    def __init__(
        self, config: LMTrainConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        data, section = config.data, config.lm
        name = str(home(section.codec)) if section.codec.startswith("~") else section.codec
        self.codec = checkpoints.load(name).to(place.device)
        if self.codec.channels != 1 or self.codec.segment is not None:
            raise ArgumentError(f"lm.codec = {section.codec!r}: must be mono and without segments")
        self.recordings = Recordings(config, place)
        self.model = LMModel(_config_of(config, self.codec), config.model.name).to(place.device)
        if self.model.near is not None:
            self.model.start_from(_entries(self.codec, section.codebooks))
        self.module = self.model
        self._frames = max(config.lm.codebooks, round(data.seconds * self.codec.frame_rate))
        self.seconds = data.batch * self._frames / self.codec.frame_rate
        what = f"a language model of {size_of(self.model)} over {self.codec.name}"
        if section.shards is None:
            segments = self.recordings.segments(
                self.codec.sample_rate, self.codec.hop, frames=self._frames
            )
            self._items: _Labelled | None = _Labelled(segments)
            self.description = f"{what}; {self.recordings}"
        else:
            self._items = None
            codes = self._shards()
            self.description = f"{what}; {len(codes)} recordings of {section.shards}"

    def _shards(self) -> CodesDataset:
        """Open the shards.

        Raises:
            ArgumentError: They are of another codec, or have fewer codebooks.
        """
        place, section = self.place, self.config.lm
        codes = CodesDataset(
            home(str(section.shards)),
            seed=self.config.seed,
            batch=self.config.data.batch,
            rank=place.rank,
            world=place.world,
        )
        if codes.about["fingerprint"] != self.codec.fingerprint.hex():
            raise ArgumentError(
                f"lm.shards = {section.shards!r}: codes of {codes.about['model']}, "
                f"which is another codec than {self.codec.name}"
            )
        if len(codes.about["codebook_sizes"]) < section.codebooks:
            raise ArgumentError(
                f"lm.codebooks = {section.codebooks}: {section.shards} has "
                f"{len(codes.about['codebook_sizes'])}"
            )
        return codes

    # Stepping

    def batches(self, step: int) -> Iterator[Batch]:
        """Yield audio and what it is called, or codes."""
        if self._items is not None:
            for audio, labels in self.recordings.batches(self._items, step):
                yield Batch(audio, None, None, labels)
        else:
            yield from self._coded(step)

    def _coded(self, step: int) -> Iterator[Batch]:
        """Yield stretches of the shards' recordings, epoch after epoch."""
        codes, batch = self._shards(), self.config.data.batch
        each = -(-codes.rows // batch)  # batches of an epoch
        loader = Loader(codes)
        loader.load_state_dict({"epoch": step // each, "row": step % each * batch})
        while True:
            for rows in loader:
                rng = np.random.default_rng([self.config.seed, step, self.place.rank, 2])
                parts = [{"codes": self._stretch(row["codes"], rng)} for row in rows]
                padded, lengths = pad(parts)
                yield Batch(None, padded, lengths, [_labels(row["tags"]) for row in rows])
                step += 1

    def _stretch(self, codes: Tensor, rng: np.random.Generator) -> Tensor:
        first = int(rng.integers(max(1, codes.shape[1] - self._frames + 1)))
        return codes[: self.config.lm.codebooks, first : first + self._frames]

    def step(self, batch: Batch, step: int) -> Losses:
        """See Task."""
        codes, mask = self._codes_of(batch)
        rng = np.random.default_rng([self.config.seed, step + 1, self.place.rank])
        conditions = self._conditions([self._told(text, rng) for text in batch.labels])
        heard = self._noisy(codes, rng)
        with self.place.autocast():
            predicted = self.model.compute_predictions(heard, conditions, mask)
        counted = predicted.mask if mask is None else predicted.mask & mask[:, None]
        bits = _bits(predicted.logits, codes, counted)
        mean = bits.mean()
        values = {"bits": bits.sum(), "lowest": bits[0], "highest": bits[-1]}
        return Losses({k: v.detach() for k, v in values.items()}, mean.backward)

    def _codes_of(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return codes `[B, K, F]`, and which frames are no padding `[B, F]`."""
        device, books = self.place.device, self.config.lm.codebooks
        if batch.audio is not None:
            with torch.no_grad():
                codes, _ = self.codec.encode(batch.audio.to(device))
            return codes[:, :books, : self._frames].clone(), None
        assert batch.codes is not None
        assert batch.frames is not None
        codes = batch.codes.to(device)
        places = torch.arange(codes.shape[2], device=device)
        return codes, places < batch.frames.to(device)[:, None]

    def _told(self, labels: str, rng: np.random.Generator) -> tuple[str, ...]:
        """Return what an item is told of its tags: each item is dropped by itself."""
        section = self.config.lm
        tags = [tag for tag in section.words if tag in labels.split()]
        kept = [tag for tag in tags if rng.random() >= section.drop_each]
        return () if rng.random() < section.drop else tuple(kept)

    def _conditions(self, tags: list[tuple[str, ...]]) -> Conditions | None:
        return None if self.model.tags is None else self.model.tag_conditions(tags)

    def _noisy(self, codes: Tensor, rng: np.random.Generator) -> Tensor:
        noise = self.config.lm.noise
        if not noise:
            return codes
        shape = tuple(codes.shape)
        wrong = torch.from_numpy(rng.random(shape) < noise).to(codes.device)
        other = torch.from_numpy(rng.integers(self.model.config.bins, size=shape))
        return torch.where(wrong, other.to(codes), codes)

    # Measuring and keeping

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation | None:
        """Count the bits of a frame on the validation clips, by kind, with their tags."""
        if not self.recordings.validation:
            return None
        model = cast(LMModel, module)
        found = defaultdict[str, list[Tensor]](list)
        for clip in self.recordings.validation:
            audio = read(clip, rate=self.codec.sample_rate, channels=1)
            codes, _ = self.codec.encode(torch.from_numpy(audio[None]).to(self.place.device))
            labels = " ".join([clip.kind, *clip.labels.values()])
            told = [tuple(tag for tag in self.config.lm.words if tag in _words(labels))]
            for part in codes[:, : self.config.lm.codebooks].split(self._frames, dim=2):
                if part.shape[2] < 2 * self.config.lm.codebooks:
                    continue
                conditions = None if model.tags is None else model.tag_conditions(told)
                predicted = model.compute_predictions(part, conditions)
                found[clip.kind or "all"].append(_bits(predicted.logits, part, predicted.mask))
        scores, details = dict[str, float](), dict[str, float]()
        for kind, parts in sorted(found.items()):
            bits = torch.stack(parts).mean(0)
            scores[f"{kind}/bits"] = float(bits.sum())
            details |= {f"{kind}/bits_{k + 1:02d}": float(b) for k, b in enumerate(bits)}
        return Validation(scores, self.codec.sample_rate, details)

    def state(self) -> dict[str, Any]:
        """See Task."""
        return {"fingerprint": self.codec.fingerprint.hex()}

    @classmethod
    def check_changes(
        cls, config: LMTrainConfig, was: LMTrainConfig, state: Mapping[str, Any]
    ) -> None:
        """See Task."""
        for name in ("codec", "codebooks", "words"):
            value = getattr(config.lm, name)
            if value != getattr(was.lm, name):
                raise ArgumentError(
                    f"lm.{name} = {value!r}: it cannot change any more; start another run"
                )

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the model, as every command takes it."""
        path = folder / MODEL_FILE
        made_with = {"codec_fingerprint": self.codec.fingerprint.hex()}
        checkpoints.save(module, path, notes={**notes, **made_with})
        return path


class _Labelled(Dataset[tuple[Tensor, str]]):
    """Segments, each with the words that its recording is called by."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        item = self._segments.items[index]
        labels = {} if item.clip is None else {"kind": item.clip.kind, **item.clip.labels}
        return torch.from_numpy(item.audio), _labels(labels)


def _labels(tags: Any) -> str:
    """Return the words of labels, between spaces."""
    values = tags.values() if isinstance(tags, Mapping) else ()
    return " ".join(word for value in values for word in _words(str(value)))


def _words(text: str) -> list[str]:
    return re.findall(r"[\w-]+", text.lower())


def _bits(logits: Tensor, codes: Tensor, counted: Tensor) -> Tensor:
    """Return the mean bits of each codebook, `[K]`."""
    each = F.cross_entropy(logits.permute(0, 3, 1, 2).float(), codes, reduction="none")
    counts = counted.sum((0, 2)).clamp(min=1)
    return each.masked_fill(~counted, 0).sum((0, 2)) / counts / math.log(2)


@torch.no_grad()
def _entries(codec: CompressionModel, codebooks: int) -> Tensor:
    """Return what each entry of each codebook adds to the latent, `[K, V, D]`."""
    rows = list[Tensor]()
    for k in range(codebooks):
        codes = torch.zeros(1, k + 1, codec.cardinality, dtype=torch.long, device=codec.device)
        without = codec.decode_latent(codes[:, :k]) if k else 0
        codes[0, k] = torch.arange(codec.cardinality)
        rows.append((codec.decode_latent(codes) - without)[0].t())
    return torch.stack(rows)


def _config_of(config: LMTrainConfig, codec: Any) -> LMConfig:
    """Return the net: what `model.config` says, and what follows from the codec."""
    section = config.lm
    if config.model.start is not None:
        raise ArgumentError("model.start: language models are trained from nothing as yet")
    if not section.codebooks <= codec.total_codebooks:
        raise ArgumentError(f"lm.codebooks = {section.codebooks}: {codec.name} has fewer")
    follows = {
        "codebooks": section.codebooks,
        "bins": codec.cardinality,
        "codec": codec.name,
        "sample_rate": codec.sample_rate,
        "hop": codec.hop,
        "condition": "tags" if section.words else "none",
        "vocabulary": " ".join(section.words),
        "style": "own",
        "near_vector": codec.latent_dim,
    }
    usual = {
        "position": "rope",
        "context": 300,
        "delays": list(range(section.codebooks)),
        "guidance": 2.0,
    }
    clash = sorted(set(follows) & set(config.model.config))
    if clash:
        raise ArgumentError(f"model.config.{clash[0]}: follows from the codec and from lm")
    return LMConfig.from_dict({**usual, **config.model.config, **follows})
