"""What a training run is: frozen dataclasses, read from TOML, changed with `--set key=value`."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, cast

from ncodec.errors import ArgumentError
from ncodec.train.tasks import find_task

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


class Rule(NamedTuple):
    """What a setting must be: the test, and its words for "must be ..."."""

    holds: Callable[[Any], bool]
    words: str


def at_least(low: float) -> Rule:
    """A finite number that is not below `low`."""
    return Rule(lambda x: low <= x < math.inf, f"at least {low:g}")


def above(low: float) -> Rule:
    """A finite number above `low`."""
    return Rule(lambda x: low < x < math.inf, f"above {low:g}")


def one_of(*names: str) -> Rule:
    """One of these words."""
    return Rule(lambda x: x in names, f"one of {', '.join(names)}")


def each(rule: Rule) -> Rule:
    """For every item of a tuple, or every value of a table."""
    return Rule(
        lambda x: all(rule.holds(v) for v in (x.values() if isinstance(x, Mapping) else x)),
        f"{rule.words}, each",
    )


FINITE = Rule(math.isfinite, "a finite number")
PROBABILITY = Rule(lambda x: 0 <= x <= 1, "0 to 1")
SHARES = Rule(
    lambda x: not x or (all(0 <= v < math.inf for v in x.values()) and any(x.values())),
    "at least 0 each, and not all 0",
)
NAMED = Rule(bool, "the name of a folder")
MODEL_NAME = Rule(
    lambda x: bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", x)),
    "up to 100 letters, digits, '.', '_', '-', the first a letter or digit",
)
"""As models can be imported under."""
DECAY = Rule(lambda x: 0 <= x < 1, "at least 0 and below 1")
FACTOR = Rule(lambda x: 0 < x <= 1, "above 0 and at most 1")


class Section:
    """Settings that are checked when they are made, each against the `Rule` in its annotation."""

    where: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            ArgumentError: One breaks its rule; the message holds its name, its value and the rule.
        """
        for name, rule in _rules(type(self)):
            value = getattr(self, name)
            if value is not None and not rule.holds(value):
                raise ArgumentError(f"{self.where}{name} = {value!r}: must be {rule.words}")


@cache
def _rules(section: type[Section]) -> tuple[tuple[str, Rule], ...]:
    hints = typing.get_type_hints(section, include_extras=True)
    return tuple(
        (name, rule)
        for name, hint in hints.items()
        for rule in getattr(hint, "__metadata__", ())
        if isinstance(rule, Rule)
    )


@dataclass(frozen=True)
class TaskSection(Section):
    """What is learned.

    Attributes:
        name: Key of `ncodec.train.tasks.TASKS`; which sections a run has depends on it.
    """

    where = "task."

    name: str = "codec"


@dataclass(frozen=True)
class ModelSection(Section):
    """What is trained.

    Attributes:
        name: The model's name, as files made with it carry it.
        family: "spectral" or "encodec"; "hifigan" for a vocoder.
        config: Fields of the family's configuration; the others keep their defaults.
        start: Name or file of a model to go on from (fine-tuning); its configuration is used then.
    """

    where = "model."

    name: Annotated[str, MODEL_NAME] = "mine"
    family: str = "spectral"
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    start: str | None = None


@dataclass(frozen=True)
class DataSection(Section):
    """What it hears.

    Attributes:
        sources: Folders, audio files, lists of files (.txt) or manifests (.csv or .jsonl
            with `path`, relative to the manifest, and perhaps `kind`); `~` is the home folder.
        kinds: Share of each `kind` of a manifest; by duration if empty, or if no source names any.
        exclude: A .csv or .txt of held-out files, never trained on: matched by the end of the path.
        validation: Files to measure on, in the same forms as `sources`.
        seconds: Length of a segment.
        batch: Segments a step and process.
        workers: Processes that read audio; 0 reads in the training process.
        gain_db: Standard deviation of a random gain around `gain_mean_db`, in dB.
        gain_mean_db: Mean of it.
        mix: Probability that another segment is added, 10 dB below.
        silence: Probability that one end of the segment is digital silence.
        quiet: Probability of 15 to 50 dB less.
        speed: Probability of a random change of speed, 0.85 to 1.18.
        equalise: Probability of a random smooth filter.
        tones: Probability of synthetic tones in place of a segment.
        pairs: Whether each recording has mels of its own beside it, such as a synthesiser's
            (`vocoder` only): NAME.npy, or what a manifest's column `mel` names; nothing is
            augmented then.
    """

    where = "data."

    sources: tuple[str, ...] = ()
    kinds: Annotated[Mapping[str, float], SHARES] = field(default_factory=dict[str, float])
    exclude: str | None = None
    validation: tuple[str, ...] = ()
    seconds: Annotated[float, above(0)] = 1.0
    batch: Annotated[int, at_least(1)] = 10
    workers: Annotated[int, at_least(0)] = 0
    gain_db: Annotated[float, at_least(0)] = 4.0
    gain_mean_db: Annotated[float, FINITE] = -1.0
    mix: Annotated[float, PROBABILITY] = 0.05
    silence: Annotated[float, PROBABILITY] = 0.03
    quiet: Annotated[float, PROBABILITY] = 0.015
    speed: Annotated[float, PROBABILITY] = 0.2
    equalise: Annotated[float, PROBABILITY] = 0.0
    tones: Annotated[float, PROBABILITY] = 0.0
    pairs: bool = False


@dataclass(frozen=True)
class OptimSection(Section):
    """How it learns.

    Attributes:
        steps: Steps of the whole run; the cosine ends there.
        minutes: Ends the run, and the cosine, earlier by the clock if given.
        lr: Peak rate of AdamW.
        betas: Its averages.
        weight_decay: Its decay.
        scales: Factors on `lr` for parameters by the start of their names.
        warmup: Steps of linear warm-up.
        final: Part of `lr` at the end of the cosine.
        curve: How the rate falls after the warm-up: "cosine", or "root": as 1 / sqrt(step), which
            knows no end.
        decay: Factor on the rate after each step; the curve does not count then.
        clip: Norm that the gradients are clipped to, those of each factor in `scales` apart.
        ema: Decay of the averaged weights, which are what is saved; 0 for none.
        precision: "float32" or "bfloat16" (autocast; float32 on a device that has none).
    """

    where = "optim."

    steps: Annotated[int, at_least(1)] = 100_000
    minutes: Annotated[float | None, above(0)] = None
    lr: Annotated[float, above(0)] = 6e-4
    betas: Annotated[tuple[float, float], each(DECAY)] = (0.85, 0.99)
    weight_decay: Annotated[float, at_least(0)] = 0.01
    scales: Annotated[Mapping[str, float], each(at_least(0))] = field(
        default_factory=dict[str, float]
    )
    warmup: Annotated[int, at_least(0)] = 150
    final: Annotated[float, at_least(0)] = 0.02
    curve: Annotated[str, one_of("cosine", "root")] = "cosine"
    decay: Annotated[float | None, FACTOR] = None
    clip: Annotated[float, above(0)] = 5.0
    ema: Annotated[float, DECAY] = 0.998
    precision: Annotated[str, one_of("float32", "bfloat16")] = "float32"


@dataclass(frozen=True)
class QuantizerSection(Section):
    """How codes are learned.

    Attributes:
        free_steps: Steps without a quantizer at the start, before the codebooks are made.
        start_batches: Batches whose latents the codebooks start from, by k-means.
        counts: Numbers of codebooks that are drawn for each item; repeat one to favour it.
            Empty: evenly from all.
        commitment: Weight of the squared distance between latent and codes, summed over dimensions.
    """

    where = "quantizer."

    free_steps: Annotated[int, at_least(0)] = 150
    start_batches: Annotated[int, at_least(1)] = 40
    counts: Annotated[tuple[int, ...], each(at_least(1))] = ()
    commitment: Annotated[float, at_least(0)] = 1.0


@dataclass(frozen=True)
class AdversarialSection(Section):
    """Discriminators; none unless `discriminators` names some.

    Attributes:
        discriminators: Options by name: "mpd", "msd", "hifigan_msd", "msstftd",
            "spectrum".
        from_step: First step that they take part in.
        start: File of discriminators' weights to go on from: a run's `discriminators.pt`, or
            HiFi-GAN's `do_*`, for `mpd` and `hifigan_msd`.
        loss: "hinge", "hinge2" or "mse".
        lr: Rate of their AdamW.
        betas: Its averages.
        sums: Sum over discriminators, and for feature matching over layers and logits, as HiFi-GAN
            does, instead of taking means: its weights are meant so.
        weight: Of the adversarial loss.
        features: Of feature matching.
        every: Train the discriminators at each n-th step.
    """

    where = "adversarial."

    discriminators: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    from_step: Annotated[int, at_least(0)] = 0
    start: str | None = None
    loss: Annotated[str, one_of("hinge", "hinge2", "mse")] = "hinge"
    lr: Annotated[float, above(0)] = 3e-4
    betas: Annotated[tuple[float, float], each(DECAY)] = (0.5, 0.9)
    sums: bool = False
    weight: Annotated[float, at_least(0)] = 1.0
    features: Annotated[float, at_least(0)] = 1.0
    every: Annotated[int, at_least(1)] = 1


@dataclass(frozen=True)
class ReportSection(Section):
    """What it tells and keeps.

    Attributes:
        every: Steps between lines of progress; the first comes after one step.
        checkpoint: Steps between checkpoints.
        checkpoint_minutes: Minutes after which one is written at the latest.
        validation: Steps between validations; 0 for none.
        keep: Old checkpoints that stay.
        kbps: Bandwidths that validation measures.
        perceptual: Measure PESQ, STOI and ViSQOL too (extra `metrics`).
        tensorboard: Write scalars and audio for TensorBoard (extra `train`).
        audio: Validation clips that TensorBoard can play.
    """

    where = "report."

    every: Annotated[int, at_least(1)] = 50
    checkpoint: Annotated[int, at_least(1)] = 1000
    checkpoint_minutes: Annotated[float, above(0)] = 10.0
    validation: Annotated[int, at_least(0)] = 1000
    keep: Annotated[int, at_least(1)] = 3
    kbps: Annotated[tuple[float, ...], each(above(0))] = (1.5, 3.0, 6.0, 12.0)
    perceptual: bool = False
    tensorboard: bool = True
    audio: Annotated[int, at_least(0)] = 3


@dataclass(frozen=True)
class TrainConfig(Section):
    """A training run: what all tasks have; each task's class adds its own sections.

    Attributes:
        output: Folder of checkpoints, logs and the model; made if it is not there.
        seed: Of everything that is drawn.
    """

    output: Annotated[str, NAMED] = "runs/mine"
    seed: Annotated[int, at_least(0)] = 0
    task: TaskSection = TaskSection()
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    optim: OptimSection = OptimSection()
    report: ReportSection = ReportSection()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for checkpoints."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> TrainConfig:
        """Build the configuration of the task that nested mappings name.

        Raises:
            ArgumentError: A key is unknown, or a value has the wrong type or breaks its rule.
        """
        section = values.get("task", {})
        named = section.get("name") if isinstance(section, Mapping) else None
        name = cast(Any, named) or TaskSection().name
        config_type: type[TrainConfig] = find_task(name).config_type
        return _build(config_type, values, "")


def load_config(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a TOML file and apply `changes` of the form `section.key=value` (value as in TOML).

    Raises:
        ArgumentError: The file is not TOML, a key is unknown or a value has the wrong type.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path}: not a TOML file: {error}") from error
    except RecursionError:
        raise ArgumentError(f"{path}: nested too deeply") from None
    return TrainConfig.from_dict(apply_changes(values, changes))


def apply_changes(values: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Set each `section.key=value` (value as in TOML) in nested `values`, and return them.

    Raises:
        ArgumentError: A change is not of this form, or goes into what is no section.
    """
    for change in changes:
        _apply(values, change)
    return values


def _apply(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals:
        raise ArgumentError(f"--set {change}: must be key=value")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    except RecursionError:
        raise ArgumentError(f"--set {key}: nested too deeply") from None
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner: Any = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ArgumentError(f"--set {change}: {parent} is not a section")
        values = cast(dict[str, Any], inner)
    values[last] = value


def _build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    hints = typing.get_type_hints(cls)
    known = {f.name for f in fields(cast(Any, cls))}
    made: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in known:
            raise ArgumentError(f"{name}: no such setting; known here: {', '.join(sorted(known))}")
        if is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise ArgumentError(f"{name}: must be a section, not {value!r}")
            made[key] = _build(hints[key], value, f"{name}.")
        else:
            made[key] = _convert(hints[key], value, name)
    return cls(**made)


def _convert(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _convert(arguments[0], value, name)
    if origin is tuple and isinstance(value, (list, tuple)):
        items = cast(Sequence[Any], value)
        if arguments[-1] is not Ellipsis and len(items) != len(arguments):
            raise ArgumentError(f"{name} = {value!r}: must be {len(arguments)} values")
        return tuple(_convert(arguments[0], item, name) for item in items)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, Mapping):
        table = cast(Mapping[str, Any], value)
        return {key: _convert(arguments[1], item, f"{name}.{key}") for key, item in table.items()}
    return _plain(hint, value, name)


_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
    Mapping: "a table",
}
"""What TOML calls a type."""


def _plain(hint: Any, value: Any, name: str) -> Any:
    """Check a value that holds no others; a whole number may stand for a float."""
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wrong = isinstance(value, bool) and hint is not bool
    if wrong or typing.get_origin(hint) is not None or not isinstance(value, hint):
        kind = _WORDS.get(typing.get_origin(hint) or hint, str(hint))
        raise ArgumentError(f"{name} = {value!r}: must be {kind}")
    return value


def home(path: str | Path) -> Path:
    """Return a path as a setting gives it; `~` is the home folder."""
    return Path(path).expanduser()
