"""Calls over networks that lose packets: payloads, jitter buffer, adaptation, transports."""
