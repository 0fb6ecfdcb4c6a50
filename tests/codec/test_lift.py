"""Quiet recordings are coded louder, and come back at their own level."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import ncodec
from ncodec.codec.lift import lift_db
from ncodec.models.spectral import SpectralCodec
from ncodec_formats import EcdcReader

RATE = 24000


def noise(db: float, seconds: float = 1.0) -> np.ndarray:
    """Noise of `db` dBFS whose peaks stay below 12 dB above that, then as much silence."""
    x = np.random.default_rng(0).uniform(-1, 1, int(seconds * RATE)) * 3**0.5 * 10 ** (db / 20)
    return np.concatenate([x, np.zeros_like(x)]).astype(np.float32)


def wav(x: np.ndarray, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, x, RATE, format="WAV", subtype=subtype)
    return file.getvalue()


def lift_of(source: object) -> int:
    return lift_db(source, raw=None, allow_truncated=False, name=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("db", "want"), [(-70, 40), (-42.5, 20), (-28.5, 6), (-27.5, 0), (-12, 0), (-90, 0)]
)
def test_sound_is_brought_to_one_level_and_silence_does_not_count(db: float, want: int) -> None:
    assert lift_of(wav(noise(db))) == want


def test_peaks_bound_the_lift() -> None:
    x = noise(-45)
    x[500] = 0.1
    assert lift_of(wav(x)) == 16  # 0.7 / 0.1 is 16.9 dB
    x[500] = 0.5
    assert lift_of(wav(x)) == 0


def test_the_source_is_set_back_and_pipes_are_left_alone(tmp_path: Path) -> None:
    data = wav(noise(-45))
    file = io.BytesIO(b"junk" + data)
    file.seek(4)
    assert lift_of(file) == 23
    assert file.tell() == 4
    (tmp_path / "x.wav").write_bytes(data)
    assert lift_of(tmp_path / "x.wav") == 23

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    assert lift_of(Pipe(data)) == 0


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_a_quiet_file_comes_back_at_its_level(kind: str) -> None:
    x = noise(-42)
    audio = x if kind == "float32" else np.round(x * 32767).astype(np.int16)
    quiet, plain = io.BytesIO(), io.BytesIO()
    ncodec.write(quiet, audio, RATE)
    ncodec.write(plain, audio, RATE, lift=False)
    gains: list[float] = []
    for file in (quiet, plain):
        file.seek(0)
        gains.append(EcdcReader(file).header.gain_db)
        file.seek(0)
        back = ncodec.read(file)[0][:RATE]
        assert abs(10 * np.log10(np.mean(back**2) / np.mean(x[:RATE] ** 2))) < 2
    assert gains == [-20, 0]


def test_other_families_code_what_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpectralCodec, "lifts_quiet", False)
    file = io.BytesIO()
    ncodec.write(file, noise(-42), RATE, gain_db=3)
    file.seek(0)
    assert EcdcReader(file).header.gain_db == 3
