meta:
  id: ecdc
  title: ECDC version 1, codes of a neural audio codec
  file-extension: ecdc
  license: MIT
  ks-version: "0.10"
  endian: be
doc: |
  One link of an ECDC file, after SPEC.md. The header's keys must stand in the order in which they are
  written; layers must be packed bits, or predicted ones with packed ones above. Checks are read, not
  compared, and what is predicted is not decoded.
seq:
  - id: header
    type: header
  - id: packets
    type: packet
    repeat: until
    repeat-until: _.type == packet_type::end
  - id: tail
    type: tail
    if: not _io.eof
instances:
  streams:
    value: header.map.entries[4].value.as_int
  runs:
    value: header.map.entries[5].value.items
    doc: Counts and sizes of codebooks, by turns.
  packet_frames:
    value: header.map.entries[6].value.as_int
  kinds:
    type: find(10)
  predicted:
    value: "kinds.result < 0 ? 0 : header.map.entries[kinds.result].value.items[1].as_int != 1 ? 0 : header.map.entries[kinds.result].value.items[0].as_int"
    doc: How many of the lowest layers are predicted.
enums:
  packet_type:
    0: codes
    1: end
    2: index
    3: redundancy
    4: gap
types:
  find:
    doc: Where the payload kinds stand in the header's map; -1 if nowhere.
    params:
      - id: at
        type: s4
    instances:
      beyond:
        value: at >= _root.header.map.entries.size
      here:
        value: "beyond ? false : _root.header.map.entries[at].key.text == 'k'"
      next:
        type: find(at + 1)
        if: not (beyond or here)
      result:
        value: "beyond ? -1 : here ? at : next.result.as<s4>"
  header:
    seq:
      - id: magic
        contents: ECDC
      - id: version
        contents: [1]
      - id: len_map
        type: u4
      - id: map
        size: len_map
        type: msgpack_map
      - id: crc32
        type: u4
      - id: line_end
        contents: [0x0d, 0x0a]
  packet:
    seq:
      - id: sync
        contents: [0xec, 0xdc]
      - id: kind
        type: u1
      - id: body
        type:
          switch-on: type
          cases:
            packet_type::codes: codes(kind)
            packet_type::end: end
            packet_type::index: index
            packet_type::gap: gap
            _: other
    instances:
      type:
        value: kind & 0x0f
        enum: packet_type
  codes:
    params:
      - id: kind
        type: u1
    seq:
      - id: sequence
        type: varint
      - id: first_frame_given
        type: varint
        if: (kind & 0x10) != 0
      - id: frames_given
        type: varint
        if: (kind & 0x20) != 0
      - id: layers_given
        type: varint
        if: (kind & 0x40) != 0
      - id: lengths
        type: varint
        repeat: expr
        repeat-expr: "layers < _root.predicted ? layers : _root.predicted"
        doc: Bytes of predicted layers.
      - id: scales
        type: f4
        repeat: expr
        repeat-expr: _root.streams
        if: (kind & 0x80) != 0
      - id: crc16
        type: u2
      - id: runs
        type: run(_index)
        repeat: expr
        repeat-expr: _root.runs.size / 2
    instances:
      first_frame:
        value: "(kind & 0x10) != 0 ? first_frame_given.value : sequence.value * _root.packet_frames"
      frames:
        value: "(kind & 0x20) != 0 ? frames_given.value : _root.packet_frames"
      layers:
        value: "(kind & 0x40) != 0 ? layers_given.value : 64"
        doc: At most; 64 stands for all that the header has.
  run:
    doc: Layers with codebooks of one size.
    params:
      - id: number
        type: s4
    seq:
      - id: layers
        type: layer(before + _index, bits)
        repeat: expr
        repeat-expr: here
    instances:
      count:
        value: _root.runs[2 * number].as_int
      size:
        value: _root.runs[2 * number + 1].as_int
      before:
        value: "number == 0 ? 0 : _parent.runs[number - 1].after.as<s4>"
      after:
        value: before + count
      left:
        value: _parent.layers - before
      here:
        value: "left < 0 ? 0 : (left < count ? left : count)"
      low_bits:
        value: >-
          size <= 2 ? 1 : size <= 4 ? 2 : size <= 8 ? 3 : size <= 16 ? 4 :
          size <= 32 ? 5 : size <= 64 ? 6 : size <= 128 ? 7 : 8
      bits:
        value: >-
          size <= 256 ? low_bits : size <= 512 ? 9 : size <= 1024 ? 10 : size <= 2048 ? 11 :
          size <= 4096 ? 12 : size <= 8192 ? 13 : size <= 16384 ? 14 : size <= 32768 ? 15 : 16
  layer:
    params:
      - id: number
        type: s4
      - id: bits
        type: s4
    seq:
      - id: codes
        size: "is_predicted ? _parent._parent.lengths[number].value : packed_size"
      - id: check
        type: u1
    instances:
      is_predicted:
        value: number < _root.predicted
      packed_size:
        value: (_parent._parent.frames * _root.streams * bits + 7) / 8
  other:
    seq:
      - id: len_payload
        type: varint
      - id: crc16
        type: u2
      - id: payload
        size: len_payload.value
      - id: crc32
        type: u4
  end:
    seq:
      - id: len_payload
        type: varint
      - id: crc16
        type: u2
      - id: payload
        size: len_payload.value
        type: msgpack_map
      - id: crc32
        type: u4
  index:
    seq:
      - id: len_payload
        type: varint
      - id: crc16
        type: u2
      - id: payload
        size: len_payload.value
        type: index_payload
      - id: crc32
        type: u4
  index_payload:
    seq:
      - id: len_area
        type: varint
      - id: len_header
        type: varint
      - id: runs
        type: index_run
        repeat: eos
  index_run:
    seq:
      - id: count
        type: varint
      - id: frames
        type: varint
      - id: bytes
        type: varint
  gap:
    seq:
      - id: len_payload
        type: varint
      - id: crc16
        type: u2
      - id: first_frame
        type: varint
      - id: frames
        type: varint
      - id: crc32
        type: u4
  tail:
    seq:
      - id: index
        type: packet
      - id: magic
        contents: CDCE
      - id: len_tail
        type: u4
  varint:
    doc: LEB128, at most eight bytes.
    seq:
      - id: groups
        type: u1
        repeat: until
        repeat-until: (_ & 0x80) == 0
    instances:
      len:
        value: groups.size
      value:
        value: >-
          (groups[0] & 0x7f)
          + (len >= 2 ? (groups[1] & 0x7f) << 7 : 0)
          + (len >= 3 ? (groups[2] & 0x7f) << 14 : 0)
          + (len >= 4 ? (groups[3] & 0x7f) << 21 : 0)
          + (len >= 5 ? (groups[4] & 0x7f) << 28 : 0)
          + (len >= 6 ? (groups[5] & 0x7f) << 35 : 0)
          + (len >= 7 ? (groups[6] & 0x7f) << 42 : 0)
          + (len >= 8 ? (groups[7] & 0x7f) << 49 : 0)
  msgpack_map:
    doc: A msgpack map.
    seq:
      - id: tag
        type: u1
      - id: count16
        type: u2
        if: tag == 0xde
      - id: entries
        type: msgpack_entry
        repeat: expr
        repeat-expr: "tag == 0xde ? count16 : tag & 0x0f"
  msgpack_entry:
    seq:
      - id: key
        type: msgpack
      - id: value
        type: msgpack
  msgpack:
    doc: The kinds of msgpack values that our keys have, and those that others may.
    seq:
      - id: tag
        type: u1
      - id: u8
        type: u1
        if: tag == 0xcc
      - id: u16
        type: u2
        if: tag == 0xcd
      - id: u32
        type: u4
        if: tag == 0xce
      - id: u64
        type: u8
        if: tag == 0xcf
      - id: f32
        type: f4
        if: tag == 0xca
      - id: f64
        type: f8
        if: tag == 0xcb
      - id: len8
        type: u1
        if: tag == 0xc4 or tag == 0xd9
      - id: len16
        type: u2
        if: tag == 0xc5 or tag == 0xda or tag == 0xdc
      - id: text
        type: str
        encoding: UTF-8
        size: "tag == 0xd9 ? len8 : tag == 0xda ? len16 : tag & 0x1f"
        if: is_text
      - id: bytes
        size: "tag == 0xc4 ? len8 : len16"
        if: tag == 0xc4 or tag == 0xc5
      - id: items
        type: msgpack
        repeat: expr
        repeat-expr: "tag == 0xdc ? len16 : tag & 0x0f"
        if: (tag & 0xf0) == 0x90 or tag == 0xdc
    instances:
      is_text:
        value: (tag & 0xe0) == 0xa0 or tag == 0xd9 or tag == 0xda
      is_true:
        value: tag == 0xc3
      as_int:
        value: "tag <= 0x7f ? tag : tag == 0xcc ? u8 : tag == 0xcd ? u16 : tag == 0xce ? u32 : u64"
