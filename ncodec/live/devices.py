"""Sound devices by PortAudio: listed, found by name, opened, and every refusal in plain words."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError, DeviceError

Kind = Literal["input", "output"]
Callback = Callable[[NDArray[np.float32], float, bool], None]
"""Given a buffer `[T, C]` to read or to fill, the time at the converter of its first sample in
seconds, and whether the device lost samples before it."""

USUAL_RATES = (48000, 44100)
GUESSES = 500
_INVALID_CHANNELS, _INVALID_RATE, _UNAVAILABLE = -9998, -9997, -9985  # portaudio.h, PaErrorCode


@dataclass(frozen=True)
class Latency:
    """Seconds to ask of each device, and seconds that the output holds at its emptiest moments."""

    device: float
    prefill: float


LATENCIES = {
    "low": Latency(0.02, 0.01),
    "medium": Latency(0.07, 0.04),
    "high": Latency(0.10, 0.12),
}


def parse_latency(text: str) -> Latency:
    """Return the setting of a name, or of a number of seconds for each of its parts.

    Raises:
        ArgumentError: it is neither, or not 0.001 to 2 seconds.
    """
    if text in LATENCIES:
        return LATENCIES[text]
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds <= 2:
        raise ArgumentError(f"latency {text!r}: must be low, medium, high or 0.001 to 2 seconds")
    return Latency(seconds, seconds)


@dataclass(frozen=True)
class DeviceInfo:
    """A sound device: channels 0 where it has no such side, rate in Hz."""

    index: int
    name: str
    host: str
    input_channels: int
    output_channels: int
    default_rate: int
    default_input: bool
    default_output: bool

    def channels(self, kind: Kind) -> int:
        """Return how many channels its input or output has."""
        return self.input_channels if kind == "input" else self.output_channels

    def is_default(self, kind: Kind) -> bool:
        """Say whether it is what sound comes from, or goes to, unless another is asked for."""
        return self.default_input if kind == "input" else self.default_output


def portaudio() -> Any:
    """Return the sounddevice module.

    Raises:
        DeviceError: it, or the PortAudio library under it, is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError):
        raise DeviceError(
            "PortAudio is missing: install it (Debian, Ubuntu: apt install libportaudio2; "
            "Fedora: dnf install portaudio; others: pip install --force-reinstall sounddevice)"
        ) from None
    return sounddevice


def list_devices() -> list[DeviceInfo]:
    """Return all devices; none is possible.

    Raises:
        DeviceError: PortAudio is missing.
    """
    sd = portaudio()
    hosts = sd.query_hostapis()
    default_input, default_output = sd.default.device
    return [
        DeviceInfo(
            index=index,
            name=device["name"],
            host=hosts[device["hostapi"]]["name"],
            input_channels=device["max_input_channels"],
            output_channels=device["max_output_channels"],
            default_rate=round(device["default_samplerate"]),
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, device in enumerate(sd.query_devices())
    ]


def find_device(wanted: str | None, kind: Kind) -> DeviceInfo:
    """Return the device of a number, a name, or a unique part of one; the default for None.

    Raises:
        DeviceError: there is none, or there are several.
    """
    devices = [device for device in list_devices() if device.channels(kind)]
    if not devices:
        raise DeviceError(
            f"no sound {kind} device: plug one in, or start the sound server "
            "(pulseaudio or pipewire); `ncodec devices` lists what there is"
        )
    if wanted is None:
        return next((each for each in devices if each.is_default(kind)), devices[0])
    chosen = _matching(devices, wanted)
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(f"{device.index} {device.name!r}" for device in chosen or devices)
    many = "more than one" if chosen else "no"
    raise DeviceError(f"{many} {kind} device {wanted!r}: choose one of {names}")


def _matching(devices: list[DeviceInfo], wanted: str) -> list[DeviceInfo]:
    """Return the devices of that number or name, or else those with it in their names."""
    if wanted.isdecimal():
        return [device for device in devices if device.index == int(wanted)]
    low = wanted.lower()
    exact = [device for device in devices if device.name.lower() == low]
    return exact or [device for device in devices if low in device.name.lower()]


def ready_device(wanted: str | None, kind: Kind) -> DeviceInfo:
    """Return what `find_device` finds, if it can be opened: to be asked before a model is loaded.

    Raises:
        DeviceError: there is none, or there are several, or it refuses or is busy.
    """
    device = find_device(wanted, kind)
    negotiate(device, kind, device.default_rate, 1)
    return device


def negotiate(device: DeviceInfo, kind: Kind, rate: int, channels: int) -> tuple[int, int]:
    """Return a rate in Hz and a number of channels that the device takes, best those asked for.

    Raises:
        DeviceError: it takes none that are usual, or is busy.
    """
    sd = portaudio()
    check = sd.check_input_settings if kind == "input" else sd.check_output_settings
    most = device.channels(kind)
    widths = dict.fromkeys(n for n in (channels, 2, 1, most) if n <= most)
    rates = dict.fromkeys((rate, device.default_rate, *USUAL_RATES))
    error: Exception | None = None
    for each in rates:
        for width in widths:
            try:
                check(device=device.index, samplerate=each, channels=width, dtype="float32")
            except sd.PortAudioError as failed:
                error = error or failed
                if _code(failed) not in (_INVALID_RATE, _INVALID_CHANNELS):
                    raise _refused(device, kind, failed, rate) from None
            else:
                return each, width
    assert error is not None
    tried = ", ".join(map(str, rates))
    raise DeviceError(f"{kind} device {device.name!r} takes none of the rates {tried} Hz")


class DeviceStream:
    """An open input or output; `callback` runs in PortAudio's own thread and must only copy."""

    def __init__(
        self,
        device: DeviceInfo,
        kind: Kind,
        callback: Callback,
        *,
        rate: int,
        channels: int,
        latency: float,
    ) -> None:
        """Open, do not start; `latency` is what to ask of the device, in seconds.

        Raises:
            DeviceError: it refuses.
        """
        self.device = device
        self.kind: Kind = kind
        self._sd = portaudio()
        self._callback = callback
        self._rate = rate
        # A sound server guesses how long ago a sample was captured, and wanders by tenths of a
        # second: the least of its last guesses is the best.
        self._delays: deque[float] = deque(maxlen=GUESSES)
        self._heard = time.monotonic()
        open_stream = self._sd.InputStream if kind == "input" else self._sd.OutputStream
        try:
            with realtime():
                self._stream = open_stream(
                    device=device.index,
                    samplerate=rate,
                    channels=channels,
                    dtype="float32",
                    latency=latency,
                    callback=self._capture if kind == "input" else self._render,
                )
        except self._sd.PortAudioError as error:
            raise _refused(device, kind, error, rate) from None

    def start(self) -> None:
        """Begin to call back."""
        try:
            with realtime():
                self._stream.start()
        except self._sd.PortAudioError as error:
            raise _refused(self.device, self.kind, error, None) from None
        self._heard = time.monotonic()

    def close(self) -> None:
        """Stop and close; a device that is gone already is no error."""
        with suppress(self._sd.PortAudioError):
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def check(self, silence: float = 2.0) -> None:
        """Raise DeviceError if the device has stopped, or has not called for `silence` seconds."""
        if self._stream.active and time.monotonic() - self._heard < silence:
            return
        raise DeviceError(
            f"{self.kind} device {self.device.name!r} has stopped: unplugged, or its sound server "
            "ended; `ncodec devices` lists what is left"
        )

    def _capture(self, buffer: Any, _frames: int, stamps: Any, status: Any) -> None:
        self._heard = time.monotonic()
        now = self._now(stamps)
        came = now - len(buffer) / self._rate
        stamp = stamps.inputBufferAdcTime or now - self._stream.latency
        self._delays.append(max(0.0, came - stamp))
        self._callback(buffer, came - min(self._delays), bool(status.input_overflow))

    def _render(self, buffer: Any, _frames: int, stamps: Any, status: Any) -> None:
        self._heard = time.monotonic()
        stamp = stamps.outputBufferDacTime or self._now(stamps) + self._stream.latency
        self._callback(buffer, stamp, bool(status.output_underflow))

    def _now(self, stamps: Any) -> float:
        """Return the stream's time; some hosts leave it zero."""
        return stamps.currentTime or time.monotonic()


@contextmanager
def realtime() -> Generator[None]:
    """Schedule this thread before all others, where allowed, and those that it starts in the block.

    They are those of PortAudio, of the sound server's library, and the codec's worker; they inherit
    the policy of the thread that starts them.
    """
    before = None
    with suppress(AttributeError, OSError):
        policy, setting = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
        before = policy, setting
    try:
        yield
    finally:
        if before is not None:
            os.sched_setscheduler(0, *before)


def _code(error: Exception) -> int:
    return int(error.args[1]) if len(error.args) > 1 else 0


def _refused(device: DeviceInfo, kind: Kind, error: Exception, rate: int | None) -> DeviceError:
    """Turn PortAudio's error into words and advice."""
    name, text = f"{kind} device {device.name!r}", str(error).lower()
    code = _code(error)
    if code == _INVALID_RATE and rate is not None:
        return DeviceError(f"{name} does not take {rate} Hz: choose another device")
    if code == _UNAVAILABLE or "busy" in text:
        return DeviceError(f"{name} is busy: close the program that uses it, or choose another")
    if "no such device" in text or "connection refused" in text:
        return DeviceError(f"{name} is not there any more: `ncodec devices` lists what is left")
    reason = str(error.args[0]) if error.args else "no reason given"
    return DeviceError(f"{name} cannot be opened ({reason}): try another one with `ncodec devices`")
