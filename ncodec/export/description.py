"""`ncodec.json`: what stands beside the graphs, and all that a program needs to run them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ncodec.errors import CheckpointError

Precision = Literal["float32", "float16"]
"""What weights are stored in; all arithmetic is float32."""
DESCRIPTION = "ncodec.json"
VERSION = 1
OPSET = 17
"""The first with LayerNormalization, which onnxruntime and onnxruntime-web both have."""


@dataclass(frozen=True)
class StateTensor:
    """A state of a direction: an input `name` and an output `name_out`, float32.

    Attributes:
        name: Its path in the model.
        shape: Its sizes; None for the batch, which is the first, and for a size that grows.
    """

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Direction:
    """How a stream is run in one direction.

    Attributes:
        least: Frames that the start graph must have; 0: zero states (sizes that grow are 0) are the
            start, and there are no start and whole graphs.
        most: Frames that a graph may have at once, or None.
        drop: Samples or frames at the start of what comes out that lie before the stream.
        held: Frames or samples that have gone in and not come out while steps are made; if it is 0
            and no samples are left, nothing ends the stream.
        ends: Whether there is an end graph.
        states: The states, in the order of the graphs' inputs.
    """

    least: int
    most: int | None
    drop: int
    held: int
    ends: bool
    states: tuple[StateTensor, ...]


@dataclass(frozen=True)
class Description:
    """What the graphs are, and how they are run; the attributes of a model are named as there.

    Attributes:
        kind: "codec" or "vocoder". A vocoder has no encoder and no codebooks; its latents are mels.
        fingerprint: SHA-256 over configuration and weights, in hex: what files made so carry.
        precision: What the weights are stored in; all arithmetic is float32.
        fills_last_frame: Whether zeros complete a stream's last frame.
        flush_frames: Frames of zero latents that end a decoder's stream, where no graph does.
        files: Each file's SHA-256, in hex.
    """

    version: int
    kind: str
    name: str
    family: str
    licence: str
    config: dict[str, Any]
    fingerprint: str
    precision: str
    opset: int
    sample_rate: int
    channels: int
    hop: int
    codebook_sizes: tuple[int, ...]
    latent_dim: int
    bandwidths: tuple[float, ...]
    latency_samples: int
    receptive_field: int
    preroll_frames: int
    postroll_frames: int
    fills_last_frame: bool
    flush_frames: int
    encoder: Direction | None
    decoder: Direction
    files: dict[str, str]

    def to_json(self) -> str:
        """Return what stands in the file."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Parse what stands in the file.

        Raises:
            CheckpointError: It is no such description, or a later one.
        """
        try:
            values = json.loads(text)
            version = values["version"]
            if version != VERSION:
                raise CheckpointError(f"version {version!r}: this ncodec reads version {VERSION}")
            values["decoder"] = _direction(values["decoder"])
            values["encoder"] = values["encoder"] and _direction(values["encoder"])
            for name in ("codebook_sizes", "bandwidths"):
                values[name] = tuple(values[name])
            known = cls(**{field.name: values[field.name] for field in fields(cls)})
            known.check()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"no description of exported graphs ({error!r})") from error
        return known

    def check(self) -> None:
        """Raise `ValueError` where a number could not be a codec's."""
        if len(bytes.fromhex(self.fingerprint)) != 32:
            raise ValueError(f"fingerprint {self.fingerprint!r}")
        sizes = (self.sample_rate, self.channels, self.hop, self.latent_dim, *self.codebook_sizes)
        if min(sizes) < 1 or bool(self.encoder) != bool(self.codebook_sizes):
            raise ValueError(f"sizes {sizes}")
        for way in filter(None, (self.encoder, self.decoder)):
            counts = (way.least, way.drop, way.held, 1 if way.most is None else way.most - 1)
            if min(counts) < 0:
                raise ValueError(f"counts {counts}")


def _direction(values: dict[str, Any]) -> Direction:
    states = [StateTensor(state["name"], tuple(state["shape"])) for state in values["states"]]
    return replace(Direction(**values), states=tuple(states))


def is_export(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is a folder with exported graphs."""
    return (Path(path) / DESCRIPTION).is_file()


def read_description(folder: str | os.PathLike[str]) -> Description:
    """Read the description of the graphs in a folder.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    path = Path(folder) / DESCRIPTION
    try:
        return Description.from_json(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
