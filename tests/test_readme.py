"""The READMEs: quick commands run, links lead somewhere, tables are the measured ones, both languages agree."""
import os
import re
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from conftest import ROOT, TREES
from PIL import Image

from common.files import digest, shipped_weights
from publish.report import texts
from publish.results import ASSET, measured

READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
DOCS = [[path, path.with_suffix(".zh.md")] for path in sorted(ROOT.glob("docs/*.md")) if ".zh" not in path.name]
BLOCK = re.compile(r"^```(\w+)( quick)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = [code for path, _ in [READMES, *DOCS] for _, quick, code in BLOCK.findall(path.read_text()) if quick]


@pytest.mark.parametrize("code", QUICK, ids=[code.split()[1] for code in QUICK])
def test_quick_commands(clone, code):
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    code = code.replace("--num 1000", "--num 100")
    code = re.sub(r"tst_mnist_ldm\.py", r"\g<0> --num 2 --no-sweep", code)
    code = re.sub(r"edit_mnist\.py \w+", r"\g<0> --num 2", code)
    command = ["bash", "-euo", "pipefail", "-c", code]
    result = subprocess.run(command, cwd=clone, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not re.search("warning", result.stderr, re.IGNORECASE), result.stderr
    written = re.findall(r"^\S+\.(?:png|json)", result.stdout, re.MULTILINE)
    assert written and all((clone / path).is_file() for path in written)
    if "same/" in code:
        one, other = (np.asarray(Image.open(clone / "same" / tree / "samples.png")).astype(int) for tree in TREES)
        assert one.std() > 5 and np.abs(one - other).max() <= 2


def test_there_are_quick_commands():
    assert len(QUICK) >= 3


@pytest.mark.parametrize("paths", [READMES, *DOCS], ids=lambda paths: paths[0].stem)
def test_both_languages_say_the_same(paths):
    english, chinese = (path.read_text() for path in paths)
    files = lambda text: re.findall(r"\w+\.py|^\w+/\w*", text, re.ASCII | re.MULTILINE)
    blocks = lambda text: [files(block[2]) if block[0] == "text" else block for block in BLOCK.findall(text)]
    assert blocks(english) == blocks(chinese)
    for pattern in (r"^(#+) ", r"!\[.*?\]\((.*?)\)", r"^\| (`\w+\.py`)", r"<!-- .* -->", r"\$[^$\n]+\$"):
        found = [re.findall(pattern, text, re.MULTILINE) for text in (english, chinese)]
        assert found[0] == found[1]


LINKED = [*READMES, *chain(*DOCS), ASSET / "pictures.md", ROOT / "findings" / "README.md"]


def test_diffs_are_of_the_files():
    for side, name in (("-", "pytorch/model/ddpm.py"), ("+", "jittor/model/ddpm.py")):
        (block,) = re.findall(r"```diff\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        shown = [line[1:] for line in block.splitlines() if line[0] == side and line[1] == " "]
        assert len(shown) == 2 and set(shown) <= set((ROOT / name).read_text().splitlines())


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\((?!http)(.*?)(?:#.*)?\)", path.read_text())
    assert links and [link for link in links if not (path.parent / link).exists()] == []


def anchors(text):
    """Of the headings of Markdown, as GitHub makes them: lower case, no punctuation, a hyphen for each space."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("path", [*READMES, *chain(*DOCS), ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_anchors_are_headings(path):
    for link, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", path.read_text()):
        target = path.parent / link if link else path
        assert anchors(target.read_text()).count(anchor) == 1, (link, anchor)
        assert "asset" in link or (".zh." in link) == (".zh." in path.name), link


def test_anchors():
    assert anchors("## A `b`, c?\n```bash\n# d\n```\n### 怎样得到 FID。") == ["a-b-c", "怎样得到-fid"]


def test_tables_are_the_measured_ones():
    found = texts(measured())
    assert set(found) == {*READMES, ASSET / "results.md", ASSET / "pictures.md"}
    for path, text in found.items():
        assert path.read_text() == text, path
    shipped = digest(shipped_weights(ROOT / "pytorch", "vae"))[:6]  # else: python -m publish.trust
    assert f"| through the VAE {shipped} |" in (ASSET / "metric.md").read_text()
    for path in READMES:
        assert re.findall(r"<!-- (\w+) -->", path.read_text()) == ["results"]
        assert len(path.read_bytes()) < 9000
    for path in (path for path in chain(*DOCS) if not path.name.startswith("PORTING")):  # which one looks up
        assert len(path.read_text().splitlines()) <= 120, path  # two screens
