"""What libsndfile neither reads nor writes, by way of the `ffmpeg` on the PATH.

A process decodes to WAV on a pipe, and is read as any other pipe is. Only plain files and pipes may
be opened by it, and only formats that hold sound themselves: a playlist in disguise opens nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

from ncodec.audio import tags
from ncodec.audio.output import Output
from ncodec.audio.pcm import Samples
from ncodec.audio.plain import PcmReader, skip_by_reading
from ncodec.audio.source import Source
from ncodec.audio.wav import WavHeader, WavWriter, read_header
from ncodec.errors import ArgumentError, BadFileError, counted

HINT = (
    "install ffmpeg, or decode it elsewhere: "
    "ffmpeg -i FILE -f wav - | ncodec compress - OUTPUT.ecdc"
)

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,loas,wv,tta,ape,tak,asf,xwma,avi,mpegts,mpeg,flv,"
    "live_flv,ogg,mp3,flac,wav,w64,aiff,caf,au,amr,amrnb,amrwb,ac3,eac3,dts,dtshd,mpc,mpc8,rm,dsf,"
    "iff,shn,truehd,mlp,voc,mxf,nut,oma,gsm,g722,g729,sbc,aptx,dss,qcp"
)
_SAFE = ("-protocol_whitelist", "file,pipe", "-format_whitelist", _FORMATS)
_EXACT = ("mov", "matroska", "wv", "tta", "ape", "asf", "tak")
"""Formats whose duration is written down, and not guessed from a bitrate."""
_SHORT_SECONDS = 0.5
_PROBE_SECONDS = 120

WRITTEN: dict[str, tuple[str, ...]] = {
    "m4a": ("-f", "ipod", "-c:a", "aac"),
    "m4b": ("-f", "ipod", "-c:a", "aac"),
    "mp4": ("-f", "mp4", "-c:a", "aac"),
    "aac": ("-f", "adts", "-c:a", "aac"),
    "webm": ("-f", "webm", "-c:a", "libopus"),
    "weba": ("-f", "webm", "-c:a", "libopus"),
    "mka": ("-f", "matroska", "-c:a", "libopus"),
    "wma": ("-f", "asf", "-c:a", "wmav2"),
    "ac3": ("-f", "ac3", "-c:a", "ac3"),
    "wv": ("-f", "wv", "-c:a", "wavpack"),
    "tta": ("-f", "tta", "-c:a", "tta"),
}
"""Endings that can be written, and how."""
LOSSLESS = ("wv", "tta")
_FF_KEYS = {"tracknumber": "track", "discnumber": "disc", "albumartist": "album_artist"}


def available() -> bool:
    """Say whether there is an ffmpeg on the PATH."""
    return shutil.which("ffmpeg") is not None


class _Process:
    """An ffmpeg that runs, the last lines it says, and its end."""

    def __init__(self, arguments: list[str], *, stdin: bool) -> None:
        program = shutil.which("ffmpeg")
        if program is None:
            raise BadFileError(f"ffmpeg is not on the PATH; {HINT}")
        self.said: list[str] = []
        # Ctrl-C is ours to answer: in a session of its own the process does not see it.
        session: dict[str, Any] = {} if sys.platform == "win32" else {"start_new_session": True}
        self.process = subprocess.Popen(  # noqa: S603 - no shell, and names behind file:
            [program, "-hide_banner", "-nostdin", "-loglevel", "error", *arguments],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stdin else subprocess.PIPE,
            stderr=subprocess.PIPE,
            **session,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            while line := lines.readline(4096):
                if len(self.said) < 20:
                    self.said.append(line.decode(errors="replace").strip())

    def wait(self) -> int:
        """Wait for its end, and for all that it says."""
        status = self.process.wait()
        self._listener.join(5)
        return status

    def reason(self) -> str:
        """Return what it said, on one line."""
        lines = [line for line in self.said if line]
        text = lines[-1] if lines else f"it ended with status {self.process.returncode}"
        for line in lines:
            if "matches no streams" in line:
                return "it has no sound"
            if any(sign in line for sign in ("moov atom not found", "EBML header", "Invalid data")):
                text = line
                break
        text = text.rpartition("] ")[2] if text.startswith("[") else text
        # Our own name for the file stands before the message already.
        return text.partition("file:")[0] + text.rpartition(": ")[2] if "file:" in text else text

    def stop(self) -> None:
        """End it, whatever it does."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


def _input(path: str) -> list[str]:
    # With file: before it a name can begin with "-", and is never taken for a protocol.
    return [*_SAFE, "-i", f"file:{path}"]


def _probe(path: str) -> dict[str, Any]:
    """Return what ffprobe knows of a file, {} where it is missing or fails."""
    program = shutil.which("ffprobe")
    if program is None:
        return {}
    shown = (
        "format=duration,format_name:format_tags:"
        "stream=index,codec_type,duration:stream_tags:stream_disposition=attached_pic"
    )
    command = [program, "-v", "error", "-of", "json", "-show_entries", shown, *_input(path)]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and names behind file:
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS,
            check=False,
        )  # fmt: skip
        found = json.loads(done.stdout.decode(errors="replace") or "{}")
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _own_duration(stream: dict[str, Any]) -> float | None:
    """Return a stream's own length in seconds: Matroska has it as a tag, 00:01:02.5."""
    if "duration" in stream:
        return float(stream["duration"])
    clock = str(stream.get("tags", {}).get("DURATION", "")).split(":")
    if len(clock) != 3:
        return None
    return (float(clock[0]) * 60 + float(clock[1])) * 60 + float(clock[2])


def open_reader(source: Source, what: str) -> FfmpegReader:
    """Decode a file that can seek by way of ffmpeg; `what` it is, for errors.

    Raises:
        BadFileError: ffmpeg cannot read it, or finds no sound in it.
    """
    path, copy = source.path(), None
    if path is None:
        copy = _copied(source)
        path = copy
    try:
        return FfmpegReader(source, os.path.abspath(path), copy, what)
    except BaseException:
        _remove(copy)
        raise


def _copied(source: Source) -> str:
    """Copy what has no name of its own to a file that ffmpeg can open."""
    handle, path = tempfile.mkstemp(prefix="ncodec-")
    try:
        with os.fdopen(handle, "wb") as copy:
            source.file.seek(0)
            shutil.copyfileobj(source.file, copy, 1 << 20)
    except BaseException:
        _remove(path)
        raise
    return path


def _remove(path: str | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            Path(path).unlink()


_EARLY_END = ("ended prematurely", "partial file", "truncated")
"""What ffmpeg says, and goes on, where a file has no end (libavformat: matroskadec, utils)."""


class FfmpegReader:
    """The first stream of sound in a file, as ffmpeg decodes it."""

    def __init__(self, source: Source, path: str, copy: str | None, what: str) -> None:
        """Start the process; `copy` is removed in the end."""
        self._source, self._copy, self._what = source, copy, what
        found = _probe(path)
        self._process = _Process(
            [*_input(path), "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"],
            stdin=False,
        )
        try:
            pipe = source.beside(cast(BinaryIO, self._process.process.stdout))
            self._pcm = PcmReader(pipe, self._header(pipe))
        except BaseException:
            self._process.stop()
            raise
        self.sample_rate, self.channels = self._pcm.sample_rate, self._pcm.channels
        self.mask, self.notes = self._pcm.mask, source.notes
        self._exact = False
        seconds = self._duration(found)
        self.samples = None if seconds is None else round(seconds * self.sample_rate)
        self.tags = self._tags(found, pipe)
        self.floats = True
        self._done = 0

    def read(self, frames: int) -> Samples:
        """See AudioReader."""
        x = self._pcm.read(frames)
        self._done += x.shape[1]
        if x.shape[1] == 0:
            self._end()
        return x

    def skip(self, frames: int) -> int:
        """See AudioReader."""
        return skip_by_reading(self, frames)

    def close(self) -> None:
        """See AudioReader."""
        self._process.stop()
        _remove(self._copy)
        self._copy = None
        self._source.close()

    def _header(self, pipe: Source) -> WavHeader:
        start = pipe.take(12)
        if len(start) == 12:
            return read_header(start, pipe)
        self._process.wait()
        raise BadFileError(
            f"{self._source.name}: {self._what}; ffmpeg cannot read it ({self._process.reason()})"
        )

    def _duration(self, found: dict[str, Any]) -> float | None:
        streams = [s for s in found.get("streams", []) if s.get("codec_type") == "audio"]
        whole: dict[str, Any] = found.get("format", {})
        try:
            own = _own_duration(streams[0]) if streams else None
            kind = str(whole.get("format_name", "")).split(",")[0]
            self._exact = own is not None and kind in _EXACT
            return float(own if own is not None else whole["duration"])
        except (KeyError, TypeError, ValueError):
            return None

    def _tags(self, found: dict[str, Any], pipe: Source) -> tags.Tags:
        streams: list[dict[str, Any]] = found.get("streams", [])
        pictures = sum(s.get("disposition", {}).get("attached_pic", 0) == 1 for s in streams)
        if pictures:
            self._source.note(f"{counted(pictures, 'picture')} left out")
        films = [s for s in streams if s.get("codec_type") == "video"]
        if len(films) > pictures:
            self._source.note("video left out")
        sounds = [s for s in streams if s.get("codec_type") == "audio"]
        if len(sounds) > 1:
            self._source.note(f"the first of {len(sounds)} streams of sound")
        groups = [found.get("format", {}).get("tags", {}), *(s.get("tags", {}) for s in sounds[:1])]
        return tags.of_ffprobe([{k: str(v) for k, v in group.items()} for group in groups], pipe)

    def _end(self) -> None:
        self._source.check_unchanged()
        if self._process.wait():
            self._source.report(
                f"ffmpeg could not read it to its end ({self._process.reason()}); "
                f"{self._done / self.sample_rate:.3f} s were there"
            )
        short = (self.samples or 0) / self.sample_rate - self._done / self.sample_rate
        if self._exact and short > _SHORT_SECONDS:
            self._source.report_short(self._done, self.samples or 0, self.sample_rate)
        elif any(sign in line.lower() for line in self._process.said for sign in _EARLY_END):
            self._source.report(
                f"cut short, ffmpeg says ({self._process.reason()}); "
                f"{self._done / self.sample_rate:.3f} s were there"
            )
        elif self._process.said:
            self._source.warn(f"ffmpeg says: {self._process.reason()}")
        self._exact = False
        self._process.said.clear()


class FfmpegSink:
    """A file that ffmpeg codes; it is made beside, whole, and then copied."""

    def __init__(self, out: Output) -> None:
        """Start the process."""
        if not available():
            raise ArgumentError(
                f"output format {out.container!r} is written by way of ffmpeg, "
                "which is not on the PATH; install it"
            )
        self._out = out
        handle, self._path = tempfile.mkstemp(prefix="ncodec-", suffix=f".{out.container}")
        os.close(handle)
        named: list[str] = []
        for key, value in tags.joined(out.tags):
            named += ["-metadata", f"{_FF_KEYS.get(key, key)}={value}"]
        try:
            self._process = _Process(
                ["-y", *_SAFE, "-f", "wav", "-i", "pipe:0", "-map_metadata", "-1", *named,
                 *WRITTEN[out.container], f"file:{self._path}"],
                stdin=True,
            )  # fmt: skip
        except BaseException:
            _remove(self._path)
            raise
        self._pipe = cast(BinaryIO, self._process.process.stdin)
        self._wav = self._run(
            lambda: WavWriter(
                self._pipe, out.sample_rate, out.channels, out.encoding, mask=out.mask
            )
        )

    def write(self, x: Samples) -> None:
        """Append samples."""
        self._run(lambda: self._wav.write(x))

    def finish(self) -> None:
        """Wait for the process, and copy what it made."""
        self._run(lambda: (self._wav.finish(), self._pipe.close()))
        if self._process.wait():
            self._fail()
        with Path(self._path).open("rb") as made:
            shutil.copyfileobj(made, self._out.file, 1 << 20)
        self.abort()

    def abort(self) -> None:
        """End the process, and remove what it made."""
        self._process.stop()
        _remove(self._path)

    def _run(self, call: Any) -> Any:
        try:
            return call()
        except OSError:
            self._process.wait()
            self._fail()
            raise

    def _fail(self) -> None:
        reason = self._process.reason()
        self.abort()
        raise ArgumentError(f"ffmpeg cannot write {self._out.container} ({reason})") from None
