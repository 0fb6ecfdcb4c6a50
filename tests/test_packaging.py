"""What is packed, and what is said about it: metadata, manual pages, the file type."""

import importlib.util
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import tomli

import ncodec
from tests.machine import needs

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())


def names(requirements: list[str | dict[str, str]]) -> set[str]:
    found = (re.match(r"[\w.-]+", each) for each in requirements if isinstance(each, str))
    return {re.sub(r"[._]", "-", match[0]).lower() for match in found if match}


def test_everything_that_is_asked_for_is_pinned():
    project = PROJECT["project"]
    asked = [project["dependencies"], *project["optional-dependencies"].values()]
    asked += PROJECT["dependency-groups"].values()
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = names([line for line in lines if not line.startswith("#")])
    assert set().union(*map(names, asked)) <= pinned


def test_an_index_shows_no_links_into_the_source():
    text = (ROOT / "README.md").read_text()
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith(("http", "#"))] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_into_the_source_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    inner = [link for link in links if not link.startswith("http")]
    assert [link for link in inner if not (ROOT / link).exists()] == []


def test_every_page_is_in_the_sites_menu():
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = re.findall(r": ([\w-]+\.md)$", menu, flags=re.MULTILINE)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages <= set(listed)
    assert len(set(listed)) == len(listed)


def test_hints_install_what_an_index_has():
    """Extras are for a clone (`'.[export]'`); texts of the program name the packages themselves."""
    folders = ("ncodec", "ncodec_cli", "formats/ncodec_formats", "docs", "notebooks")
    pages = [ROOT / "README.md", *(p for f in folders for p in (ROOT / f).rglob("*.*"))]
    texts = {p: p.read_text() for p in pages if p.suffix in (".py", ".md", ".ipynb", ".js")}
    assert len(texts) > 300
    wrong = [p.name for p, text in texts.items() if re.search(r"pip install\W+ncodec\[", text)]
    assert wrong == []


def test_what_is_listed_for_the_packages_is_there():
    targets = PROJECT["tool"]["hatch"]["build"]["targets"]
    made = {"man"}  # of `make man`
    wanted = [*targets["sdist"]["only-include"], *targets["wheel"]["force-include"]]
    wanted += [*targets["wheel"]["shared-data"], *PROJECT["project"]["license-files"]]
    assert [path for path in wanted if path not in made and not (ROOT / path).exists()] == []


def test_the_version_is_one():
    for path in ("CITATION.cff", "CHANGELOG.md"):
        assert ncodec.__version__ in (ROOT / path).read_text()


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("make_man", ROOT / "man" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("man")
    module.write(folder)
    return folder


def test_manual_pages_tell_every_option(manual):
    from ncodec_cli.commands import cli

    for name in cli.list_commands(None):
        text = (manual / f"ncodec-{name}.1").read_text().replace("\\-", "-")
        command = cli.get_command(None, name)
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert any(option in text for option in parameter.opts), name
        assert (".SH EXAMPLES" in text) != (".SH COMMANDS" in text), name


@needs("groff")
def test_manual_pages_are_proper_roff(manual):
    for page in sorted(manual.glob("*.1")):
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, ""), page.name


def test_the_file_type_is_told_by_content_and_name():
    space = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
    kind = ET.parse(ROOT / "formats" / "ncodec.xml").find("m:mime-type", space)
    assert kind.get("type") == "audio/x-ecdc"
    assert f"!:mime\t{kind.get('type')}" in (ROOT / "formats" / "ecdc.magic").read_text()
    assert kind.find("m:magic/m:match", space).get("value") == "ECDC"
    assert kind.find("m:glob", space).get("pattern") == "*.ecdc"
