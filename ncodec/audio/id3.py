"""ID3 tags: versions 2.2, 2.3, 2.4 and 1 are read, 2.4 is written. APEv2 tags are read.

After the specifications on id3.org and the APEv2 specification; the genres from 80 on are Winamp's.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_GENRE_NAMES = (
    "Blues|Classic Rock|Country|Dance|Disco|Funk|Grunge|Hip-Hop|Jazz|Metal|New Age|Oldies|Other|"
    "Pop|R&B|Rap|Reggae|Rock|Techno|Industrial|Alternative|Ska|Death Metal|Pranks|Soundtrack|"
    "Euro-Techno|Ambient|Trip-Hop|Vocal|Jazz+Funk|Fusion|Trance|Classical|Instrumental|Acid|"
    "House|Game|Sound Clip|Gospel|Noise|Alt. Rock|Bass|Soul|Punk|Space|Meditative|"
    "Instrumental Pop|Instrumental Rock|Ethnic|Gothic|Darkwave|Techno-Industrial|Electronic|"
    "Pop-Folk|Eurodance|Dream|Southern Rock|Comedy|Cult|Gangsta Rap|Top 40|Christian Rap|"
    "Pop/Funk|Jungle|Native American|Cabaret|New Wave|Psychedelic|Rave|Showtunes|Trailer|Lo-Fi|"
    "Tribal|Acid Punk|Acid Jazz|Polka|Retro|Musical|Rock & Roll|Hard Rock|Folk|Folk-Rock|"
    "National Folk|Swing|Fast-Fusion|Bebop|Latin|Revival|Celtic|Bluegrass|Avantgarde|Gothic Rock|"
    "Progressive Rock|Psychedelic Rock|Symphonic Rock|Slow Rock|Big Band|Chorus|Easy Listening|"
    "Acoustic|Humour|Speech|Chanson|Opera|Chamber Music|Sonata|Symphony|Booty Bass|Primus|"
    "Porn Groove|Satire|Slow Jam|Club|Tango|Samba|Folklore|Ballad|Power Ballad|Rhythmic Soul|"
    "Freestyle|Duet|Punk Rock|Drum Solo|A Cappella|Euro-House|Dance Hall|Goa|Drum & Bass|"
    "Club-House|Hardcore|Terror|Indie|BritPop|Afro-Punk|Polsk Punk|Beat|Christian Gangsta Rap|"
    "Heavy Metal|Black Metal|Crossover|Contemporary Christian|Christian Rock|Merengue|Salsa|"
    "Thrash Metal|Anime|JPop|Synthpop|Abstract|Art Rock|Baroque|Bhangra|Big Beat|Breakbeat|"
    "Chillout|Downtempo|Dub|EBM|Eclectic|Electro|Electroclash|Emo|Experimental|Garage|Global|IDM|"
    "Illbient|Industro-Goth|Jam Band|Krautrock|Leftfield|Lounge|Math Rock|New Romantic|Nu-Breakz|"
    "Post-Punk|Post-Rock|Psytrance|Shoegaze|Space Rock|Trop Rock|World Music|Neoclassical|"
    "Audiobook|Audio Theatre|Neue Deutsche Welle|Podcast|Indie Rock|G-Funk|Dubstep|Garage Rock|"
    "Psybient"
)
_GENRES = _GENRE_NAMES.split("|")
_SHORT = {
    "TT1": "TIT1", "TT2": "TIT2", "TT3": "TIT3", "TP1": "TPE1", "TP2": "TPE2", "TP3": "TPE3",
    "TAL": "TALB", "TYE": "TYER", "TDA": "TDAT", "TRK": "TRCK", "TPA": "TPOS", "TCO": "TCON",
    "TCM": "TCOM", "TXT": "TEXT", "TCR": "TCOP", "TPB": "TPUB", "TRC": "TSRC", "TLA": "TLAN",
    "TBP": "TBPM", "TEN": "TENC", "TMT": "TMED", "TCP": "TCMP", "TST": "TSOT", "TSP": "TSOP",
    "TSA": "TSOA", "TOR": "TORY", "COM": "COMM", "ULT": "USLT", "TXX": "TXXX",
}  # fmt: skip
"""Names of version 2.2, and what they became."""
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_MOST = 1 << 24  # bytes of a frame that is unpacked


@dataclass(frozen=True)
class Frame:
    """A frame of text.

    Attributes:
        name: as in version 2.4, such as "TIT2".
        texts: its values; genres by their names.
        label: what tells frames of one name apart, of TXXX, COMM and USLT.
    """

    name: str
    texts: tuple[str, ...]
    label: str = ""


def read(tag: bytes) -> tuple[list[Frame], int]:
    """Return the frames of text of a tag of version 2, and how many pictures it has.

    Frames that cannot be read are passed over, as all other players do.
    """
    version, flags = tag[3], tag[5]
    body = tag[10 : 10 + _synchsafe(tag[6:10])]
    if flags & 0x80 and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    if flags & 0x40 and version > 2:
        size = _synchsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")
        body = body[size:]
    frames: list[Frame] = []
    pictures = 0
    for name, data in _frames(body, version, whole=bool(flags & 0x80)):
        pictures += name in ("APIC", "PIC")
        frame = _text(_SHORT.get(name, name), data) if data else None
        if frame is not None:
            frames.append(frame)
    return _with_dates(frames), pictures


def read_old(tag: bytes) -> list[Frame]:
    """Return the frames that stand for the 128 bytes of a tag of version 1."""
    parts = {"TIT2": tag[3:33], "TPE1": tag[33:63], "TALB": tag[63:93], "TDRC": tag[93:97]}
    comment = tag[97:127]
    if not comment[28] and comment[29]:
        parts["TRCK"], comment = str(comment[29]).encode(), comment[:28]
    parts["COMM"] = comment
    if tag[127] < len(_GENRES):
        parts["TCON"] = _GENRES[tag[127]].encode()
    texts = {name: part.split(b"\0")[0].decode("latin-1").strip() for name, part in parts.items()}
    return [Frame(name, (text,)) for name, text in texts.items() if text]


def write(frames: list[Frame]) -> bytes:
    """Return a tag of version 2.4, in UTF-8."""
    body = b""
    for frame in frames:
        head = b"\3" + (b"XXX" if frame.name in ("COMM", "USLT") else b"")
        if frame.name in ("COMM", "USLT", "TXXX"):
            head += frame.label.encode() + b"\0"
        data = head + "\0".join(frame.texts).encode()
        body += frame.name.encode() + _to_synchsafe(len(data)) + b"\0\0" + data
    return b"ID3\4\0\0" + _to_synchsafe(len(body)) + body


def read_ape(tag: bytes) -> Iterator[tuple[str, list[str]]]:
    """Walk over the texts of the items of an APEv2 tag: their names and values.

    Raises:
        ValueError: an item ends behind the tag.
    """
    at = 0
    while at + 8 < len(tag):
        size, flags = struct.unpack_from("<II", tag, at)
        stop = tag.find(b"\0", at + 8)
        if stop < 0 or stop + 1 + size > len(tag):
            raise ValueError("an item of APEv2 is cut short")
        if not flags >> 1 & 3:
            value = tag[stop + 1 : stop + 1 + size].decode(errors="replace")
            yield tag[at + 8 : stop].decode("latin-1"), value.split("\0")
        at = stop + 1 + size


def _synchsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _to_synchsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _frames(body: bytes, version: int, *, whole: bool) -> Iterator[tuple[str, bytes]]:
    """Walk over frames; `whole`: bytes were put between those that look like MPEG audio."""
    width = 3 if version == 2 else 4
    head = 6 if version == 2 else 10
    at = 0
    while at + head <= len(body) and re.fullmatch(rb"[A-Z0-9]+ ?", body[at : at + width]):
        name = body[at : at + width].decode().strip()
        size = _frame_size(body, at, version)
        data = body[at + head : at + head + size]
        flags = body[at + 9] if version > 2 else 0
        yield name, _plain(data, flags, version, whole=whole)
        at += head + size


def _frame_size(body: bytes, at: int, version: int) -> int:
    if version == 2:
        return int.from_bytes(body[at + 3 : at + 6], "big")
    field = body[at + 4 : at + 8]
    plain = int.from_bytes(field, "big")
    if version == 3:
        return plain
    size = _synchsafe(field)
    # Some write version 2.4 with sizes as in 2.3: then the next frame stands there.
    following = body[at + 10 + size : at + 14 + size]
    if size != plain and following and not re.match(rb"[A-Z0-9]{4}|\0", following):
        return plain
    return size


def _plain(data: bytes, flags: int, version: int, *, whole: bool) -> bytes:
    """Undo what the flags of a frame say was done to it; nothing is left of encrypted ones."""
    packed, secret, group = (0x80, 0x40, 0x20) if version == 3 else (0x08, 0x04, 0x40)
    if flags & secret:
        return b""
    if flags & group:
        data = data[1:]
    if flags & (packed if version == 3 else 0x01):
        data = data[4:]
    if version == 4 and (flags & 0x02 or whole):
        data = data.replace(b"\xff\0", b"\xff")
    if flags & packed:
        try:
            return zlib.decompressobj().decompress(data, _MOST)
        except zlib.error:
            return b""
    return data


def _text(name: str, data: bytes) -> Frame | None:
    if not (name[0] == "T" or name in ("COMM", "USLT")) or data[0] >= len(_ENCODINGS):
        return None
    languaged = name in ("COMM", "USLT")
    text = data[4 if languaged else 1 :].decode(_ENCODINGS[data[0]], errors="replace")
    texts = [part.removeprefix("\ufeff") for part in text.split("\0")]
    label = ""
    if languaged or name == "TXXX":
        label, texts = texts[0], texts[1:]
    texts = [part for part in texts if part]
    if name == "TCON":
        texts = [genre for part in texts for genre in _genres(part)]
    return Frame(name, tuple(texts), label) if texts else None


def _genres(text: str) -> list[str]:
    """Return the names that a text like (17)(RX)Rock or 17 stands for."""
    found = re.fullmatch(r"((?:\((?:\d+|RX|CR)\))*)(.*)", text, re.DOTALL)
    numbers = re.findall(r"\w+", found[1]) if found else []
    rest = (found[2] if found else text).replace("((", "(", 1)
    if rest.isdecimal() or rest in ("RX", "CR"):
        numbers, rest = [*numbers, rest], ""
    names = [
        {"RX": "Remix", "CR": "Cover"}.get(number)
        or (_GENRES[int(number)] if int(number) < len(_GENRES) else number)
        for number in numbers
    ]
    return [*names, *([rest] if rest and rest not in names else [])]


def _with_dates(frames: list[Frame]) -> list[Frame]:
    """Turn the dates of older versions, in parts, into those of 2.4."""
    first = {frame.name: frame.texts[0] for frame in reversed(frames)}
    added: list[Frame] = []
    if "TDRC" not in first and "TYER" in first:
        day = first.get("TDAT", "")
        rest = f"-{day[2:]}-{day[:2]}" if re.fullmatch(r"\d{4}", day) else ""
        added.append(Frame("TDRC", (first["TYER"] + rest,)))
    if "TDOR" not in first and "TORY" in first:
        added.append(Frame("TDOR", (first["TORY"],)))
    return frames + added
