"""The task of a language model over codes: of audio that is coded on the fly, or of shards."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ncodec import checkpoints
from ncodec.checkpoints.loading import find_model
from ncodec.datasets import Clip, CodesDataset, Loader, pad, read
from ncodec.errors import ArgumentError
from ncodec.lm.generators import GenModel
from ncodec.lm.model import LMModel
from ncodec.models.base import CompressionModel
from ncodec.models.lm_config import LMConfig
from ncodec.train.config import PROBABILITY, Section, TrainConfig, at_least, home
from ncodec.train.data import Recordings, Segments
from ncodec.train.task import Losses, Place, Task, Validation, size_of
from ncodec.train.telling import telling_of

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class LMSection(Section):
    """What speaks, and of what.

    Attributes:
        codec: Name or file of the codec whose codes are learned; with `model.start`, as the next
            one and `words`, what that model has.
        codebooks: Codebooks that are learned, from the first on.
        shards: Folder of `ncodec tokenize` to read instead of `data.sources`.
        words: Tags that the model can be told. An item has those that its kind and its labels name.
        text: The label of an item, a column of the manifest, whose text the model is told by way of
            T5, which learns nothing; with shards also "text". `words` are not used then.
        drop: Probability that an item is told nothing.
        drop_each: Probability that it is not told one of its tags, or words.
        noise: Part of the codes that the model hears wrongly, so that it bears its own errors.
    """

    where = "lm."

    codec: str = checkpoints.DEFAULT_MODEL
    codebooks: Annotated[int, at_least(1)] = 4
    shards: str | None = None
    words: tuple[str, ...] = ()
    text: str | None = None
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
    names: list[str]


class Origin(NamedTuple):
    """What a run begins with, or goes on with.

    Attributes:
        model: The language model.
        codec: Of its codes.
        licence: Of the weights, which those made of them have too.
    """

    model: LMModel
    codec: CompressionModel
    licence: str = "unknown"


class LMTask(Task):
    """Codes are predicted from those before them in the pattern, and from tags or a text."""

    config_type: ClassVar[type[TrainConfig]] = LMTrainConfig

    def __init__(
        self, config: LMTrainConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        data, section = config.data, config.lm
        self.model, self.codec, self._licence = _origin(config, place, state)
        self.module = self.model
        self.recordings = Recordings(config, place)
        net = self.model.config
        self._telling = telling_of(
            self.model, section.text, place.device, drop=section.drop, drop_each=section.drop_each
        )
        self._frames = max(net.codebooks, round(data.seconds * self.codec.frame_rate))
        self.seconds = data.batch * self._frames / self.codec.frame_rate
        what = f"a language model of {size_of(self.model)} over {self.codec.name}"
        if section.shards is None:
            segments = self.recordings.segments(
                net.sample_rate, net.hop, channels=net.channels, frames=self._frames
            )
            self._items: _Named | None = _Named(segments, self._telling.name)
            self.description = f"{what}; {self.recordings}"
            if section.text and not any(map(self._items.name_of, self.recordings.clips)):
                raise ArgumentError(f"lm.text = {section.text!r}: no recording has this label")
        else:
            self._items = None
            codes = self._shards()
            self.description = f"{what}; {len(codes)} recordings of {section.shards}"

    def _shards(self) -> CodesDataset:
        """Open the shards.

        Raises:
            ArgumentError: They are of another codec, or have fewer codebooks or channels.
        """
        place, section, net = self.place, self.config.lm, self.model.config
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
        books = len(codes.about["codebook_sizes"])
        if books < net.codebooks or net.channels > 1:
            sides = " of two channels" if net.channels > 1 else ""
            raise ArgumentError(
                f"lm.codebooks = {net.codebooks}{sides}: {section.shards} has {books}"
            )
        return codes

    # Stepping

    def batches(self, step: int) -> Iterator[Batch]:
        """Yield audio and what it is called, or codes."""
        if self._items is not None:
            for audio, names in self.recordings.batches(self._items, step):
                yield Batch(audio, None, None, names)
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
                names = [self._telling.name({"text": row["text"], **row["tags"]}) for row in rows]
                yield Batch(None, padded, lengths, names)
                step += 1

    def _stretch(self, codes: Tensor, rng: np.random.Generator) -> Tensor:
        first = int(rng.integers(max(1, codes.shape[1] - self._frames + 1)))
        return codes[: self.model.config.codebooks, first : first + self._frames]

    def step(self, batch: Batch, step: int) -> Losses:
        """See Task."""
        codes, mask = self._codes_of(batch)
        rng = np.random.default_rng([self.config.seed, step + 1, self.place.rank])
        order, conditions = self._telling.tell(self.model, batch.names, rng)
        codes, mask = codes[order], None if mask is None else mask[order]
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
        if batch.audio is not None:
            return self._coding(batch.audio)[..., : self._frames].clone(), None
        assert batch.codes is not None
        assert batch.frames is not None
        codes = batch.codes.to(self.place.device)
        places = torch.arange(codes.shape[2], device=codes.device)
        return codes, places < batch.frames.to(codes.device)[:, None]

    @torch.no_grad()
    def _coding(self, audio: Tensor) -> Tensor:
        """Return the codes `[B, K * C, F]` of sound `[B, C, T]`; channels take turns."""
        net = self.model.config
        sides = audio.to(self.place.device).split(1, dim=1)
        coded = [self.codec.encode(side)[0][:, : net.codebooks // net.channels] for side in sides]
        return torch.stack(coded, dim=2).flatten(1, 2)

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
        """Count the bits of a frame on the validation clips, by kind, told what they are."""
        if not self.recordings.validation:
            return None
        model = cast(LMModel, module)
        found = defaultdict[str, list[Tensor]](list)
        for clip in self.recordings.validation:
            audio = read(clip, rate=model.config.sample_rate, channels=model.config.channels)
            codes = self._coding(torch.from_numpy(audio[None]))
            named = self._telling.name({"kind": clip.kind, **clip.labels})
            conditions = self._telling.tell(model, [named], None).conditions
            for part in codes.split(self._frames, dim=2):
                if part.shape[2] < 2 * model.config.codebooks:
                    continue
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
        return {
            "fingerprint": self.codec.fingerprint.hex(),
            "model_config": self.model.config.to_dict(),
            "licence": self._licence,
            "told_by": self.model.told_by,
        }

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
        made_with = {
            "codec_fingerprint": self.codec.fingerprint.hex(),
            "told_by": self.model.told_by,
        }
        checkpoints.save(module, path, licence=self._licence, notes={**notes, **made_with})
        return path


class _Named(Dataset[tuple[Tensor, str]]):
    """Segments, each with what its recording is called by."""

    def __init__(self, segments: Segments, name: Callable[[Mapping[str, Any]], str]) -> None:
        self._segments, self._name = segments, name

    def name_of(self, clip: Clip | None) -> str:
        """Return what a recording is called by."""
        return "" if clip is None else self._name({"kind": clip.kind, **clip.labels})

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        item = self._segments.items[index]
        return torch.from_numpy(item.audio), self.name_of(item.clip)


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


def _origin(config: LMTrainConfig, place: Place, state: Mapping[str, Any] | None) -> Origin:
    """Build the model, or take the one to go on from; a resumed run no longer needs that one."""
    start = config.model.start
    if state is not None and "model_config" in state:
        net = LMConfig.from_dict(dict(state["model_config"]))
        origin = Origin(LMModel(net, config.model.name), _codec(config, net, state["fingerprint"]))
        origin.model.told_by = state["told_by"]
        origin = origin._replace(licence=state["licence"])
    elif start is not None:
        begun = GenModel.get_pretrained(home(start) if start.startswith("~") else start)
        lm, words = begun.lm, config.lm.words
        if words and words != lm.config.tags:
            raise ArgumentError(f"lm.words: {start} was told {', '.join(lm.config.tags) or 'none'}")
        lm.name = config.model.name
        origin = Origin(lm.requires_grad_(), begun.compression_model, begun.licence)
    else:
        codec = _codec(config)
        model = LMModel(_config_of(config, codec), config.model.name)
        if model.near is not None:
            model.start_from(_entries(codec, model.config.codebooks))
        origin = Origin(model, codec)
    origin.model.to(place.device)
    return origin._replace(codec=origin.codec.to(place.device))


def _codec(
    config: LMTrainConfig, net: LMConfig | None = None, fingerprint: str = ""
) -> CompressionModel:
    """Load the codec that `lm.codec` names, or that a run was begun with."""
    named = config.lm.codec
    if net is not None and config.model.start is not None:
        return find_model(None, net.codec, "cpu", "float32", bytes.fromhex(fingerprint))
    codec = checkpoints.load(str(home(named)) if named.startswith("~") else named)
    if codec.channels != 1 or codec.segment is not None:
        raise ArgumentError(f"lm.codec = {named!r}: must be mono and without segments")
    return codec


def _config_of(config: LMTrainConfig, codec: Any) -> LMConfig:
    """Return the net: what `model.config` says, and what follows from the codec."""
    section = config.lm
    if not section.codebooks <= codec.total_codebooks:
        raise ArgumentError(f"lm.codebooks = {section.codebooks}: {codec.name} has fewer")
    told = "text" if section.text is not None else "tags" if section.words else "none"
    follows = {
        "codebooks": section.codebooks,
        "bins": codec.cardinality,
        "codec": codec.name,
        "sample_rate": codec.sample_rate,
        "hop": codec.hop,
        "condition": told,
        "vocabulary": " ".join(section.words) if told == "tags" else "",
        "near_vector": codec.latent_dim,
    }
    usual = {
        "position": "rope",
        "context": 300,
        "delays": list(range(section.codebooks)),
        "guidance": 2.0,
        "style": "own",
    }
    clash = sorted(set(follows) & set(config.model.config))
    if clash:
        raise ArgumentError(f"model.config.{clash[0]}: follows from the codec and from lm")
    return LMConfig.from_dict({**usual, **config.model.config, **follows})
