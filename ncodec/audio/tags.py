"""Tags of audio files as Vorbis comments: pairs of a key in lower case and a value.

`comments` reads and writes those of FLAC and Ogg, `id3` those of MP3; chunks are found here.
Keys are those of the Vorbis comment specification and of Picard's table of tag mappings.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from typing import BinaryIO

from ncodec.audio import chunks, comments, id3
from ncodec.audio.mp3 import id3_length
from ncodec.audio.source import Source, View
from ncodec.audio.wav import MAX_TEXT_CHUNK, WavHeader, list_texts
from ncodec.errors import counted

Tags = tuple[tuple[str, str], ...]

MAX_VALUE = 4096
"""Bytes of the longest value that is carried over: texts of songs are longer."""
MAX_TAGS = 1 << 15
"""Bytes of all tags together: a header is read whole before a stream can begin."""

_DROPPED = re.compile(
    r"encoder(_options)?|software|encoding_?settings|tool|vendor_id|handler_name|major_brand|"
    r"minor_version|compatible_brands|creation_time|duration|bps|number_of_(frames|bytes)|"
    r"_statistics_.*|itunsmpb|itunnorm|itunes_cddb.*|gapless_playback|metadata_block_picture|"
    r"coverart.*|waveformatextensible_channel_mask|id3v2_priv.*|timecode|iTunes.*"
)
MASK_KEY = "waveformatextensible_channel_mask"

_FROM_FFMPEG = {"track": "tracknumber", "disc": "discnumber", "album_artist": "albumartist"}
_ID3 = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "date": "TDRC",
    "tracknumber": "TRCK",
    "discnumber": "TPOS",
    "genre": "TCON",
    "albumartist": "TPE2",
    "composer": "TCOM",
    "conductor": "TPE3",
    "lyricist": "TEXT",
    "copyright": "TCOP",
    "organization": "TPUB",
    "isrc": "TSRC",
    "language": "TLAN",
    "bpm": "TBPM",
    "grouping": "TIT1",
    "subtitle": "TIT3",
    "encoded-by": "TENC",
    "mood": "TMOO",
    "media": "TMED",
    "compilation": "TCMP",
    "titlesort": "TSOT",
    "artistsort": "TSOP",
    "albumsort": "TSOA",
    "originaldate": "TDOR",
}
_ID3_KEYS = {frame: key for key, frame in _ID3.items()}
_INFO = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "genre": b"IGNR",
    "comment": b"ICMT",
    "tracknumber": b"ITRK",
    "copyright": b"ICOP",
    "language": b"ILNG",
    "composer": b"IMUS",
    "publisher": b"IPUB",
}
_INFO_KEYS = {name: key for key, name in _INFO.items()} | {b"IPRT": "tracknumber"}
_TOTALS = {"tracknumber": "tracktotal", "discnumber": "disctotal"}


def merge_tags(first: Tags, second: Tags) -> Tags:
    """Return `first` and what `second` has under other keys."""
    have = {key.lower() for key, _ in first}
    return first + tuple((key, value) for key, value in second if key.lower() not in have)


def of_file(source: Source, base: int, end: int, kind: str, view: View | None = None) -> Tags:
    """Read the tags of "flac", "vorbis", "opus", "mp3" or "aiff"; others have none here.

    What has no room in a header is left out, and a note says so.
    """
    if kind not in _READERS or not source.with_tags:
        return ()
    file = view or View(source, (base, end))
    pairs = _guarded(source, lambda: _READERS[kind](source, file))
    return clean(pairs, source)


def of_wav(source: Source, header: WavHeader, data_at: int = 0, end: int = 0) -> Tags:
    """Read the tags before the samples, and in a file that can seek those behind them."""
    if not source.with_tags:
        return ()
    chunks, skipped = list(header.texts), header.skipped_texts
    at = data_at + (header.data_bytes or 0)
    at += at - data_at & 1
    while header.data_bytes is not None and data_at < at + 8 <= end:
        name, size = struct.unpack("<4sI", source.at(at, 8))
        if name in (b"LIST", b"id3 ", b"ID3 "):
            if size <= MAX_TEXT_CHUNK:
                chunks.append((name, source.take(size)))
            else:
                skipped = True
        at += 8 + size + size % 2
    if skipped:
        source.note(f"tags of over {MAX_TEXT_CHUNK >> 20} MiB, with pictures it seems, left out")
    info: list[tuple[str, str]] = []
    id3: Tags = ()
    for name, body in chunks:
        if name == b"LIST":
            info += [
                (_INFO_KEYS[item], _text(text))
                for item, text in list_texts(body)
                if item in _INFO_KEYS
            ]
        else:
            id3 += tuple(_guarded(source, lambda body=body: _from_id3(source, body)))
    return clean(merge_tags(id3, tuple(info)), source)


def of_ffprobe(groups: Iterable[dict[str, str]], source: Source) -> Tags:
    """Turn the names that ffmpeg gives to tags of any format into ours."""
    found: Tags = ()
    for group in groups:
        pairs: list[tuple[str, str]] = []
        for name, value in group.items():
            key = _FROM_FFMPEG.get(name.lower(), name.lower())
            if not re.search(r"-[a-z]{3}$", key):  # "comment-eng": said a second time
                pairs += _split(key, value)
        found = merge_tags(found, tuple(pairs))
    return clean(found, source)


def of_flac(source: Source, base: int, end: int) -> tuple[Tags, int | None]:
    """Read the tags of a FLAC file, and the speakers where its comments name them."""
    file = View(source, (base, end))
    pairs = _guarded(source, lambda: _read_flac(source, file))
    for key, value in pairs:
        if key.lower() == MASK_KEY and re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", value.strip()):
            return clean(pairs, source), int(value, 16)
    return clean(pairs, source), None


def clean(pairs: Iterable[tuple[str, str]], source: Source) -> Tags:
    """Return what a header can hold; what is left out is noted."""
    kept: list[tuple[str, str]] = []
    room = MAX_TAGS
    for name, text in pairs:
        key = name.lower().strip()
        value = _speakable(text).strip()
        size = len(value.encode())
        if not key or not value or _DROPPED.fullmatch(key) or (key, value) == ("language", "und"):
            continue
        if len(key) > 64 or not all(" " <= letter <= "}" and letter != "=" for letter in key):
            source.note(f"tag {key[:32]!r} left out: names are ASCII, of at most 64 letters")
        elif size > MAX_VALUE or size > room:
            source.note(f"tag {key!r} left out: {size} bytes")
        elif (key, value) not in kept:
            kept.append((key, value))
            room -= size + len(key)
    return tuple(kept)


def writable(tags: Tags) -> Tags:
    """Return tags that any format takes: without NUL, and in Unicode that is whole."""
    return tuple((_speakable(key), _speakable(value)) for key, value in tags)


def _speakable(text: str) -> str:
    return text.replace("\0", " ").encode(errors="replace").decode()


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _split(key: str, value: str) -> list[tuple[str, str]]:
    """Take 3/12 apart where a number and a total are meant."""
    number, slash, total = value.partition("/")
    if key in _TOTALS and slash:
        return [(key, number.strip()), (_TOTALS[key], total.strip())]
    return [(key, value)]


def _guarded(source: Source, read: Callable[[], list[tuple[str, str]]]) -> list[tuple[str, str]]:
    try:
        return read()
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - broken tags must not keep the sound from being read
        source.note(f"its tags cannot be read ({' '.join(str(error).split())[:80]})")
        return []


def _pictures(source: Source, count: int) -> None:
    if count:
        source.note(f"{counted(count, 'picture')} left out")


def _read_comments(
    source: Source, pairs: list[tuple[str, str]], pictures: int = 0
) -> list[tuple[str, str]]:
    count = sum(key.lower() in ("metadata_block_picture", "coverart") for key, _ in pairs)
    _pictures(source, pictures + count)
    return pairs


def _read_flac(source: Source, file: View) -> list[tuple[str, str]]:
    return _read_comments(source, *comments.of_flac(file))


def _read_vorbis(source: Source, file: View) -> list[tuple[str, str]]:
    return _read_comments(source, comments.of_ogg(file, "vorbis"))


def _read_opus(source: Source, file: View) -> list[tuple[str, str]]:
    return _read_comments(source, comments.of_ogg(file, "opus"))


def _read_mp3(source: Source, file: View) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for read in (_read_id3, _read_ape):
        found = _guarded(source, lambda r=read: r(source, file))
        pairs = list(merge_tags(tuple(pairs), tuple(found)))
    return pairs


def _read_id3(source: Source, file: View) -> list[tuple[str, str]]:
    """Read the tag of version 2 at the beginning, else that of version 1 at the end."""
    file.seek(0)
    head = file.read(10)
    length = id3_length(head)
    if length > comments.MAX_READ:
        raise ValueError(f"over {comments.MAX_READ >> 20} MiB of tags")
    if length:
        return _from_id3(source, head + file.read(length - 10))
    file.seek(max(0, file.length - 128))
    old = file.read(128)
    return _pairs_of(id3.read_old(old)) if old[:3] == b"TAG" and len(old) == 128 else []


def _read_aiff(source: Source, file: View) -> list[tuple[str, str]]:
    return _from_id3(source, chunks.chunk(source, file.in_source(), "aiff", b"id3 "))


def _read_caf(source: Source, file: View) -> list[tuple[str, str]]:
    body = chunks.chunk(source, file.in_source(), "caf", b"info")
    texts = [text.decode(errors="replace") for text in body[4:].split(b"\0")]
    return list(zip(texts[::2], texts[1::2], strict=False))


def _read_ape(source: Source, file: View) -> list[tuple[str, str]]:
    names = {"track": "tracknumber", "disc": "discnumber", "year": "date"}
    file.seek(max(0, file.length - 160))
    tail = file.read(160)
    old = 128 if tail[-128:-125] == b"TAG" else 0
    foot = tail[len(tail) - old - 32 : len(tail) - old]
    if foot[:8] != b"APETAGEX":
        return []
    size = int.from_bytes(foot[12:16], "little")
    if size > comments.MAX_READ:
        raise ValueError(f"over {comments.MAX_READ >> 20} MiB of tags")
    file.seek(max(0, file.length - old - size))
    pairs: list[tuple[str, str]] = []
    for key, texts in id3.read_ape(file.read(size - 32)):
        plain = key.lower().replace("album artist", "albumartist")
        for text in texts:
            pairs += _split(names.get(plain, plain), text)
    return pairs


def _from_id3(source: Source, tag: bytes) -> list[tuple[str, str]]:
    frames, pictures = id3.read(tag) if id3_length(tag[:10]) else ([], 0)
    _pictures(source, pictures)
    return _pairs_of(frames)


def _pairs_of(frames: list[id3.Frame]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for frame in frames:
        key = _ID3_KEYS.get(frame.name)
        if frame.name == "TXXX":
            pairs += [(frame.label, text) for text in frame.texts]
        elif frame.name == "COMM" and not frame.label.startswith("iTun"):
            pairs += [("comment", text) for text in frame.texts]
        elif frame.name == "USLT":
            pairs += [("lyrics", text) for text in frame.texts]
        elif key is not None:
            for text in frame.texts:
                pairs += _split(key, text)
    return sorted(pairs, key=lambda pair: list(_ID3).index(pair[0]) if pair[0] in _ID3 else 99)


_READERS: dict[str, Callable[[Source, View], list[tuple[str, str]]]] = {
    "flac": _read_flac,
    "vorbis": _read_vorbis,
    "opus": _read_opus,
    "mp3": _read_mp3,
    "aiff": _read_aiff,
    "caf": _read_caf,
}


def wav_chunks(tags: Tags) -> bytes:
    """Return tags as chunks of a WAV: LIST, and id3 where some have no name there."""
    items = b""
    for key, value in joined(tags):
        name = _INFO.get(key)
        if name is not None:
            text = value.encode() + b"\0"
            items += struct.pack("<4sI", name, len(text)) + text + b"\0" * (len(text) % 2)
    chunks = struct.pack("<4sI4s", b"LIST", 4 + len(items), b"INFO") + items if items else b""
    if any(key.lower() not in _INFO for key, _ in tags):
        body = id3.write(_to_id3(tags))
        chunks += struct.pack("<4sI", b"id3 ", len(body)) + body + b"\0" * (len(body) % 2)
    return chunks


def _by_key(tags: Tags) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for key, value in tags:
        values.setdefault(key.lower(), []).append(value)
    for number, total in _TOTALS.items():
        if number in values and total in values:
            values[number] = [f"{values[number][0]}/{values.pop(total)[0]}"]
    return values


def joined(tags: Tags) -> list[tuple[str, str]]:
    """Return one value a key: several stand behind each other with a semicolon, 3 of 9 as 3/9."""
    values = _by_key(tags)
    return [(key, "; ".join(texts)) for key, texts in values.items()]


def write_tags(file: BinaryIO, container: str, tags: Tags) -> bool:
    """Put tags into a whole file that can seek; False if its format holds none here."""
    if container == "mp3":
        comments.replace(file, 0, 0, id3.write(_to_id3(tags)))
    elif container in ("aiff", "aif"):
        chunks.append_chunk(file, "aiff", b"ID3 ", id3.write(_to_id3(tags)))
    elif container == "caf":
        texts = [f"{key}\0{value}\0".encode() for key, value in joined(tags)]
        chunks.append_chunk(file, "caf", b"info", len(texts).to_bytes(4, "big") + b"".join(texts))
    elif container in comments.PUT:
        pairs = [(re.sub(r"[^ -}]|=", "_", key).upper(), value) for key, value in tags]
        comments.PUT[container](file, pairs)
    else:
        return False
    return True


def _to_id3(tags: Tags) -> list[id3.Frame]:
    special = {"comment": "COMM", "description": "COMM", "lyrics": "USLT"}
    frames: list[id3.Frame] = []
    for key, texts in _by_key(tags).items():
        name = _ID3.get(key) or special.get(key) or "TXXX"
        held = ("\n".join(texts),) if name == "USLT" else tuple(texts)
        frames.append(id3.Frame(name, held, key if name == "TXXX" else ""))
    return frames
