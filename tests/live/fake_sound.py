"""A sounddevice module that tests are the clock of: devices, refusals, and streams to pull at."""

import types

import numpy as np


class PortAudioError(Exception):
    pass


def device(name, inputs, outputs, rate=48000.0):
    return {
        "name": name,
        "hostapi": 0,
        "max_input_channels": inputs,
        "max_output_channels": outputs,
        "default_samplerate": rate,
    }


class Stream:
    """An open stream: an output needs samples (`pull`), an input has some (`give`)."""

    latency = 0.1
    active = True

    def __init__(self, *, samplerate, channels, callback, **_):
        self.rate, self.channels, self.callback = samplerate, channels, callback
        self.started = False

    def start(self):
        self.started = True

    def pull(self, frames):
        out = np.full((frames, self.channels), np.nan, np.float32)
        stamps = types.SimpleNamespace(outputBufferDacTime=1.0, currentTime=1.0)
        self.callback(out, frames, stamps, types.SimpleNamespace(output_underflow=False))
        return out

    def give(self, frames, *, now, claimed):
        """Bring samples of which the first was captured `claimed` seconds ago, or so it says."""
        x = np.zeros((frames, self.channels), np.float32)
        stamps = types.SimpleNamespace(inputBufferAdcTime=now - claimed, currentTime=now)
        self.callback(x, frames, stamps, types.SimpleNamespace(input_overflow=False))

    def abort(self, **_):
        pass

    def close(self, **_):
        pass


def module():
    """Return a module with four devices that take 24 and 48 kHz, one and two channels."""
    fake = types.ModuleType("sounddevice")
    fake.PortAudioError = PortAudioError
    fake.listed = [
        device("Built-in Microphone", 2, 0),
        device("USB Headset", 1, 2),
        device("Speakers", 0, 2, 44100.0),
        device("USB Speakers", 0, 8),
    ]
    fake.default = types.SimpleNamespace(device=[1, 2])
    fake.query_devices = lambda: fake.listed
    fake.query_hostapis = lambda: [{"name": "ALSA"}]
    fake.rates, fake.widths, fake.error = {24000, 48000}, {1, 2}, None
    fake.opened = []

    def check(*, device, samplerate, channels, dtype):
        assert dtype == "float32"
        if fake.error is not None:
            raise fake.error
        if channels not in fake.widths:
            raise PortAudioError("Invalid number of channels", -9998)
        if samplerate not in fake.rates:
            raise PortAudioError("Invalid sample rate", -9997)

    def open_stream(**options):
        fake.opened.append(Stream(**options))
        return fake.opened[-1]

    fake.check_input_settings = fake.check_output_settings = check
    fake.OutputStream = open_stream
    return fake
