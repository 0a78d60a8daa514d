"""Export a trained model as a web page, for any static host: python -m publish.export --checkpoint pytorch/runs/ldm

Takes checkpoints of either tree, in pixels or latents, distilled or not. Weights are stored in half precision, which
halves the download; arithmetic is in single. Needs requirements-dev.txt and `npm ci --prefix web`."""
import html
import json
import re
import shlex
import sys
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python

from common.data.measures import MEASURES
from common.data.spec import MNIST, PERCENTILES
from common.errors import UserError
from common.files import ROOT, remove_left, write_atomically
from common.options.command_line import run
from common.options.fields import Finite, options_class
from common.options.recipes import Where, undistilled
from publish.graph import to_files

sys.path.insert(0, str(ROOT / "pytorch"))
WEB = ROOT / "web"
RUNTIME = WEB / "node_modules" / "onnxruntime-web" / "dist"
LOADED = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"  # of RUNTIME
CHOICE = re.compile(r'(<select id="model">).*?(</select>)', re.DOTALL)


@options_class
class Export:
    """Export a trained model as a web page."""

    checkpoint: Path
    """Run folder or checkpoint file of the diffusion model, of either tree."""
    distilled: Path | None = None
    """Run folder or checkpoint file of a model distilled from it, used for one network call."""
    out: Path = Path("site")
    """Output folder."""
    title: str | None = None
    """Name of the model on the page (None: the name of its data)."""
    guidance: Finite | None = None
    """Initial guidance scale on the page (None: the model's own)."""
    strokes: bool | None = None
    """Visitors draw with a pen instead of uploading a picture (None: if the model has stroke measures)."""


def unet_function(model):
    """The network of x_t, t and y, whose tokens are interpolated towards those of conditions `to` by `share`."""
    import torch

    network = model.network

    def compute(x_t, t, y, to, share):
        tokens = torch.lerp(network.tokens(y), network.tokens(to), share)
        return network.unet.features(x_t, t, tokens)[-1]

    x_t, y = np.zeros((3, *model.space.shape), np.float32), model.spec.conditions(np.zeros(3))
    inputs = {"x_t": x_t, "t": np.zeros(1, np.int64), "y": y, "to": y, "share": np.zeros(1, np.float32)}
    return compute, network, inputs, ("x_t", "y", "to")


FILES = {f"{name}.{end}" for name in ("unet", "distilled", "encoder", "decoder") for end in ("onnx", "f16")}


def files_of(model, distilled, title=None, guidance=None, strokes=None):
    """{name: bytes} of the page's files for a model and one distilled from it (or None). model.json, the last, has the
    checksums of the others."""
    spec, space = model.spec, model.space
    networks = {"unet": model, **({"distilled": distilled} if distilled else {})}
    functions = {name: unet_function(each) for name, each in networks.items()}
    if space.vae:
        z, images = (np.zeros((3, *shape), np.float32) for shape in (space.shape, spec.shape))
        functions["encoder"] = space.encode, space.vae, {"x": images}, ("x",)
        functions["decoder"] = space.decode, space.vae, {"x": z}, ("x",)
    files, sizes = {}, {}
    for name, function in functions.items():
        files[f"{name}.onnx"], files[f"{name}.f16"], sizes[name] = to_files(name, *function)
    measures = spec.measures.items()
    about = {
        "title": title or spec.name,
        "shape": spec.shape,
        "classes": spec.classes,
        "measures": {name: {"unit": m.unit, "at": dict(zip(PERCENTILES, m.rows[-1]))} for name, m in measures},
        "fit": spec.preprocessing.fit,
        "strokes": has_strokes(spec) if strokes is None else strokes,
        "mnist": spec.digest == MNIST,  # whether drawings are preprocessed like MNIST
        "x_0": space.shape,
        "latent": bool(space.vae),
        "diffusion": model.diffusion.config,
        "networks": [network_entry(name, each, guidance) for name, each in networks.items()],
        "sizes": sizes,
        "files": {name: f"{zlib.crc32(content):08x}" for name, content in files.items()},
    }
    return {**files, "model.json": json.dumps(to_jsonable_python(about), indent=1).encode()}


def has_strokes(spec):
    """Whether the pictures are drawn with a pen: grey, with measures of strokes, not only columns of these names."""
    shared = [name for name in spec.measures if name in MEASURES]
    return spec.shape[0] == 1 and any(spec.measures[name].unit == MEASURES[name].unit for name in shared)


def network_entry(name, model, guidance):
    """A network's entry in model.json: its name, its sampler, and whether it can sample without a class."""
    optional = model.recipe.label_dropout > 0
    sampler = model.sampler if guidance is None or not optional else replace(model.sampler, guidance=guidance)
    return {"name": name, "sampler": sampler, "optional": optional}


def opened(checkpoint):
    """Load the diffusion model of a checkpoint with PyTorch's tree."""
    from pipeline import pipeline

    return pipeline.load_model(checkpoint, None, Where(device="cpu", precision="fp32"))


def export_model(folder, checkpoint, distilled=None, title=None, guidance=None, strokes=None):
    """Write the page's files for a model, and for one distilled from it, to a folder; returns the model's Spec.
    UserError if the two differ in data, diffusion process or VAE."""
    model, one = opened(checkpoint), distilled and opened(distilled)
    if guidance is not None:
        model.check_null_label("guidance needs: leave out --guidance")
    kinds = [m and m.recipe.kind != undistilled(m.recipe.kind) for m in (model, one)]
    if one and (kinds != [False, True] or not same_data(model, one)):
        raise UserError(f"{distilled} is not distilled from {checkpoint}: leave out --distilled, or give one that is")
    files = files_of(model, one, title, guidance, strokes)
    folder.mkdir(parents=True, exist_ok=True)
    remove_left(folder)
    for name in FILES - files.keys():  # from another model before
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return model.spec


def same_data(a, b):
    """Whether two models have the same data, diffusion process and space."""
    known = lambda model: (
        undistilled(model.recipe.kind), model.spec.digest, model.spec.classes, model.spec.measures,
        model.diffusion.config,
    )  # fmt: skip
    tensors = [{n: x for n, x in m.checkpoint.tensors.items() if n.startswith(("vae.", "latent."))} for m in (a, b)]
    # A latent model that was trained further measured its latents anew: their statistics are equal to rounding.
    same = lambda name: np.array_equal if name.startswith("vae.") else np.allclose
    equal = lambda name, x, y: x.shape == y.shape and same(name)(x, y)
    same_names = tensors[0].keys() == tensors[1].keys()
    return known(a) == known(b) and same_names and all(equal(n, x, tensors[1][n]) for n, x in tensors[0].items())


def copied():
    """The page's files that are copied as they are."""
    return [*WEB.glob("*.js"), WEB / "style.css", WEB / "serve.py"]


def check(out):
    """UserError if a package or file for the page is missing, or the folder holds other files."""
    if absent := [name for name in ("onnx", "onnxruntime", "onnxscript") if not find_spec(name)]:
        raise UserError(f"{absent[0]} is not installed: pip install -r requirements-dev.txt")
    if missing := [name for name in LOADED if not (RUNTIME / name).is_file()]:
        raise UserError(f"{RUNTIME / missing[0]} is missing: run `npm ci --prefix web` first")
    ours = {"model", "onnxruntime", "index.html", *(path.name for path in copied())}
    begun = (out / "model").is_dir() and {path.name for path in out.iterdir() if path.suffix != ".tmp"} <= ours
    if out.is_dir() and any(out.iterdir()) and not begun and not (out / "model" / "model.json").is_file():
        raise UserError(f"{out} holds other files: choose another folder with --out")


def copy_page(out, title):
    """Copy the page and its runtime, for a single model in the folder `model`."""
    (out / "onnxruntime").mkdir(exist_ok=True)
    for folder in (out, out / "onnxruntime"):
        remove_left(folder)
    for name in LOADED:
        write_atomically(out / "onnxruntime" / name, (RUNTIME / name).read_bytes())
    for path in copied():
        write_atomically(out / path.name, path.read_bytes())
    page = (WEB / "index.html").read_text().replace("node_modules/onnxruntime-web/dist", "onnxruntime")
    option = f'<option value="model">{html.escape(title)}</option>'
    write_atomically(out / "index.html", CHOICE.sub(lambda found: found[1] + option + found[2], page).encode())


def main(options: Export):
    out = options.out
    check(out)
    model = options.checkpoint, options.distilled
    spec = export_model(out / "model", *model, options.title, options.guidance, options.strokes)
    copy_page(out, options.title or spec.name)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB, for any static host")
    print(f"to view it: python web/serve.py {shlex.quote(str(out))}")


if __name__ == "__main__":
    run(main, Export)
