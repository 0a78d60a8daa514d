"""Make the shipped models' pictures, scores and tables: python -m publish.assets

Draws both trees' pictures, makes the page's files, runs the notebook, scores every sampler setting that has no result
yet (two hours on one core for all), then writes tables and plots as publish.report does."""
import shutil
import subprocess
import sys

from common.figure import loss_curve
from common.files import ROOT, digest, run_folder, shipped_weights
from common.options.command_line import run
from common.options.fields import Count, options_class
from publish import FRAMEWORKS, MODELS, export, report
from publish.results import ASSET

PICTURES = {  # {kind: (script that draws them, their names)}
    "ddpm": ("tst_mnist", "samples", "sweep", "process"),
    "vae": ("tst_mnist_vae --num 50", "reconstructions", "prior"),
    "ldm": ("tst_mnist_ldm", "samples", "sweep", "process"),
    "ddpm-distilled": ("tst_mnist", "samples", "sweep"),
    "ldm-distilled": ("tst_mnist_ldm", "samples", "sweep"),
}
EDITS = {("pytorch", "ldm"): {
    "repaint.png": "repaint",
    "vary.png": "vary --label 8 --strength 0.8",
    "morph.gif": "morph --gif --index 3 2 1 18 4 8 11 0 61 7",
}}
SEEDS = 1, 2, 3  # for a model's own setting; settings are chosen with other seeds and --real train
OTHERS = {  # further settings besides --labels test, scored with the first seed
    ("pytorch", "ddpm"): ["--steps 5"],
    ("pytorch", "ldm"): [
        "--steps 4", "--steps 10", "--steps 20", "--shift 1", "--sampler ddim --steps 10", "--sampler ddpm --steps 20",
        "--guidance 1.5", "--labels even", "--labels test --guidance 1.5",
    ],
    ("jittor", "ldm"): ["--steps 4", "--steps 10"],
}  # fmt: skip
LAUNCHERS = {  # how to start several processes
    "pytorch": [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "{}"],
    "jittor": ["env", "OMP_NUM_THREADS=1", "mpirun", "-np", "{}", sys.executable],
}


@options_class
class Assets:
    """Regenerate asset/ and the README's tables."""

    pictures: bool = True
    """Draw the pictures, make the page's files, run the notebook."""
    scores: bool = True
    """Score every setting that has no result yet."""
    processes: Count = 1
    """Processes with one thread each that sample the scored images, faster than as many threads."""


def call(tree, kind, folder, command, processes=1):
    """Run a command, a tree's script and its options, on the shipped weights of a kind, in this many processes."""
    script, *words = command.split()
    launcher = [sys.executable] if processes == 1 else [part.format(processes) for part in LAUNCHERS[tree]]
    files = "--checkpoint", shipped_weights(ROOT / tree, kind), "--out", folder
    subprocess.run([*launcher, ROOT / tree / "script" / f"{script}.py", *words, *files], check=True)


def run_notebook(path=ROOT / "tutorial.ipynb"):
    """Run the notebook and save its outputs, without stderr, which compilers write to."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    NotebookClient(notebook, record_timing=False, resources={"metadata": {"path": str(ROOT)}}).execute()
    notebook.metadata = metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, path)


def draw(tree, kind):
    """Draw the pictures of a shipped model, its losses, and edits with it."""
    script, *names = PICTURES[kind]
    folder, weights = run_folder(ROOT / tree, "pictures") / kind, shipped_weights(ROOT / tree, kind)
    call(tree, kind, folder, script)
    for name in names:
        shutil.copy(folder / f"{name}.png", ASSET / f"{tree}-{kind}-{name}.png")
    title = f"{MODELS[kind]} in {FRAMEWORKS[tree]}: training loss"
    loss_curve(weights.with_suffix(".csv"), ASSET / f"{tree}-{kind}-loss.png", title)
    for name, edit in EDITS.get((tree, kind), {}).items():
        call(tree, kind, folder, f"edit_mnist {edit}")
        shutil.copy(folder / name, ASSET / name)


def score(tree, kind, processes):
    """Score the settings and edits of a shipped diffusion model that have no result with these weights yet."""
    stem = f"{kind}-{digest(shipped_weights(ROOT / tree, kind))[:6]}"
    folder = run_folder(ROOT / tree, f"edits-{stem}")
    if kind in ("ddpm", "ldm") and not (folder / "edits.json").is_file():
        call(tree, kind, folder, "edit_mnist score" + " --pixels" * (kind == "ddpm"))
    settings = [f"--seed {seed}" for seed in SEEDS]
    settings += [f"{other} --seed {SEEDS[0]}" for other in ("--labels test", *OTHERS.get((tree, kind), ()))]
    for setting in settings:
        folder = run_folder(ROOT / tree, "-".join([stem, *setting.replace("--", "").split()]))
        if not (folder / "result.json").is_file():
            call(tree, kind, folder, f"{PICTURES[kind][0]}_fid {setting}", processes)


def main(options: Assets):
    ASSET.mkdir(exist_ok=True)
    shipped = [(tree, kind) for tree in FRAMEWORKS for kind in PICTURES if shipped_weights(ROOT / tree, kind).is_file()]
    if options.pictures:
        for tree, kind in shipped:
            draw(tree, kind)
        models = (shipped_weights(ROOT / "pytorch", kind) for kind in ("ldm", "ldm-distilled"))
        export.export_model(export.WEB / "model" / "mnist", *models, title="MNIST")
        run_notebook()
    for tree, kind in shipped:
        if options.scores and kind != "vae":
            score(tree, kind, options.processes)
    report.main(report.Report())


if __name__ == "__main__":
    run(main, Assets)
