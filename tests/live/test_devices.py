"""What is said when devices are missing or refuse, with a PortAudio that is played by a test."""

import sys
import types

import pytest

from ncodec.errors import ArgumentError, DeviceError
from ncodec.live import devices
from ncodec.live.session import LATENCIES, Latency, parse_latency


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


@pytest.fixture
def sound(monkeypatch):
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

    def check(*, device, samplerate, channels, dtype):
        assert dtype == "float32"
        if fake.error is not None:
            raise fake.error
        if channels not in fake.widths:
            raise PortAudioError("Invalid number of channels", -9998)
        if samplerate not in fake.rates:
            raise PortAudioError("Invalid sample rate", -9997)

    fake.check_input_settings = fake.check_output_settings = check
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_no_portaudio(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match=r"PortAudio is missing: install it.*libportaudio2"):
        devices.list_devices()


def test_no_device(sound):
    sound.listed.clear()
    with pytest.raises(DeviceError, match="no sound input device: plug one in"):
        devices.find_device(None, "input")


@pytest.mark.parametrize(
    ("wanted", "kind", "found"),
    [
        (None, "input", 1),
        (None, "output", 2),
        ("0", "input", 0),
        ("built", "input", 0),
        ("usb headset", "output", 1),
        ("speakers", "output", 2),
    ],
)
def test_devices_are_found(sound, wanted, kind, found):
    assert devices.find_device(wanted, kind).index == found


@pytest.mark.parametrize(
    ("wanted", "kind", "said"),
    [
        (
            "banjo",
            "input",
            "no input device 'banjo': choose one of 0 'Built-in Microphone', 1 'USB",
        ),
        ("usb", "output", "more than one output device 'usb': choose one of 1 'USB Headset', 3 "),
        ("2", "input", "no input device '2'"),
        ("9", "output", "no output device '9'"),
    ],
)
def test_wrong_names(sound, wanted, kind, said):
    with pytest.raises(DeviceError, match=said):
        devices.find_device(wanted, kind)


def test_rate_and_channels_are_negotiated(sound):
    found = devices.find_device("1", "output")
    assert devices.negotiate(found, "output", 24000, 1) == (24000, 1)
    sound.rates, sound.widths = {48000}, {2}
    assert devices.negotiate(found, "output", 24000, 1) == (48000, 2)
    sound.rates = {44100}
    assert devices.negotiate(found, "output", 24000, 2) == (44100, 2)
    sound.rates = set()
    with pytest.raises(DeviceError, match="takes none of the rates 24000, 48000, 44100 Hz"):
        devices.negotiate(found, "output", 24000, 1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (("Device unavailable", -9985), "'USB Headset' is busy: close the program"),
        (("Unanticipated host error: Device or resource busy", -9999), "is busy"),
        (("Connection refused", -9999), "not there any more"),
        (("Something else", -9999), "cannot be opened .Something else.: try another"),
    ],
)
def test_refusals_say_what_to_do(sound, error, said):
    sound.error = PortAudioError(*error)
    found = devices.find_device("1", "input")
    with pytest.raises(DeviceError, match=said) as caught:
        devices.negotiate(found, "input", 24000, 1)
    assert "\n" not in str(caught.value)


def test_a_device_that_refuses_to_open(sound):
    def refuse(**_):
        raise PortAudioError("Invalid sample rate", -9997)

    sound.InputStream = refuse
    found = devices.find_device("1", "input")
    with pytest.raises(DeviceError, match="does not take 24000 Hz: choose another"):
        devices.DeviceStream(found, "input", print, rate=24000, channels=1, latency=0.1)


def test_a_device_that_falls_silent(sound):
    class Stream:
        active = True

        def __init__(self, **_):
            pass

        def start(self):
            pass

    sound.OutputStream = Stream
    found = devices.find_device("1", "output")
    stream = devices.DeviceStream(found, "output", print, rate=24000, channels=1, latency=0.1)
    stream.start()
    stream.check()
    with pytest.raises(DeviceError, match="'USB Headset' has stopped: unplugged"):
        stream.check(silence=0.0)
    Stream.active = False
    with pytest.raises(DeviceError, match="has stopped"):
        stream.check()


def test_latency_settings():
    assert parse_latency("low") is LATENCIES["low"]
    assert parse_latency("0.2") == Latency(0.2, 0.2)
    for wrong in ("none", "0", "-1", "3", "nan"):
        with pytest.raises(ArgumentError, match="must be low, medium, high or 0"):
            parse_latency(wrong)
