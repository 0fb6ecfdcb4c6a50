"""What is said when devices are missing or refuse, with a PortAudio that is played by a test."""

import sys

import numpy as np
import pytest

from ncodec.errors import ArgumentError, DeviceError
from ncodec.live import devices
from ncodec.live.devices import LATENCIES, Latency, parse_latency


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
    sound.error = sound.PortAudioError(*error)
    found = devices.find_device("1", "input")
    with pytest.raises(DeviceError, match=said) as caught:
        devices.negotiate(found, "input", 24000, 1)
    assert "\n" not in str(caught.value)


def test_a_device_that_refuses_to_open(sound):
    def refuse(**_):
        raise sound.PortAudioError("Invalid sample rate", -9997)

    sound.InputStream = refuse
    found = devices.find_device("1", "input")
    with pytest.raises(DeviceError, match="does not take 24000 Hz: choose another"):
        devices.DeviceStream(found, "input", print, rate=24000, channels=1, latency=0.1)


def test_guesses_of_a_sound_server_do_not_move_the_capture(sound):
    """The delays that it claims wander; none can be less than the true one for long."""
    sound.InputStream = sound.OutputStream
    stamps = []
    found = devices.find_device("1", "input")
    devices.DeviceStream(
        found, "input", lambda x, stamp, lost: stamps.append(stamp),
        rate=24000, channels=1, latency=0.1,
    )  # fmt: skip
    stream = sound.opened[-1]
    for i in range(1000):
        wander = 0.1 * abs(np.sin(i / 40))
        stream.give(480, now=5.0 + 0.02 * i, claimed=0.020 + 0.003 + wander)
    late = np.array(stamps[200:]) - (5.0 + 0.02 * np.arange(200, 1000))
    assert np.abs(late + 0.023).max() < 0.002


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
