"""Every picture and table that the README shows, from the shipped weights: python -m publish.assets

Draws the pictures of both trees, makes the page's files, runs the notebook, scores every sampler setting (two hours on
one core; a setting with a result is not drawn again), then writes the tables and the plot as publish.report does.
"""
import shutil
import subprocess
import sys

from common.figure import loss_curve
from common.files import ROOT, digest, run_folder, shipped_weights
from common.options.command_line import run
from common.options.fields import Count, options_class
from common.options.recipes import RECIPES
from publish import FRAMEWORKS, MODELS
from publish.export import Export
from publish.export import main as export
from publish.report import ASSET, Report
from publish.report import main as report

PICTURES = {
    "ddpm": ("tst_mnist.py", ["samples", "sweep", "process"]),
    "vae": ("tst_mnist_vae.py", ["reconstructions", "prior"], "--num", 50),
    "ldm": ("tst_mnist_ldm.py", ["samples", "sweep", "process"]),
    "ddpm-distilled": ("tst_mnist.py", ["samples", "sweep"]),
    "ldm-distilled": ("tst_mnist_ldm.py", ["samples", "sweep"]),
}
EDITS = {  # with PyTorch's latent model
    "repaint.png": "repaint",
    "vary.png": "vary --digit 8 --strength 0.8",
    "morph.gif": "morph --gif --index 3 2 1 18 4 8 11 0 61 7",
}
SEEDS = 1, 2, 3  # of a model's own setting, the headline; others were and are chosen with other seeds, and --real train
OTHERS = {  # settings beside a model's own and --labels test, with the first seed
    ("pytorch", "ddpm"): ["--steps 5"],
    ("pytorch", "ldm"): [
        "--steps 4", "--steps 10", "--steps 20", "--shift 1", "--sampler ddim --steps 10", "--sampler ddpm --steps 20",
        "--guidance 1.5", "--labels even", "--labels test --guidance 1.5",
    ],
    ("jittor", "ldm"): ["--steps 4", "--steps 10"],
}  # fmt: skip

LAUNCHERS = {
    "pytorch": (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "{}"),
    "jittor": ("env", "OMP_NUM_THREADS=1", "mpirun", "-np", "{}", sys.executable),
}


@options_class
class Assets:
    """Regenerate asset/ and the README's tables."""

    pictures: bool = True
    """Draw the pictures, make the page's files, run the notebook."""
    scores: bool = True
    """Score every setting that has no result yet."""
    processes: Count = 1
    """Processes of one thread each that draw what is scored: they share cores better than threads do."""


def call(tree, script, kind, *arguments, processes=1):
    """Run a tree's script, arguments after its name, on the shipped weights of a kind, in several processes if told."""
    script, *words = script.split()
    launcher = [sys.executable] if processes == 1 else [part.format(processes) for part in LAUNCHERS[tree]]
    command = [*launcher, ROOT / tree / "script" / script, *words, "--checkpoint", shipped_weights(ROOT / tree, kind)]
    subprocess.run([str(part) for part in (*command, *arguments)], check=True)


def run_notebook(path=ROOT / "tutorial.ipynb"):
    """Run the notebook, and keep what it shows but for what compilers say."""
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


def draw(shipped):
    """The pictures of every shipped model and of edits; the page's files; the notebook."""
    for tree, kind in shipped:
        script, names, *arguments = PICTURES[kind]
        folder = run_folder(ROOT / tree, "pictures") / kind
        call(tree, script, kind, "--out", folder, *arguments)
        for name in names:
            shutil.copy(folder / f"{name}.png", ASSET / f"{tree}-{kind}-{name}.png")
        title = f"{MODELS[kind]} in {FRAMEWORKS[tree]}: training loss"
        loss_curve(shipped_weights(ROOT / tree, kind).with_suffix(".csv"), ASSET / f"{tree}-{kind}-loss.png", title)
    folder = run_folder(ROOT / "pytorch", "pictures") / "edits"
    for name, edit in EDITS.items():
        call("pytorch", f"edit_mnist.py {edit}", "ldm", "--out", folder)
        shutil.copy(folder / name, ASSET / name)
    export(Export())
    run_notebook()


def score(shipped, processes):
    """Every setting of every shipped diffusion model, and its edits, that have no result of these weights yet."""
    for tree, kind in [(tree, kind) for tree, kind in shipped if kind != "vae"]:
        stem = f"{kind}-{digest(shipped_weights(ROOT / tree, kind))[:6]}"
        folder = run_folder(ROOT / tree, f"edits-{stem}")
        if kind in ("ddpm", "ldm") and not (folder / "edits.json").is_file():
            call(tree, "edit_mnist.py score", kind, "--out", folder, *(["--pixels"] if kind == "ddpm" else []))
        script = "tst_mnist_fid.py" if RECIPES[kind].family == "ddpm" else "tst_mnist_ldm_fid.py"
        settings = [f"--seed {seed}" for seed in SEEDS]
        settings += [f"{other} --seed {SEEDS[0]}" for other in ("--labels test", *OTHERS.get((tree, kind), ()))]
        for setting in settings:
            folder = run_folder(ROOT / tree, "-".join([stem, *setting.replace("--", "").split()]))
            if not (folder / "result.json").is_file():
                call(tree, script, kind, "--out", folder, *setting.split(), processes=processes)


def main(options: Assets):
    ASSET.mkdir(exist_ok=True)
    shipped = [(tree, kind) for tree in FRAMEWORKS for kind in PICTURES if shipped_weights(ROOT / tree, kind).is_file()]
    if options.pictures:
        draw(shipped)
    if options.scores:
        score(shipped, options.processes)
    report(Report())


if __name__ == "__main__":
    run(main)
