"""Read what libsndfile reads: FLAC, Ogg, MP3 and others, with what is damaged told."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NoReturn, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from ncodec.audio.core_audio import speakers_of
from ncodec.audio.layout import FLAC_MASKS, VORBIS_ORDER, usual_mask
from ncodec.audio.pcm import Samples
from ncodec.audio.plain import checked, skip_by_reading
from ncodec.audio.source import Source, View
from ncodec.audio.tags import Tags
from ncodec.errors import BadFileError
from ncodec.quiet import quiet_libraries

_SLACK = {"mp3": 2 * 1152, "ogg": 8192}
"""So many samples may be missing at an end without being a loss: padding that is counted
differently by those who write and those who read."""


class _File(soundfile.SoundFile):
    """Reads on as long as there is something, whatever length the header tells.

    soundfile seeks after each block where it can, which FLAC of unknown length does not bear.
    """

    def seekable(self) -> bool:
        return False


class SoundFileReader:
    """Whatever libsndfile reads, from a file that can seek."""

    def __init__(
        self,
        source: Source,
        view: View,
        kind: str,
        *,
        mask: int | None = None,
        least: int = 0,
        layout: bytes = b"",
    ) -> None:
        """Open `view`; errors of the file itself come before errors of its format.

        `least` is a length in samples that must come at least, but for the slack of the kind;
        `layout` is Core Audio's name of the speakers.
        """
        self._source, self._view, self._kind = source, view, kind
        view.seek(0)
        self.notes, self.floats = source.notes, False
        self.tags: Tags = ()
        try:
            with self._hushed():
                self._file = _File(cast(Any, view))
        except soundfile.LibsndfileError as error:
            self._raise(error)
        self.sample_rate, self.channels = self._file.samplerate, self._file.channels
        try:
            checked(source, self.sample_rate, self.channels)
        except BadFileError:
            self._file.close()
            raise
        self.floats = self._file.subtype in ("FLOAT", "DOUBLE")
        self._order = VORBIS_ORDER.get(self.channels) if kind == "ogg" else None
        if layout:
            mask = self._lay_out(layout)
        if mask is None and kind in ("ogg", "flac"):
            mask = FLAC_MASKS[self.channels]
        self.mask = usual_mask(mask, self.channels)
        # libsndfile gives a huge number where a FLAC stream does not know.
        known = 0 <= self._file.frames < 1 << 48
        self.samples: int | None = self._file.frames if known else None
        self._promised = max(self.samples or 0, least)
        self._done = 0
        self._damaged = False

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        block = self._read(frames)
        self._done += len(block)
        if len(block) == 0:
            self._end()
        x = block.T if self._order is None else block.T[self._order]
        return np.ascontiguousarray(x)

    def skip(self, frames: int) -> int:
        """See AudioReader."""
        if self.samples is None:
            return skip_by_reading(self, frames)
        frames = min(frames, self.samples - self._done)
        try:
            with self._hushed():
                self._file.seek(self._done + frames)
        except soundfile.LibsndfileError as error:
            self._check_file()
            self._report_damage(self._done, error)
            return 0
        self._done += frames
        return frames

    def strings(self) -> Tags:
        """Return the texts that libsndfile finds."""
        return tuple(self._file.copy_metadata().items())

    def close(self) -> None:
        """Close libsndfile's side; the source is its owner's."""
        with self._hushed():
            self._file.close()

    def _lay_out(self, layout: bytes) -> int | None:
        """Return the mask of a layout, whose order of channels is kept."""
        found = speakers_of(layout, self.channels)
        if found is None and self.channels <= 2:
            return None
        if found is None:
            self._source.note(f"{self.channels} channels in an order that is not known: kept as is")
            return None
        mask, self._order = found
        return mask

    def _hushed(self) -> Any:
        return quiet_libraries(forward=True) if self._kind == "mp3" else nullcontext()

    def _read(self, frames: int) -> NDArray[np.float32]:
        if self.samples is not None:
            frames = min(frames, self.samples - self._done)
        # What was decoded before an error is in the array, and is no NaN there.
        out = np.full((frames, self.channels), np.nan, np.float32)
        tries = 2
        while tries:
            try:
                with self._hushed():
                    block = cast("NDArray[np.float32]", self._file.read(out=out))
            except soundfile.LibsndfileError as error:
                self._check_file()
                good = np.isfinite(out[:, 0])
                block = out[: len(out) if good.all() else int(np.argmin(good))]
                self._report_damage(self._done + len(block), error)
            else:
                self._check_file()
                return block
            if len(block):
                return block
            tries -= 1
        return out[:0]

    def _check_file(self) -> None:
        if self._source.error is not None:
            raise self._source.error

    def _end(self) -> None:
        self._source.check_unchanged()
        short = self._promised - self._done
        if short <= 0 or self._damaged:
            return
        promised, self._promised = self._promised, 0
        if short <= _SLACK.get(self._kind, 0):
            return
        self._source.report_short(self._done, promised, self.sample_rate)

    def _report_damage(self, at: int, error: soundfile.LibsndfileError) -> None:
        """Report an error, unless all is there: bytes behind the sound are no loss."""
        if self._damaged or (self.samples is not None and at >= self.samples):
            return
        reason = str(error.error_string).rstrip(".") or "lost the beginning of a frame"
        where = f"sample {at} ({at / self.sample_rate:.3f} s)"
        self._damaged = True
        self._source.report(f"damaged or cut short at {where}: {reason}")

    def _raise(self, error: soundfile.LibsndfileError) -> NoReturn:
        self._check_file()
        reason = str(error.error_string).rstrip(".") or f"libsndfile's error {error.code}"
        raise BadFileError(f"{self._source.name}: not readable as audio ({reason})") from None
