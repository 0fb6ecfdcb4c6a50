"""Other tools' files of codes: EnCodec's `.ecdc` version 0, `.dac`, and plain arrays."""
