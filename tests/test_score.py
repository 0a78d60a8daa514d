"""tst_*_fid: the images that they leave, whatever interrupts them, and the report that is made of their results."""
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, TREES, assert_user_error, run_on_disk, run_script

from common import report
from common.cli import UserError
from common.config import SampleLDM, ScoreDDPM, ScoreLDM
from common.images import read_images
from common.metric import digits

FAST = ("--no-fid", "--num", 40, "--batch-size", 8, "--steps", 2)


@pytest.mark.parametrize("script, kind", [("tst_mnist_fid.py", "ddpm"), ("tst_mnist_ldm_fid.py", "ldm")])
@pytest.mark.parametrize("name", TREES)
def test_draws_exports_and_scores(untrained, tmp_path, name, script, kind):
    checkpoint = untrained / f"{kind}.safetensors"
    result = run_script(name, script, *FAST, "--checkpoint", checkpoint, "--out", tmp_path, "--seed", 3)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(read_images(tmp_path / "real"), digits(False, 40))
    assert read_images(tmp_path / "fake").std() > 5
    found = json.loads((tmp_path / "result.json").read_text())
    told = {"tree": name, "model": kind, "num": 40, "sampler": "dpmpp_2m", "steps": 2, "seed": 3, "drawn": 40}
    assert told.items() <= found.items()
    for measured in ("mnist_fd", "seconds", "images_per_second", "warm_up_seconds", "png_seconds", "threads"):
        assert found[measured] > 0, measured
    for named in ("device", "hardware", "dtype", "framework", "checkpoint", "date"):
        assert found[named], named
    assert found["fid"] is None and found["fid_note"]


@pytest.mark.parametrize("name", TREES)
def test_a_killed_run_goes_on_to_the_same_images(untrained, tmp_path, name):
    arguments = (*FAST, "--num", 400, "--checkpoint", untrained / "ldm.safetensors", "--out")
    assert run_script(name, "tst_mnist_ldm_fid.py", *arguments, tmp_path / "straight").returncode == 0
    killed = tmp_path / "killed"
    script = ROOT / name / "script" / "tst_mnist_ldm_fid.py"
    command = [sys.executable, str(script), *map(str, arguments), str(killed)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (killed / "fake" / "00019.png").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(list((killed / "fake").glob("*.png")))
    assert 20 <= there < 400
    result = run_script(name, "tst_mnist_ldm_fid.py", *arguments, killed)
    assert result.returncode == 0, result.stderr
    for path in (tmp_path / "straight" / "fake").iterdir():
        assert (killed / "fake" / path.name).read_bytes() == path.read_bytes()
    found = json.loads((killed / "result.json").read_text())
    assert 400 - there <= found["drawn"] < 400  # the time of the others is not known
    result = run_script(name, "tst_mnist_ldm_fid.py", *arguments, killed, "--seed", 1)
    assert_user_error(result, killed, "seed=0", "--out")


@pytest.mark.parametrize("name", TREES)
def test_a_full_disk(untrained, tmp_path, name):
    """One line, and what was written stays."""
    arguments = (*FAST, "--num", 400, "--checkpoint", untrained / "ldm.safetensors")
    result = run_on_disk(tmp_path, "size=100k", name, "tst_mnist_ldm_fid.py", *arguments)
    assert_user_error(result, "disk/out/fake/", "No space left on device", "free some space")
    assert len([line for line in result.stdout.split() if line.endswith(".png")]) >= 8
    assert ".tmp" not in result.stdout


@pytest.mark.parametrize("name", TREES)
def test_an_unwritable_folder(untrained, tmp_path, name):
    (tmp_path / "file").write_text("")
    arguments = (*FAST, "--checkpoint", untrained / "ddpm.safetensors", "--out", tmp_path / "file" / "folder")
    assert_user_error(run_script(name, "tst_mnist_fid.py", *arguments), tmp_path / "file", "Not a directory")


def test_defaults():
    """Each class's own default wins, whatever it inherits."""
    ddpm, ldm, sample = ScoreDDPM(), ScoreLDM(), SampleLDM()
    assert (ddpm.num, ddpm.sampler, ddpm.steps) == (10_000, "dpmpp_2m", 8)
    assert (ldm.num, ldm.sampler, ldm.steps, ldm.shift, ldm.guidance, ldm.fid) == (10_000, None, None, None, 1, True)
    assert (sample.num, sample.steps, sample.process_rows) == (100, None, 8)


RESULT = {
    "tree": "pytorch", "model": "ldm", "sampler": "dpmpp_2m", "steps": 6, "shift": 2.0, "eta": 0, "guidance": 1,
    "digit": None, "num": 10_000, "real": "test", "drawn": 10_000, "seconds": 21.04, "fid": None, "mnist_fd": 1.5,
    "precision": 0.9, "recall": 0.8, "floor": {"mnist_fd": 0.5, "precision": 0.95, "recall": 0.94}, "device": "cpu",
    "hardware": "A CPU", "processes": 1, "threads": 2, "dtype": "bf16", "checkpoint": "0123",
}  # fmt: skip


def test_report(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "ASSET", tmp_path / "asset")
    marked = [f"<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in ("results", "pictures", "training")]
    (tmp_path / "README.md").write_text("above\n" + "".join(marked) + "below\n")
    results = [
        RESULT, {**RESULT, "steps": 4, "drawn": 9_000, "seconds": 7.77}, {**RESULT, "num": 100, "sampler": "ddim"},
        {**RESULT, "tree": "jittor", "model": "ddpm", "steps": 8, "shift": 3.0, "fid": 3.217, "device": "cuda"},
        {**RESULT, "guidance": 1.5, "mnist_fd": 0.75, "processes": 2},
        {**RESULT, "sampler": "ddpm", "steps": 1000, "num": 1000, "drawn": 1000, "floor": {"mnist_fd": 0.6}},
    ]  # fmt: skip
    with pytest.raises(UserError, match="no result of 10000 images"):
        report.main(report.Report(folders=(tmp_path,)))
    for i, result in enumerate(results):
        (tmp_path / "runs" / str(i)).mkdir(parents=True)
        (tmp_path / "runs" / str(i) / "result.json").write_text(json.dumps(result))
    report.main(report.Report(folders=(tmp_path / "runs",)))
    names = {"pytorch-ldm-dpmpp_2m-6.json", "pytorch-ldm-dpmpp_2m-4.json", "jittor-ddpm-dpmpp_2m-8-cuda.json"}
    names |= {"pytorch-ldm-dpmpp_2m-6-guidance1.5.json", "pytorch-ldm-ddpm-1000-num1000.json"}
    assert set(os.listdir(tmp_path / "asset" / "results")) == names
    readme, tables = (tmp_path / "README.md").read_text(), (tmp_path / "asset" / "results.md").read_text()
    assert readme.startswith("above\n") and readme.endswith("below\n") and "old" not in readme
    row = "| LDM | PyTorch | DPM-Solver++, 6 | 21.0 | not measured | 1.500 | 3.0 | 0.900 | 0.800 | A CPU, 2 threads"
    assert row in readme and row in tables
    guided = "| LDM | PyTorch | DPM-Solver++, 6, guidance 1.5 |"
    assert guided in tables and guided not in readme
    fewer = "| LDM | PyTorch | ancestral, 1000, num 1000 | 21.0 | not measured | 1.500 | 2.5 |"
    assert fewer in tables and fewer not in readme
    assert "3.22" in readme and "32.66" in readme and "1597" in readme  # measured; published
    assert "A CPU, 4 threads in 2 processes" in tables
    assert "DPM-Solver++, 4 | not measured | not measured | 1.500" in tables  # an interrupted run has no time
    assert "7.8" not in tables and "DDIM" not in tables
    assert (tmp_path / "asset" / "quality.png").stat().st_size > 10_000
