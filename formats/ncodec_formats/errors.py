"""All errors that ncodec raises on a caller's mistake or a bad file: one root, `NcodecError`."""

from collections.abc import Generator
from contextlib import contextmanager


class NcodecError(Exception):
    """Root of all errors that a caller can meet; its text is one line for a person to read."""


class BadFileError(NcodecError):
    """The bytes are not what the format says they must be."""


class DamageError(BadFileError):
    """A file is damaged in a way that a reader told to keep going would pass over."""


class UnsupportedVersionError(NcodecError):
    """The file is of a version, or asks for a feature, that this reader does not know."""


class LimitError(NcodecError):
    """A size or a duration is beyond a stated limit."""


class ModelMismatchError(NcodecError):
    """The file was made with another model, or with other weights, than those given."""


class TablesError(NcodecError):
    """Codes were predicted by tables that are not here, so they cannot be decoded."""


class CheckpointError(NcodecError):
    """A checkpoint is missing, damaged, or of no layout that is known."""


class DeviceError(NcodecError):
    """An audio or compute device is missing or refuses what it is asked for."""


class ArgumentError(NcodecError):
    """A value given by the caller breaks a rule; the text has both the value and the rule."""


class OutputExistsError(ArgumentError, FileExistsError):
    """An output is there already, and overwriting it was not asked for."""


@contextmanager
def naming(name: str, *kinds: type[NcodecError]) -> Generator[None]:
    """Lets errors, or only those of some kinds, say which file they mean."""
    try:
        yield
    except NcodecError as error:
        if (kinds and not isinstance(error, kinds)) or str(error).startswith(f"{name}: "):
            raise
        raise type(error)(f"{name}: {error}") from error


def in_words(error: Exception) -> str:
    """Returns what an error says to a person; those of the system name their file first.

    >>> in_words(FileNotFoundError(2, "No such file or directory", "a.wav"))
    'a.wav: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def counted(count: int, what: str) -> str:
    """Returns a number of things in words.

    >>> counted(1, "frame"), counted(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"
