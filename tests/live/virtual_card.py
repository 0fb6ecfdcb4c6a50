"""A sound card without a sound card: a private PulseAudio server, and ALSA pointed at it.

Microphone and speaker are the two channels of one null sink, so one recording of its monitor has
both, sample by sample: what the microphone heard on the right, what the speaker played on the left.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from ncodec.live.devices import realtime

ROOT = Path(__file__).resolve().parents[2]
RATE = 24000
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "formats")]),
    "OMP_NUM_THREADS": "1",
}
TOOLS = ("pulseaudio", "pactl", "paplay", "parec")

ALSA = """
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def remap(kind, name, channel):
    master = {"sink": "card", "source": "card.monitor"}[kind]
    return (
        f"module-remap-{kind} {kind}_name={name} master={master} channels=1 channel_map=mono "
        f"master_channel_map={channel} remix=no"
    )


MODULES = (
    "module-native-protocol-unix",
    f"module-null-sink sink_name=card rate={RATE} channels=2 channel_map=front-left,front-right "
    "format=float32le norewinds=1",
    remap("sink", "speaker", "front-left"),
    remap("sink", "mic_in", "front-right"),
    remap("source", "mic", "front-right"),
)


class VirtualCard:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="nclive"))
        self.folder.chmod(0o700)
        (self.folder / "asound.conf").write_text(ALSA)
        self.env = {
            **ENVIRONMENT,
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_SERVER": f"unix:{self.folder}/pulse/native",
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }
        self.plugged = True
        loads = [part for module in MODULES for part in ("-L", module)]
        self.server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--high-priority=yes",
             "--realtime=yes", "--disallow-exit=yes", *loads],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=(self.folder / "server.log").open("w"),
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.server.poll() is None:
            listed = self.pactl("list", "short", "sources")
            self._hurry()
            if listed.returncode == 0 and "\tmic\t" in listed.stdout:
                self.pactl("set-default-sink", "speaker", check=True)
                self.pactl("set-default-source", "mic", check=True)
                return
            time.sleep(0.1)
        raise RuntimeError(f"no sound server: {(self.folder / 'server.log').read_text()[-500:]}")

    def _hurry(self):
        """Let the server's threads run before others, where that is allowed, as rtkit would."""
        with suppress(OSError):
            for thread in Path(f"/proc/{self.server.pid}/task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(5))

    def close(self):
        self.server.terminate()
        self.server.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def pactl(self, *args, check=False):
        return subprocess.run(
            ["pactl", *args], env=self.env, capture_output=True, text=True, timeout=10, check=check
        )

    def block(self):
        """Return how many seconds the card plays at once.

        A null sink gives its monitor a whole block at the moment when it begins to play it, so by
        the time stamps microphone and speaker are this much further apart than they are.
        """
        listed = self.pactl("list", "sinks", check=True).stdout
        return int(re.search(r"Name: card\n.*?configured (\d+) usec", listed, re.S).group(1)) / 1e6

    def unplug(self):
        """Take speaker and microphone away, as pulling a USB plug does."""
        for module in ("module-remap-source", "module-remap-sink", "module-null-sink"):
            self.pactl("unload-module", module, check=True)
        self.plugged = False

    def plug(self):
        for module in MODULES[1:]:
            self.pactl("load-module", *module.split(), check=True)
        self._wait()
        self.plugged = True

    def ncodec(self, *args, **options):
        """Start the command line on this card."""
        command = [sys.executable, "-m", "ncodec_cli", *map(str, args)]
        for name in ("stdin", "stdout", "stderr"):
            options.setdefault(name, subprocess.PIPE)
        return subprocess.Popen(command, env=self.env, cwd=ROOT, **options)

    def start(self, *command, **options):
        """Start a helper that must not be late: it is not what is tested."""
        with realtime():
            return subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, **options)

    def speak(self, x):
        """Play samples `[T]` into the microphone; return the process that does."""
        path = self.folder / "say.raw"
        np.asarray(x, "<f4").tofile(path)
        return self.start(
            "paplay", "-d", "mic_in", "--raw", f"--rate={RATE}", "--channels=1",
            "--format=float32le", "--latency-msec=200", str(path),
        )  # fmt: skip


class Ear:
    """Record both sides of the card while the block lasts: `mic` and `speaker`, `[T]` each."""

    def __init__(self, card):
        self.path = card.folder / "heard.raw"
        self.card = card

    def __enter__(self):
        self.process = self.card.start(
            "parec", "-d", "card.monitor", "--raw", f"--rate={RATE}", "--channels=2",
            "--format=float32le", "--latency-msec=100", stdout=self.path.open("wb"),
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        heard = np.fromfile(self.path, "<f4")
        self.speaker, self.mic = heard[: heard.size // 2 * 2].reshape(-1, 2).T
