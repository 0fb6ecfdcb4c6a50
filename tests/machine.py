"""What this machine can do: tests that need more skip with the reason."""

import shutil

import pytest

try:
    import torch
except ImportError:
    torch = None


def has_bf16() -> bool:
    """Whether products in bfloat16 are native here, as oneDNN sees it (ONEDNN_MAX_CPU_ISA counts).

    Where they are not, its LSTM has none at all, and whatever else there is takes many times as
    long: the library refuses, and there is nothing to test.
    """
    if torch is None or not torch.backends.mkldnn.is_available():
        return False
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16")

_PACKAGES = {
    **dict.fromkeys(("opusenc", "opusdec"), "opus-tools"),
    **dict.fromkeys(("c2enc", "c2dec"), "codec2"),
    **dict.fromkeys(("speexenc", "speexdec"), "speex"),
    "chromedriver": "chromium-driver",
    "ffprobe": "ffmpeg",
}


def missing(*programs: str) -> str | None:
    """Say which of these programs are not on the PATH, and the Debian packages that have them."""
    gone = [program for program in programs if shutil.which(program) is None]
    packages = dict.fromkeys(_PACKAGES.get(program, program) for program in gone)
    return f"{', '.join(gone)} not installed (apt: {', '.join(packages)})" if gone else None


def require(*programs: str) -> None:
    """Skip the test that calls this unless all these programs are on the PATH."""
    if reason := missing(*programs):
        pytest.skip(reason)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip the marked test unless all these programs are on the PATH."""
    reason = missing(*programs)
    return pytest.mark.skipif(reason is not None, reason=reason or "")
