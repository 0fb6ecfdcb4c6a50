"""Kinds of audio files: by the ending of a name, and by the first bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import PurePath

_OWN = "wav wave bwf rf64 w64 flac fla ogg oga opus mp3 mp2 mp1 mpga aif aiff aifc au snd caf voc"
_FOREIGN = (
    "m4a m4b m4r mp4 m4v mov 3gp 3g2 aac adts webm mkv mka mk3d weba wv tta ape tak mpc wma wmv "
    "asf avi ts m2ts mts mpg mpeg vob flv f4v amr awb ac3 eac3 ec3 dts ogv ogx spx ra rm rmvb dsf "
    "dff shn mxf thd"
)
FFMPEG_SUFFIXES = frozenset(f".{ending}" for ending in _FOREIGN.split())
"""Endings of audio, and of video with sound, that are read by way of ffmpeg."""

AUDIO_SUFFIXES = frozenset(f".{ending}" for ending in _OWN.split()) | FFMPEG_SUFFIXES
"""Endings, in lower case and with the dot, by which a folder's audio files are known."""


def is_audio_name(path: str | os.PathLike[str]) -> bool:
    """Say whether a file in a folder is audio by its name.

    Hidden files are not, the ._x that macOS leaves beside x on foreign disks among them.
    """
    name = PurePath(path).name
    return not name.startswith(".") and PurePath(name).suffix.lower() in AUDIO_SUFFIXES


def needs_ffmpeg(path: str | os.PathLike[str]) -> bool:
    """Say by its name whether a file is read by way of ffmpeg."""
    return PurePath(path).suffix.lower() in FFMPEG_SUFFIXES


def ffmpeg_is_here() -> bool:
    """Say whether there is an ffmpeg on the PATH."""
    return shutil.which("ffmpeg") is not None


# (offset, bytes, kind); the kinds without a name for people are read by libsndfile.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"dns.", "au"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"wvpk", "wavpack"),
    (0, b"TTA1", "tta"),
    (0, b"TTA2", "tta"),
    (0, b"MAC ", "ape"),
    (0, b"tBaK", "tak"),
    (0, b"MP+", "musepack"),
    (0, b"MPCK", "musepack"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"FLV\x01", "flv"),
    (0, b"#!AMR", "amr"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    (0, b"\0\0\1\xba", "mpeg"),
    (0, b"\0\0\1\xb3", "mpeg"),
    (0, b".RMF", "realmedia"),
    (0, b"DSD ", "dsf"),
    (0, b"FRM8", "dsf"),
    (0, b"ajkg", "shorten"),
    (0, b"ADIF", "aac"),
    (0, b"\xec\xdc", "ecdc"),
    (0, b"ECDC", "ecdc"),
    (0, b"MThd", "midi"),
    (0, b"#EXTM3U", "playlist"),
    (0, b"[playlist]", "playlist"),
)

NAMES = {
    "mp4": "MP4 or M4A",
    "matroska": "Matroska or WebM",
    "aac": "AAC",
    "wavpack": "WavPack",
    "tta": "True Audio",
    "ape": "Monkey's Audio",
    "tak": "TAK",
    "musepack": "Musepack",
    "asf": "WMA or WMV",
    "avi": "AVI",
    "flv": "Flash video",
    "amr": "AMR",
    "ac3": "AC-3",
    "dts": "DTS",
    "mpeg": "MPEG video",
    "mpegts": "an MPEG transport stream",
    "realmedia": "RealMedia",
    "dsf": "DSD",
    "shorten": "Shorten",
}
"""What people call the kinds that ffmpeg reads and libsndfile does not."""

NO_AUDIO = {
    "ecdc": "an .ecdc file, coded already: decompress makes audio of it",
    "midi": "MIDI: notes, no sound",
    "playlist": "a playlist; give the files that it names",
}
"""What is told of files that are taken for audio now and then."""


def sniff(start: bytes) -> str | None:
    """Return the kind of a file by its first bytes (189 tell all), None where they say nothing."""
    for offset, magic, kind in _MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return kind
    return _sniff_more(start)


def _sniff_more(start: bytes) -> str | None:
    if start[:4] in (b"RIFF", b"RF64", b"BW64"):
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(start[8:12])
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if start[:1] == b"\x47" and start[188:189] == b"\x47":
        return "mpegts"
    if start[:1] == b"\xff" and len(start) > 2:
        # Layer 0 of MPEG audio is ADTS's AAC.
        if start[1] & 0xF6 == 0xF0:
            return "aac"
        if start[1] & 0xE0 == 0xE0 and start[1] & 0x18 != 0x08:
            return "mp3"
    return None
