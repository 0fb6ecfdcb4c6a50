"""For mkdocs: pages that lie elsewhere in the source, links that leave docs/, doctests."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/RESULTS.md": "results.md",
    "formats/SPEC.md": "specification.md",
    "ncodec/pretrained/ncodec_24khz.md": "model-card.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)")
_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n\1.*\S.*)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Shows doctests, which stand between paragraphs, as the code that they are."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence each example of a docstring, up to the next empty line."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(
                lambda example: f"{example[1]}```pycon\n{example[0]}\n{example[1]}```",
                obj.docstring.value,
            )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that the source keeps where a reader of the source looks for them."""
    for source, name in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links at these pages; links to programs and folders become the names of these."""
    sources = {name: source for source, name in ELSEWHERE.items()}
    here = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def link(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        if target in ELSEWHERE:
            return f"[{text}]({ELSEWHERE[target]}{anchor})"
        if target.startswith("docs/"):
            return f"[{text}]({target.removeprefix('docs/')}{anchor})"
        name = target.rstrip("/")
        return text if name.endswith(text.strip("`/")) else f"{text} (`{name}`)"

    return _LINK.sub(link, markdown)
