"""Codecs that come as command-line tools: Opus, MP3, AAC, Codec2 and Speex."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncodec.bench.codecs import Coded, Samples, nearest
from ncodec.errors import NcodecError
from ncodec.metrics.signal import channels_of, resample

Command = list[str]
Build = Callable[[Path, Path, float], Command]


@dataclass(frozen=True)
class Tool:
    """A codec behind two commands: `encode` and `decode` take (source, destination, setting).

    Attributes:
        name: as `--against` takes it.
        programs: what must be on the PATH.
        version: the command that tells the version and which word of its first line it is; None if
            the tool tells none.
        ladder: the rates it has, in kbps; two numbers with `continuous` are lowest and highest.
        suffix: of its files.
        rate: the only sample rate it takes, None for any.
        mono: whether it takes one channel only (then the mix is coded).
        raw: whether it takes and gives raw 16-bit samples instead of WAV.
    """

    name: str
    programs: tuple[str, ...]
    encode: Build
    decode: Build
    ladder: tuple[float, ...]
    suffix: str
    label: str
    version: tuple[Command, int] | None
    continuous: bool = False
    rate: int | None = None
    mono: bool = False
    raw: bool = False

    @property
    def title(self) -> str:
        """Label and version."""
        if self.version is None:
            return self.label
        command, word = self.version
        return f"{self.label} {_version(*command, word=word)}".strip()

    def setting(self, bandwidth: float) -> float | None:
        """Return the rate in kbps nearest to the asked one, None if it has none within a half."""
        if self.continuous and self.ladder[0] <= bandwidth <= self.ladder[-1]:
            return bandwidth
        return nearest(self.ladder, bandwidth)

    def run(self, samples: Samples, sample_rate: int, setting: float, folder: Path) -> Coded:
        """Compress `[C, T]` into a file in `folder` and decompress it again.

        Raises:
            NcodecError: a command fails.
        """
        signal = channels_of(samples)
        if self.mono:
            signal = signal.mean(axis=0, keepdims=True)
        rate = self.rate or sample_rate
        signal = resample(signal, sample_rate, rate)
        source, coded = folder / "source", folder / f"coded{self.suffix}"
        decoded = folder / "decoded"
        source, decoded = (p.with_suffix(".raw" if self.raw else ".wav") for p in (source, decoded))
        self._write(source, signal, rate)
        _call(self.encode(source, coded, setting))
        _call(self.decode(coded, decoded, setting))
        return Coded(coded, *self._read(decoded, rate))

    def _write(self, path: Path, signal: Samples, rate: int) -> None:
        import soundfile as sf

        if self.raw:
            np.clip(np.rint(signal[0] * 32768), -32768, 32767).astype("<i2").tofile(path)
        else:
            sf.write(path, signal.T, rate, subtype="PCM_16")

    def _read(self, path: Path, rate: int) -> tuple[Samples, int]:
        import soundfile as sf

        if self.raw:
            return np.fromfile(path, dtype="<i2")[None].astype(np.float64) / 32768, rate
        decoded, rate = sf.read(path, always_2d=True)
        return decoded.T, rate


def _call(command: Command) -> None:
    done = subprocess.run(  # noqa: S603
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise NcodecError(f"{command[0]} failed ({done.returncode}): {last[0]}")


@functools.cache
def _version(*command: str, word: int) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return (done.stdout + done.stderr).split("\n", 1)[0].split()[word].strip("()").split("-")[0]


def missing_programs(tool: Tool) -> Sequence[str]:
    """Return the programs that the tool needs and the PATH does not have."""
    return [program for program in tool.programs if shutil.which(program) is None]


def _ffmpeg(source: Path, destination: Path, *options: str) -> Command:
    return [
        *("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(source)),
        *("-map_metadata", "-1", *options, str(destination)),
    ]


def _codec2_mode(setting: float) -> str:
    return "700C" if setting == 0.7 else str(round(setting * 1000))


# Speex wideband qualities 0 to 10 by the rate that each stands for (Speex manual, table 9.2).
_SPEEX = (3.95, 5.75, 7.75, 9.8, 12.8, 16.8, 20.6, 23.8, 27.8, 34.2, 42.2)
# MPEG-2 layer III, for 16 to 24 kHz; layer III of MPEG-1 shares the steps from 32 up.
_MP3 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320)

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="opus",
            label="Opus",
            programs=("opusenc", "opusdec"),
            version=(["opusenc", "--version"], -1),
            # No padding and no comments: at 6 kbps the default 512 bytes are 0.7 s of sound.
            encode=lambda a, b, kbps: [
                *("opusenc", "--quiet", "--bitrate", f"{kbps:g}", "--padding", "0"),
                *("--discard-comments", str(a), str(b)),
            ],
            decode=lambda a, b, _: ["opusdec", "--quiet", "--float", str(a), str(b)],
            ladder=(6, 510),
            continuous=True,
            suffix=".opus",
        ),
        Tool(
            name="mp3",
            label="MP3 (ffmpeg, LAME)",
            programs=("ffmpeg",),
            version=(["ffmpeg", "-version"], 2),
            encode=lambda a, b, kbps: _ffmpeg(a, b, "-c:a", "libmp3lame", "-b:a", f"{kbps:g}k"),
            decode=lambda a, b, _: _ffmpeg(a, b, "-c:a", "pcm_f32le"),
            ladder=_MP3,
            suffix=".mp3",
        ),
        Tool(
            name="aac",
            label="AAC (ffmpeg)",
            programs=("ffmpeg",),
            version=(["ffmpeg", "-version"], 2),
            encode=lambda a, b, kbps: _ffmpeg(a, b, "-c:a", "aac", "-b:a", f"{kbps:g}k"),
            decode=lambda a, b, _: _ffmpeg(a, b, "-c:a", "pcm_f32le"),
            ladder=(8, 320),
            continuous=True,
            suffix=".m4a",
        ),
        Tool(
            name="codec2",
            label="Codec2",
            programs=("c2enc", "c2dec"),
            version=None,
            encode=lambda a, b, kbps: ["c2enc", _codec2_mode(kbps), str(a), str(b)],
            decode=lambda a, b, kbps: ["c2dec", _codec2_mode(kbps), str(a), str(b)],
            ladder=(0.7, 1.2, 1.3, 1.4, 1.6, 2.4, 3.2),
            suffix=".bin",
            rate=8000,
            mono=True,
            raw=True,
        ),
        Tool(
            name="speex",
            label="Speex wideband",
            programs=("speexenc", "speexdec"),
            version=(["speexenc", "--version"], 4),
            encode=lambda a, b, kbps: [
                *("speexenc", "-w", "--quality", str(_SPEEX.index(kbps)), str(a), str(b)),
            ],
            decode=lambda a, b, _: ["speexdec", str(a), str(b)],
            ladder=_SPEEX,
            suffix=".spx",
            rate=16000,
            mono=True,
        ),
    )
}
