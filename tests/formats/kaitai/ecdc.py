# ruff: noqa
# fmt: off
# pyright: basic
# sha256 of ecdc.ksy: a3079c17da71ea4c87e337c02a055b45db3185da95dfa7a6eebe9585514e9cae
# This is a generated file! Please edit source .ksy file and use kaitai-struct-compiler to rebuild
# type: ignore

import kaitaistruct
from kaitaistruct import KaitaiStruct, KaitaiStream, BytesIO
from enum import IntEnum


if getattr(kaitaistruct, 'API_VERSION', (0, 9)) < (0, 11):
    raise Exception("Incompatible Kaitai Struct Python API: 0.11 or later is required, but you have %s" % (kaitaistruct.__version__))

class Ecdc(KaitaiStruct):
    """One link of an ECDC file, after SPEC.md. The header's keys must stand in the order in which they are
    written; layers must be packed bits, or predicted ones with packed ones above. Checks are read, not
    compared, and what is predicted is not decoded.
    """

    class PacketType(IntEnum):
        codes = 0
        end = 1
        index = 2
        redundancy = 3
        gap = 4
    def __init__(self, _io, _parent=None, _root=None):
        super(Ecdc, self).__init__(_io)
        self._parent = _parent
        self._root = _root or self
        self._read()

    def _read(self):
        self.header = Ecdc.Header(self._io, self, self._root)
        self.packets = []
        i = 0
        while True:
            _ = Ecdc.Packet(self._io, self, self._root)
            self.packets.append(_)
            if _.type == Ecdc.PacketType.end:
                break
            i += 1
        if (not (self._io.is_eof())):
            pass
            self.tail = Ecdc.Tail(self._io, self, self._root)



    def _fetch_instances(self):
        pass
        self.header._fetch_instances()
        for i in range(len(self.packets)):
            pass
            self.packets[i]._fetch_instances()

        if (not (self._io.is_eof())):
            pass
            self.tail._fetch_instances()

        _ = self.kinds
        if hasattr(self, '_m_kinds'):
            pass
            self._m_kinds._fetch_instances()


    class Codes(KaitaiStruct):
        def __init__(self, kind, _io, _parent=None, _root=None):
            super(Ecdc.Codes, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self.kind = kind
            self._read()

        def _read(self):
            self.sequence = Ecdc.Varint(self._io, self, self._root)
            if self.kind & 16 != 0:
                pass
                self.first_frame_given = Ecdc.Varint(self._io, self, self._root)

            if self.kind & 32 != 0:
                pass
                self.frames_given = Ecdc.Varint(self._io, self, self._root)

            if self.kind & 64 != 0:
                pass
                self.layers_given = Ecdc.Varint(self._io, self, self._root)

            self.lengths = []
            for i in range((self.layers if self.layers < self._root.predicted else self._root.predicted)):
                self.lengths.append(Ecdc.Varint(self._io, self, self._root))

            if self.kind & 128 != 0:
                pass
                self.scales = []
                for i in range(self._root.streams):
                    self.scales.append(self._io.read_f4be())


            self.crc16 = self._io.read_u2be()
            self.runs = []
            for i in range(len(self._root.runs) // 2):
                self.runs.append(Ecdc.Run(i, self._io, self, self._root))



        def _fetch_instances(self):
            pass
            self.sequence._fetch_instances()
            if self.kind & 16 != 0:
                pass
                self.first_frame_given._fetch_instances()

            if self.kind & 32 != 0:
                pass
                self.frames_given._fetch_instances()

            if self.kind & 64 != 0:
                pass
                self.layers_given._fetch_instances()

            for i in range(len(self.lengths)):
                pass
                self.lengths[i]._fetch_instances()

            if self.kind & 128 != 0:
                pass
                for i in range(len(self.scales)):
                    pass


            for i in range(len(self.runs)):
                pass
                self.runs[i]._fetch_instances()


        @property
        def first_frame(self):
            if hasattr(self, '_m_first_frame'):
                return self._m_first_frame

            self._m_first_frame = (self.first_frame_given.value if self.kind & 16 != 0 else self.sequence.value * self._root.packet_frames)
            return getattr(self, '_m_first_frame', None)

        @property
        def frames(self):
            if hasattr(self, '_m_frames'):
                return self._m_frames

            self._m_frames = (self.frames_given.value if self.kind & 32 != 0 else self._root.packet_frames)
            return getattr(self, '_m_frames', None)

        @property
        def layers(self):
            """At most; 64 stands for all that the header has."""
            if hasattr(self, '_m_layers'):
                return self._m_layers

            self._m_layers = (self.layers_given.value if self.kind & 64 != 0 else 64)
            return getattr(self, '_m_layers', None)


    class End(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.End, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.len_payload = Ecdc.Varint(self._io, self, self._root)
            self.crc16 = self._io.read_u2be()
            self._raw_payload = self._io.read_bytes(self.len_payload.value)
            _io__raw_payload = KaitaiStream(BytesIO(self._raw_payload))
            self.payload = Ecdc.MsgpackMap(_io__raw_payload, self, self._root)
            self.crc32 = self._io.read_u4be()


        def _fetch_instances(self):
            pass
            self.len_payload._fetch_instances()
            self.payload._fetch_instances()


    class Find(KaitaiStruct):
        """Where the payload kinds stand in the header's map; -1 if nowhere."""
        def __init__(self, at, _io, _parent=None, _root=None):
            super(Ecdc.Find, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self.at = at
            self._read()

        def _read(self):
            pass


        def _fetch_instances(self):
            pass
            _ = self.next
            if hasattr(self, '_m_next'):
                pass
                self._m_next._fetch_instances()


        @property
        def beyond(self):
            if hasattr(self, '_m_beyond'):
                return self._m_beyond

            self._m_beyond = self.at >= len(self._root.header.map.entries)
            return getattr(self, '_m_beyond', None)

        @property
        def here(self):
            if hasattr(self, '_m_here'):
                return self._m_here

            self._m_here = (False if self.beyond else self._root.header.map.entries[self.at].key.text == u"k")
            return getattr(self, '_m_here', None)

        @property
        def next(self):
            if hasattr(self, '_m_next'):
                return self._m_next

            if (not ( ((self.beyond) or (self.here)) )):
                pass
                self._m_next = Ecdc.Find(self.at + 1, self._io, self, self._root)

            return getattr(self, '_m_next', None)

        @property
        def result(self):
            if hasattr(self, '_m_result'):
                return self._m_result

            self._m_result = (-1 if self.beyond else (self.at if self.here else self.next.result))
            return getattr(self, '_m_result', None)


    class Gap(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Gap, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.len_payload = Ecdc.Varint(self._io, self, self._root)
            self.crc16 = self._io.read_u2be()
            self.first_frame = Ecdc.Varint(self._io, self, self._root)
            self.frames = Ecdc.Varint(self._io, self, self._root)
            self.crc32 = self._io.read_u4be()


        def _fetch_instances(self):
            pass
            self.len_payload._fetch_instances()
            self.first_frame._fetch_instances()
            self.frames._fetch_instances()


    class Header(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Header, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.magic = self._io.read_bytes(4)
            if not self.magic == b"\x45\x43\x44\x43":
                raise kaitaistruct.ValidationNotEqualError(b"\x45\x43\x44\x43", self.magic, self._io, u"/types/header/seq/0")
            self.version = self._io.read_bytes(1)
            if not self.version == b"\x01":
                raise kaitaistruct.ValidationNotEqualError(b"\x01", self.version, self._io, u"/types/header/seq/1")
            self.len_map = self._io.read_u4be()
            self._raw_map = self._io.read_bytes(self.len_map)
            _io__raw_map = KaitaiStream(BytesIO(self._raw_map))
            self.map = Ecdc.MsgpackMap(_io__raw_map, self, self._root)
            self.crc32 = self._io.read_u4be()
            self.line_end = self._io.read_bytes(2)
            if not self.line_end == b"\x0D\x0A":
                raise kaitaistruct.ValidationNotEqualError(b"\x0D\x0A", self.line_end, self._io, u"/types/header/seq/5")


        def _fetch_instances(self):
            pass
            self.map._fetch_instances()


    class Index(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Index, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.len_payload = Ecdc.Varint(self._io, self, self._root)
            self.crc16 = self._io.read_u2be()
            self._raw_payload = self._io.read_bytes(self.len_payload.value)
            _io__raw_payload = KaitaiStream(BytesIO(self._raw_payload))
            self.payload = Ecdc.IndexPayload(_io__raw_payload, self, self._root)
            self.crc32 = self._io.read_u4be()


        def _fetch_instances(self):
            pass
            self.len_payload._fetch_instances()
            self.payload._fetch_instances()


    class IndexPayload(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.IndexPayload, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.len_area = Ecdc.Varint(self._io, self, self._root)
            self.len_header = Ecdc.Varint(self._io, self, self._root)
            self.runs = []
            i = 0
            while not self._io.is_eof():
                self.runs.append(Ecdc.IndexRun(self._io, self, self._root))
                i += 1



        def _fetch_instances(self):
            pass
            self.len_area._fetch_instances()
            self.len_header._fetch_instances()
            for i in range(len(self.runs)):
                pass
                self.runs[i]._fetch_instances()



    class IndexRun(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.IndexRun, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.count = Ecdc.Varint(self._io, self, self._root)
            self.frames = Ecdc.Varint(self._io, self, self._root)
            self.bytes = Ecdc.Varint(self._io, self, self._root)


        def _fetch_instances(self):
            pass
            self.count._fetch_instances()
            self.frames._fetch_instances()
            self.bytes._fetch_instances()


    class Layer(KaitaiStruct):
        def __init__(self, number, bits, _io, _parent=None, _root=None):
            super(Ecdc.Layer, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self.number = number
            self.bits = bits
            self._read()

        def _read(self):
            self.codes = self._io.read_bytes((self._parent._parent.lengths[self.number].value if self.is_predicted else self.packed_size))
            self.check = self._io.read_u1()


        def _fetch_instances(self):
            pass

        @property
        def is_predicted(self):
            if hasattr(self, '_m_is_predicted'):
                return self._m_is_predicted

            self._m_is_predicted = self.number < self._root.predicted
            return getattr(self, '_m_is_predicted', None)

        @property
        def packed_size(self):
            if hasattr(self, '_m_packed_size'):
                return self._m_packed_size

            self._m_packed_size = ((self._parent._parent.frames * self._root.streams) * self.bits + 7) // 8
            return getattr(self, '_m_packed_size', None)


    class Msgpack(KaitaiStruct):
        """The kinds of msgpack values that our keys have, and those that others may."""
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Msgpack, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.tag = self._io.read_u1()
            if self.tag == 204:
                pass
                self.u8 = self._io.read_u1()

            if self.tag == 205:
                pass
                self.u16 = self._io.read_u2be()

            if self.tag == 206:
                pass
                self.u32 = self._io.read_u4be()

            if self.tag == 207:
                pass
                self.u64 = self._io.read_u8be()

            if self.tag == 202:
                pass
                self.f32 = self._io.read_f4be()

            if self.tag == 203:
                pass
                self.f64 = self._io.read_f8be()

            if  ((self.tag == 196) or (self.tag == 217)) :
                pass
                self.len8 = self._io.read_u1()

            if  ((self.tag == 197) or (self.tag == 218) or (self.tag == 220)) :
                pass
                self.len16 = self._io.read_u2be()

            if self.is_text:
                pass
                self.text = (self._io.read_bytes((self.len8 if self.tag == 217 else (self.len16 if self.tag == 218 else self.tag & 31)))).decode(u"UTF-8")

            if  ((self.tag == 196) or (self.tag == 197)) :
                pass
                self.bytes = self._io.read_bytes((self.len8 if self.tag == 196 else self.len16))

            if  ((self.tag & 240 == 144) or (self.tag == 220)) :
                pass
                self.items = []
                for i in range((self.len16 if self.tag == 220 else self.tag & 15)):
                    self.items.append(Ecdc.Msgpack(self._io, self, self._root))




        def _fetch_instances(self):
            pass
            if self.tag == 204:
                pass

            if self.tag == 205:
                pass

            if self.tag == 206:
                pass

            if self.tag == 207:
                pass

            if self.tag == 202:
                pass

            if self.tag == 203:
                pass

            if  ((self.tag == 196) or (self.tag == 217)) :
                pass

            if  ((self.tag == 197) or (self.tag == 218) or (self.tag == 220)) :
                pass

            if self.is_text:
                pass

            if  ((self.tag == 196) or (self.tag == 197)) :
                pass

            if  ((self.tag & 240 == 144) or (self.tag == 220)) :
                pass
                for i in range(len(self.items)):
                    pass
                    self.items[i]._fetch_instances()



        @property
        def as_int(self):
            if hasattr(self, '_m_as_int'):
                return self._m_as_int

            self._m_as_int = (self.tag if self.tag <= 127 else (self.u8 if self.tag == 204 else (self.u16 if self.tag == 205 else (self.u32 if self.tag == 206 else self.u64))))
            return getattr(self, '_m_as_int', None)

        @property
        def is_text(self):
            if hasattr(self, '_m_is_text'):
                return self._m_is_text

            self._m_is_text =  ((self.tag & 224 == 160) or (self.tag == 217) or (self.tag == 218)) 
            return getattr(self, '_m_is_text', None)

        @property
        def is_true(self):
            if hasattr(self, '_m_is_true'):
                return self._m_is_true

            self._m_is_true = self.tag == 195
            return getattr(self, '_m_is_true', None)


    class MsgpackEntry(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.MsgpackEntry, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.key = Ecdc.Msgpack(self._io, self, self._root)
            self.value = Ecdc.Msgpack(self._io, self, self._root)


        def _fetch_instances(self):
            pass
            self.key._fetch_instances()
            self.value._fetch_instances()


    class MsgpackMap(KaitaiStruct):
        """A msgpack map."""
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.MsgpackMap, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.tag = self._io.read_u1()
            if self.tag == 222:
                pass
                self.count16 = self._io.read_u2be()

            self.entries = []
            for i in range((self.count16 if self.tag == 222 else self.tag & 15)):
                self.entries.append(Ecdc.MsgpackEntry(self._io, self, self._root))



        def _fetch_instances(self):
            pass
            if self.tag == 222:
                pass

            for i in range(len(self.entries)):
                pass
                self.entries[i]._fetch_instances()



    class Other(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Other, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.len_payload = Ecdc.Varint(self._io, self, self._root)
            self.crc16 = self._io.read_u2be()
            self.payload = self._io.read_bytes(self.len_payload.value)
            self.crc32 = self._io.read_u4be()


        def _fetch_instances(self):
            pass
            self.len_payload._fetch_instances()


    class Packet(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Packet, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.sync = self._io.read_bytes(2)
            if not self.sync == b"\xEC\xDC":
                raise kaitaistruct.ValidationNotEqualError(b"\xEC\xDC", self.sync, self._io, u"/types/packet/seq/0")
            self.kind = self._io.read_u1()
            _on = self.type
            if _on == Ecdc.PacketType.codes:
                pass
                self.body = Ecdc.Codes(self.kind, self._io, self, self._root)
            elif _on == Ecdc.PacketType.end:
                pass
                self.body = Ecdc.End(self._io, self, self._root)
            elif _on == Ecdc.PacketType.gap:
                pass
                self.body = Ecdc.Gap(self._io, self, self._root)
            elif _on == Ecdc.PacketType.index:
                pass
                self.body = Ecdc.Index(self._io, self, self._root)
            else:
                pass
                self.body = Ecdc.Other(self._io, self, self._root)


        def _fetch_instances(self):
            pass
            _on = self.type
            if _on == Ecdc.PacketType.codes:
                pass
                self.body._fetch_instances()
            elif _on == Ecdc.PacketType.end:
                pass
                self.body._fetch_instances()
            elif _on == Ecdc.PacketType.gap:
                pass
                self.body._fetch_instances()
            elif _on == Ecdc.PacketType.index:
                pass
                self.body._fetch_instances()
            else:
                pass
                self.body._fetch_instances()

        @property
        def type(self):
            if hasattr(self, '_m_type'):
                return self._m_type

            self._m_type = KaitaiStream.resolve_enum(Ecdc.PacketType, self.kind & 15)
            return getattr(self, '_m_type', None)


    class Run(KaitaiStruct):
        """Layers with codebooks of one size."""
        def __init__(self, number, _io, _parent=None, _root=None):
            super(Ecdc.Run, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self.number = number
            self._read()

        def _read(self):
            self.layers = []
            for i in range(self.here):
                self.layers.append(Ecdc.Layer(self.before + i, self.bits, self._io, self, self._root))



        def _fetch_instances(self):
            pass
            for i in range(len(self.layers)):
                pass
                self.layers[i]._fetch_instances()


        @property
        def after(self):
            if hasattr(self, '_m_after'):
                return self._m_after

            self._m_after = self.before + self.count
            return getattr(self, '_m_after', None)

        @property
        def before(self):
            if hasattr(self, '_m_before'):
                return self._m_before

            self._m_before = (0 if self.number == 0 else self._parent.runs[self.number - 1].after)
            return getattr(self, '_m_before', None)

        @property
        def bits(self):
            if hasattr(self, '_m_bits'):
                return self._m_bits

            self._m_bits = (self.low_bits if self.size <= 256 else (9 if self.size <= 512 else (10 if self.size <= 1024 else (11 if self.size <= 2048 else (12 if self.size <= 4096 else (13 if self.size <= 8192 else (14 if self.size <= 16384 else (15 if self.size <= 32768 else 16))))))))
            return getattr(self, '_m_bits', None)

        @property
        def count(self):
            if hasattr(self, '_m_count'):
                return self._m_count

            self._m_count = self._root.runs[2 * self.number].as_int
            return getattr(self, '_m_count', None)

        @property
        def here(self):
            if hasattr(self, '_m_here'):
                return self._m_here

            self._m_here = (0 if self.left < 0 else (self.left if self.left < self.count else self.count))
            return getattr(self, '_m_here', None)

        @property
        def left(self):
            if hasattr(self, '_m_left'):
                return self._m_left

            self._m_left = self._parent.layers - self.before
            return getattr(self, '_m_left', None)

        @property
        def low_bits(self):
            if hasattr(self, '_m_low_bits'):
                return self._m_low_bits

            self._m_low_bits = (1 if self.size <= 2 else (2 if self.size <= 4 else (3 if self.size <= 8 else (4 if self.size <= 16 else (5 if self.size <= 32 else (6 if self.size <= 64 else (7 if self.size <= 128 else 8)))))))
            return getattr(self, '_m_low_bits', None)

        @property
        def size(self):
            if hasattr(self, '_m_size'):
                return self._m_size

            self._m_size = self._root.runs[2 * self.number + 1].as_int
            return getattr(self, '_m_size', None)


    class Tail(KaitaiStruct):
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Tail, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.index = Ecdc.Packet(self._io, self, self._root)
            self.magic = self._io.read_bytes(4)
            if not self.magic == b"\x43\x44\x43\x45":
                raise kaitaistruct.ValidationNotEqualError(b"\x43\x44\x43\x45", self.magic, self._io, u"/types/tail/seq/1")
            self.len_tail = self._io.read_u4be()


        def _fetch_instances(self):
            pass
            self.index._fetch_instances()


    class Varint(KaitaiStruct):
        """LEB128, at most eight bytes."""
        def __init__(self, _io, _parent=None, _root=None):
            super(Ecdc.Varint, self).__init__(_io)
            self._parent = _parent
            self._root = _root
            self._read()

        def _read(self):
            self.groups = []
            i = 0
            while True:
                _ = self._io.read_u1()
                self.groups.append(_)
                if _ & 128 == 0:
                    break
                i += 1


        def _fetch_instances(self):
            pass
            for i in range(len(self.groups)):
                pass


        @property
        def len(self):
            if hasattr(self, '_m_len'):
                return self._m_len

            self._m_len = len(self.groups)
            return getattr(self, '_m_len', None)

        @property
        def value(self):
            if hasattr(self, '_m_value'):
                return self._m_value

            self._m_value = (((((((self.groups[0] & 127) + ((self.groups[1] & 127) << 7 if self.len >= 2 else 0)) + ((self.groups[2] & 127) << 14 if self.len >= 3 else 0)) + ((self.groups[3] & 127) << 21 if self.len >= 4 else 0)) + ((self.groups[4] & 127) << 28 if self.len >= 5 else 0)) + ((self.groups[5] & 127) << 35 if self.len >= 6 else 0)) + ((self.groups[6] & 127) << 42 if self.len >= 7 else 0)) + ((self.groups[7] & 127) << 49 if self.len >= 8 else 0)
            return getattr(self, '_m_value', None)


    @property
    def kinds(self):
        if hasattr(self, '_m_kinds'):
            return self._m_kinds

        self._m_kinds = Ecdc.Find(10, self._io, self, self._root)
        return getattr(self, '_m_kinds', None)

    @property
    def packet_frames(self):
        if hasattr(self, '_m_packet_frames'):
            return self._m_packet_frames

        self._m_packet_frames = self.header.map.entries[6].value.as_int
        return getattr(self, '_m_packet_frames', None)

    @property
    def predicted(self):
        """How many of the lowest layers are predicted."""
        if hasattr(self, '_m_predicted'):
            return self._m_predicted

        self._m_predicted = (0 if self.kinds.result < 0 else (0 if self.header.map.entries[self.kinds.result].value.items[1].as_int != 1 else self.header.map.entries[self.kinds.result].value.items[0].as_int))
        return getattr(self, '_m_predicted', None)

    @property
    def runs(self):
        """Counts and sizes of codebooks, by turns."""
        if hasattr(self, '_m_runs'):
            return self._m_runs

        self._m_runs = self.header.map.entries[5].value.items
        return getattr(self, '_m_runs', None)

    @property
    def streams(self):
        if hasattr(self, '_m_streams'):
            return self._m_streams

        self._m_streams = self.header.map.entries[4].value.as_int
        return getattr(self, '_m_streams', None)
