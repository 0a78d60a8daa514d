"""The READMEs: quick commands run, links lead somewhere, tables are the measured ones, both languages agree."""
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from publish.report import ASSET, measured, texts

READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
GUIDES = [ROOT / "docs" / "GUIDE.md", ROOT / "docs" / "GUIDE.zh.md"]
BLOCK = re.compile(r"^```(\w+)( quick)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = [code for path in (READMES[0], GUIDES[0]) for _, quick, code in BLOCK.findall(path.read_text()) if quick]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The files that git tracks or will track, so that nothing is written to this repository."""
    folder = tmp_path_factory.mktemp("clone")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), listed.splitlines()):  # not what was deleted since
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("code", QUICK, ids=[code.split()[1] for code in QUICK])
def test_quick_commands(clone, code):
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", code.replace("--num 1000", "--num 100")]
    result = subprocess.run(command, cwd=clone, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not re.search("warning", result.stderr, re.IGNORECASE), result.stderr
    written = re.findall(r"^\S+\.(?:png|json)", result.stdout, re.MULTILINE)
    assert written and all((clone / path).is_file() for path in written)


def test_there_are_quick_commands():
    assert len(QUICK) >= 3


@pytest.mark.parametrize("paths", [READMES, GUIDES], ids=["README", "GUIDE"])
def test_both_languages_say_the_same(paths):
    english, chinese = (path.read_text() for path in paths)
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    for pattern in (r"^(#+) ", r"!\[.*?\]\((.*?)\)", r"^\| (`\w+\.py`)", r"<!-- .* -->", r"\$[^$\n]+\$"):
        found = [re.findall(pattern, text, re.MULTILINE) for text in (english, chinese)]
        assert found[0] == found[1]


@pytest.mark.parametrize("path", [*READMES, *GUIDES, ASSET / "pictures.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\((?!http)(.*?)(?:#.*)?\)", path.read_text())
    assert links and [link for link in links if not (path.parent / link).exists()] == []


def test_tables_are_the_measured_ones():
    found = texts(measured())
    assert set(found) == {*READMES, ASSET / "results.md", ASSET / "pictures.md"}
    for path, text in found.items():
        assert path.read_text() == text, path
    for path in READMES:
        assert set(re.findall(r"<!-- (\w+) -->", path.read_text())) == {"results", "control", "training"}
