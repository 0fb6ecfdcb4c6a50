"""The errors of the library: those of `ncodec_formats`, under this package's name."""

from ncodec_formats.errors import (
    ArgumentError,
    BadFileError,
    CheckpointError,
    DamageError,
    DeviceError,
    LimitError,
    ModelMismatchError,
    NcodecError,
    OutputExistsError,
    UnsupportedVersionError,
    counted,
    in_words,
    naming,
)

__all__ = [
    "ArgumentError",
    "BadFileError",
    "CheckpointError",
    "DamageError",
    "DeviceError",
    "LimitError",
    "ModelMismatchError",
    "NcodecError",
    "OutputExistsError",
    "UnsupportedVersionError",
    "counted",
    "in_words",
    "naming",
]
