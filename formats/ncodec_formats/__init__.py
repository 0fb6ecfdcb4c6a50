"""Readers and writers of ncodec's file formats: bytes only, never torch."""
