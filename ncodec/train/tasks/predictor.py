"""The task of a predictor: tables that make the files of a codec smaller."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ncodec import checkpoints
from ncodec.datasets import read
from ncodec.errors import ArgumentError
from ncodec.train.config import Section, TrainConfig, above, at_least, home
from ncodec.train.data import Recordings
from ncodec.train.predictor import Predictor, Shape, codebook_vectors
from ncodec.train.task import Losses, Place, Task, Validation

TABLES_FILE = "predictor.tables"
PACKET_SECONDS = 1.0  # of validation, as files have them
_CUT_PAST, _CUT_AHEAD = 0.25, 1 / 16  # parts of the samples that see less: a packet's ends


@dataclass(frozen=True)
class PredictorSection(Section):
    """What is learned, and from how much.

    Attributes:
        layers: Codebooks that are predicted, from the first on; no more than the model has.
        width: Of an embedding.
        units: Of the hidden layer at most; fewer where the tables would be larger than `megabytes`.
        megabytes: Largest size of the tables.
        back: Frames before the present one that are seen.
        ahead: Frames after it, of which lower layers are seen.
        own: Lowest layers that see their own past.
        minutes: Audio that is coded, once, before the first step.
        frames: Of it, in a step.
        exact_from: Part of the steps after which all is rounded as in the tables.
    """

    where = "predictor."

    layers: Annotated[int, at_least(1)] = 16
    width: Annotated[int, at_least(1)] = 32
    units: Annotated[int, at_least(1)] = 128
    megabytes: Annotated[float, above(0)] = 3.1
    back: Annotated[int, at_least(0)] = 2
    ahead: Annotated[int, at_least(0)] = 2
    own: Annotated[int, at_least(0)] = 4
    minutes: Annotated[float, above(0)] = 100.0
    frames: Annotated[int, at_least(1)] = 1024
    exact_from: Annotated[float, at_least(0)] = 0.75


@dataclass(frozen=True)
class PredictorConfig(TrainConfig):
    """A training run of a predictor; `model.start` says for which model.

    Attributes:
        predictor: What is learned.
    """

    predictor: PredictorSection = field(default_factory=PredictorSection)


class PredictorTask(Task):
    """Audio is coded once; then frames are drawn from the codes."""

    config_type: ClassVar[type[TrainConfig]] = PredictorConfig

    def __init__(
        self, config: PredictorConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        if config.optim.minutes is not None:
            raise ArgumentError(
                f"optim.minutes = {config.optim.minutes:g}: a predictor's run ends by optim.steps"
            )
        self.config, self.place = config, place
        section, self.recordings = config.predictor, Recordings(config, place)
        start = config.model.start or checkpoints.DEFAULT_MODEL
        self.model = checkpoints.load(str(home(start)) if start.startswith("~") else start)
        self.model.to(place.device)
        layers = min(section.layers, self.model.total_codebooks)
        vectors = codebook_vectors(self.model, layers)
        self.predictor = Predictor(_shape(section, vectors), vectors).to(place.device)
        self.module = self.predictor
        self.codes: Tensor | None = None  # uint16 [items, layers, F]
        self.seconds = section.frames / self.model.frame_rate
        size, units = self.predictor.shape.table_bytes / 1e6, self.predictor.shape.units
        of = f"{self.model.name}, {layers} layers, {units} units, {size:.2f} MB"
        self.description = f"a predictor of {of}"
        if state is None:
            heard = f"{section.minutes:g} min of {self.recordings}"
            self.description += f"; {heard} are coded first"

    def _code(self) -> Tensor:
        """Code the audio: uint16 `[items, layers, F]`."""
        data, section, model = self.config.data, self.config.predictor, self.model
        frames = self.recordings.frames(model.sample_rate, model.hop)
        if model.segment_frames is not None:
            frames = min(frames, model.segment_frames)
        segments = self.recordings.segments(
            model.sample_rate, model.hop, channels=model.channels, frames=frames
        )
        items = max(1, math.ceil(section.minutes * 60 / (frames * model.hop / model.sample_rate)))
        coded = list[Tensor]()
        for first in range(0, items, data.batch):
            audio = torch.stack([segments[i] for i in range(first, min(items, first + data.batch))])
            codes, _ = model.encode(audio.to(self.place.device))
            coded.append(codes[:, : self.predictor.shape.layers, :frames].to(torch.uint16).cpu())
        return torch.cat(coded)

    # Stepping

    def batches(self, step: int) -> Iterator[int]:
        """Yield the number of the step: what it draws follows from that."""
        while True:
            yield step
            step += 1

    def before_step(self, step: int) -> bool:
        """Code the audio, before the first step."""
        if self.codes is not None:
            return False
        self.codes = self._code()
        self.predictor.start(self.codes.int())
        return True

    def step(self, batch: int, step: int) -> Losses:
        """See Task."""
        codes, there = self._draw(batch)
        config = self.config
        rounded = step >= config.predictor.exact_from * config.optim.steps
        bits = self.predictor(codes, there, rounded=rounded, dtype=self.place.dtype)
        mean = bits.mean()
        values = {"bits": mean, "lowest": bits[0], "highest": bits[-1]}
        return Losses({k: v.detach() for k, v in values.items()}, mean.backward)

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Draw frames with their neighbours, int64 `[N, parts, layers]`, and which are there."""
        assert self.codes is not None
        shape, count = self.predictor.shape, self.config.predictor.frames
        items, _, frames = self.codes.shape
        rng = np.random.default_rng([self.config.seed, step + 1, self.place.rank])
        item, frame = rng.integers(items, size=count), rng.integers(frames, size=count)
        past, ahead = np.full(count, shape.back), np.full(count, shape.ahead)
        cut = rng.random(count) < _CUT_PAST
        past[cut] = rng.integers(shape.back + 1, size=int(cut.sum()))
        cut = rng.random(count) < _CUT_AHEAD
        ahead[cut] = rng.integers(shape.ahead + 1, size=int(cut.sum()))
        codes, there = gather(
            self.codes.numpy(), item, frame, shape,
            (np.minimum(past, frame), np.minimum(ahead, frames - 1 - frame)),
        )  # fmt: skip
        return codes.to(self.place.device), there.to(self.place.device)

    # Measuring and keeping

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation | None:
        """Count the bits of the validation clips' codes, in packets of a second, as in files."""
        if not self.recordings.validation:
            return None
        predictor, model = cast(Predictor, module), self.model
        layers = predictor.shape.layers
        found = defaultdict[str, list[Tensor]](list)
        for clip in self.recordings.validation:
            audio = read(clip, rate=model.sample_rate, channels=model.channels)
            codes, _ = model.encode(torch.from_numpy(audio[None]).to(self.place.device))
            found[clip.kind or "all"].append(self._count(predictor, codes[0, :layers]))
        packed = math.log2(predictor.shape.entries)
        scores, details = dict[str, float](), dict[str, float]()
        for kind, parts in sorted(found.items()):
            bits = torch.cat(parts, dim=1).mean(dim=1)
            scores[f"{kind}/bits"] = float(bits.mean())
            for kbps in self.config.report.kbps:
                count = int(kbps / (model.frame_rate * packed / 1000) + 1e-6)
                if 1 <= count <= layers:
                    scores[f"{kbps:g}kbps/{kind}/size"] = float(bits[:count].mean()) / packed
            details |= {f"{kind}/bits_{k + 1:02d}": float(b) for k, b in enumerate(bits)}
        return Validation(scores, model.sample_rate, details)

    def _count(self, predictor: Predictor, codes: Tensor) -> Tensor:
        """Return bits `[layers, packets]` of codes `[layers, F]`."""
        shape, size = predictor.shape, round(PACKET_SECONDS * self.model.frame_rate)
        array = codes.cpu().numpy()[None]
        counts = list[Tensor]()
        for first in range(0, array.shape[2], size):
            packet = array[:, :, first : first + size]
            frame = np.arange(packet.shape[2])
            past, ahead = np.minimum(shape.back, frame), np.minimum(shape.ahead, frame[::-1])
            rows, there = gather(packet, 0 * frame, frame, shape, (past, ahead))
            device = self.place.device
            counts.append(predictor(rows.to(device), there.to(device), rounded=True).cpu())
        return torch.stack(counts, dim=1)

    def state(self) -> dict[str, Any]:
        """See Task."""
        return {"codes": self.codes, "fingerprint": self.model.fingerprint.hex()}

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """See Task."""
        self.codes = state["codes"]
        return []

    @classmethod
    def check_changes(
        cls, config: PredictorConfig, was: PredictorConfig, state: Mapping[str, Any]
    ) -> None:
        """See Task."""
        fixed = ("layers", "width", "units", "megabytes", "back", "ahead", "own", "minutes")
        for name in fixed:
            value = getattr(config.predictor, name)
            if value != getattr(was.predictor, name):
                raise ArgumentError(
                    f"predictor.{name} = {value}: it cannot change any more; start another run"
                )

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the tables, with what is known of them."""
        path, shape, section = folder / TABLES_FILE, self.predictor.shape, self.config.predictor
        made = {
            **notes,
            "width": shape.width,
            "units": shape.units,
            "minutes_coded": section.minutes,
            "bits": [round(b, 3) for b in self._measure(cast(Predictor, module))],
        }
        checkpoints.write_tables(
            cast(Predictor, module).tables(),
            path,
            model=self.model.name,
            fingerprint=self.model.fingerprint.hex(),
            notes=made,
        )
        return path

    @torch.no_grad()
    def _measure(self, predictor: Predictor) -> list[float]:
        """Return bits of each layer over some frames that were trained on."""
        if self.codes is None:
            return []
        codes, there = self._draw(-1)
        return predictor(codes, there, rounded=True).tolist()


def gather(
    codes: Any, item: Any, frame: Any, shape: Shape, there: tuple[Any, Any]
) -> tuple[Tensor, Tensor]:
    """Take frames and their neighbours from codes `[items, layers, F]`.

    Args:
        codes: Integers.
        item: `[N]`, where each frame lies.
        frame: `[N]`.
        shape: How many neighbours.
        there: `[N]` each, how many of those before it are there, and of those after it.

    Returns:
        Codes int64 `[N, parts, layers]`, and bool `[N, parts]`, which of them are there.
    """
    offsets = [0, *(-1 - i for i in range(shape.back)), *(1 + i for i in range(shape.ahead))]
    past, ahead = there
    known = np.stack([-past <= o if o < 0 else o <= ahead for o in offsets], axis=1)
    at = (frame[:, None] + np.array(offsets)).clip(0, codes.shape[2] - 1)
    rows = codes[item[:, None], :, at].astype(np.int64)
    return torch.from_numpy(rows), torch.from_numpy(known)


def _shape(section: PredictorSection, vectors: Tensor) -> Shape:
    """Return the widest shape that fits the tables' size."""
    layers, entries, dimensions = vectors.shape
    shape = Shape(
        layers, entries, dimensions, min(section.width, dimensions), section.units,
        section.back, section.ahead, min(section.own, layers),
    )  # fmt: skip
    bare = replace(shape, units=0).table_bytes
    unit = replace(shape, units=1).table_bytes - bare
    fit = int((section.megabytes * 1e6 - bare) // unit)
    units = shape.units if shape.units <= fit else fit - fit % 4
    if units < 8:
        raise ArgumentError(
            f"predictor.megabytes = {section.megabytes:g}: {layers} layers of {entries} entries "
            "do not fit; predictor.layers or predictor.width must be less, or megabytes more"
        )
    return replace(shape, units=units)
