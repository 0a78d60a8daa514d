"""The page's networks compute what the frameworks do, from either tree's checkpoint; what is not exported or served."""
import functools
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import FP32, ROOT

from common.checkpoint import load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.data.spec import Measure, Spec
from common.errors import UserError
from common.files import shipped_weights
from common.images import from_uint8
from common.options.recipes import TrainLDM
from publish import export
from publish.winograd import G, use_winograd

KINDS = {"ldm": "unet", "ldm-distilled": "distilled"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By tree and kind, a page's files and the network's name there: PyTorch's as they are in the repository, Jittor's
    made now, a page for each, since its two models have latents of their own."""
    made = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, folder in made.items():
        export.export_model(folder, shipped_weights(ROOT / "jittor", kind))
    return {
        "pytorch": {kind: (export.WEB / "model" / "mnist", name) for kind, name in KINDS.items()},
        "jittor": {kind: (folder, "unet") for kind, folder in made.items()},
    }


def test_models_that_do_not_belong_together(tmp_path):
    """The second is distilled from the first; guidance needs a model that saw a null label."""
    teacher, one = (shipped_weights(ROOT / "pytorch", kind) for kind in KINDS)
    for pair in ((one, teacher), (teacher, teacher), (one, one)):
        with pytest.raises(UserError, match=r"is not distilled from"):
            export.export_model(tmp_path / "model", *pair)
    with pytest.raises(UserError, match="was trained without label dropout, which guidance needs"):
        export.export_model(tmp_path / "model", one, guidance=2.0)
    assert not (tmp_path / "model").exists()


def test_models_with_latents_of_other_sizes_do_not_belong_together():
    model = lambda tensors: SimpleNamespace(
        recipe=TrainLDM(), spec=open_dataset().spec, checkpoint=SimpleNamespace(tensors=tensors),
        diffusion=SimpleNamespace(config=TrainLDM().diffusion),
    )  # fmt: skip
    first, second = (model({"latent.mean": np.zeros(count), "vae.x": np.zeros(2)}) for count in (4, 8))
    assert export.same_data(first, first) and not export.same_data(first, second)


@pytest.mark.parametrize("channels, unit, pen", [(1, "pixels", True), (1, "cm", False), (3, "pixels", False)])
def test_a_pen_is_for_strokes(channels, unit, pen):
    """Not for photographs with a column of their width."""
    width = Measure(unit=unit, rows=((0.0,) * 7,) * 3)
    about = {"shape": (channels, 32, 32), "classes": ("a", "b"), "digest": "0" * 16}
    spec = Spec(name="some", measures={"width": width}, **about)
    assert export.has_strokes(spec) == pen


def test_nothing_of_a_model_before_is_left(untrained, tmp_path, monkeypatch):
    files = dict.fromkeys(("unet.onnx", "unet.f16", "model.json"), b"")
    monkeypatch.setattr(export, "files_of", lambda *_: files)
    for name in ("distilled.onnx", "unet.f16.4194304.tmp"):  # of another model; of an export that was killed
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "own.txt").write_bytes(b"")
    export.export_model(tmp_path, untrained / "ddpm.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "unet.onnx", "unet.f16", "own.txt"}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A function (folder, network) -> its session."""
    return functools.cache(lambda folder, name: unpacked(folder, name, tmp_path_factory.mktemp(name)))


def unpacked(folder, name, place):
    """A network of the page's files, its weights unpacked in a folder as web/weights.js does it."""
    plain, *pairs = json.loads((folder / "model.json").read_text())["sizes"][name]
    halves = np.fromfile(folder / f"{name}.f16", np.float16).astype(np.float32)
    taps = np.split(halves[plain:], 9 * np.cumsum(pairs)[:-1])
    pieces = [halves[:plain], *(np.kron(G, G) @ piece.reshape(9, -1) for piece in taps)]
    np.concatenate([piece.ravel() for piece in pieces]).astype(np.float32).tofile(place / name)
    shutil.copy(folder / f"{name}.onnx", place)
    return onnxruntime.InferenceSession(place / f"{name}.onnx")


@pytest.mark.parametrize("kind", KINDS)
def test_networks(tree, folders, session, kind):
    model = tree.pipeline.load_model(shipped_weights(tree.cpu.tree, kind), kind, FP32)
    random, labels = np.random.default_rng(0), np.array([3, 7, 1 if "distilled" in kind else np.nan, 0, 9])
    tensor, network, space = tree.cpu.tensor, model.network, model.space
    z = random.standard_normal((5, *space.shape)).astype(np.float32)
    y, to = model.conditions(labels, {"width": 12.0}), model.conditions(np.arange(5), {"slant": -10.0})
    images = from_uint8(open_dataset().test.images[:5])

    def between(t, share):
        tokens = (1 - share) * network.tokens(tensor(y)) + share * network.tokens(tensor(to))
        return network.unet.features(tensor(z), tensor(np.full(5, t)), tokens)[-1]

    unet = lambda t, share: {
        "x_t": z, "t": np.array([t]), "y": y, "to": to, "share": np.array([share], np.float32),
    }  # fmt: skip
    at = lambda t: network(tensor(z), tensor(np.full(5, t)), tensor(y))
    folder, name = folders[tree.name][kind]
    cases = [
        *((name, unet(t, 0), lambda t=t: at(t)) for t in (0, 500, 999)),
        (name, unet(900, 0.3), lambda: between(900, 0.3)),
        ("encoder", {"x": images}, lambda: space.encode(tensor(images))),
        ("decoder", {"x": z}, lambda: space.decode(tensor(z))),
    ]
    for each, inputs, compute in cases:
        (found,) = session(folder, each).run(None, inputs)
        np.testing.assert_allclose(found, tree.cpu.array(compute()), atol=1e-4, rtol=0, err_msg=each)


def test_no_onnx_operator_computes_something_else(folders):
    """What ONNX Runtime computes otherwise than PyTorch: logsigmoid (exported as Log of Sigmoid: -inf at -20),
    attention where a mask leaves nothing of a row, a maximum where a NaN is, resized uint8 (cut off, not rounded). And
    noise, of which other programs' optimizers make two draws one: it comes from outside."""
    others = {"Log", "Resize", "ReduceMax", "ArgMax", "Attention"}
    noise = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
    places = [folder for pages in folders.values() for folder, _ in pages.values()]
    for path in (path for folder in places for path in folder.glob("*.onnx")):
        graph = onnx.load(path, load_external_data=False).graph
        assert not {node.op_type for node in graph.node} & (others | noise), path
        makers = {output: node.op_type for node in graph.node for output in node.output}
        scores = [makers[node.input[0]] for node in graph.node if node.op_type == "Softmax"]
        assert set(scores) <= {"MatMul", "FusedMatMul"}, path  # no mask between them


def test_nothing_of_this_machine_is_told(folders):
    for folder, _ in [page for pages in folders.values() for page in pages.values()]:
        known = json.loads((folder / "model.json").read_text())
        assert "source" not in known and str(ROOT) not in (folder / "model.json").read_text()
        files = [*folder.glob("*.onnx"), *folder.glob("*.f16")]
        assert known["files"].keys() == {path.name for path in files}
        told = str(ROOT).encode(), b", line "  # as of a stack trace
        assert not any(word in path.read_bytes() for path in folder.glob("*.onnx") for word in told)


@pytest.mark.parametrize("inputs, outputs, height, width, doubled", [
    (64, 64, 8, 8, False), (128, 64, 4, 4, False), (64, 32, 16, 12, False), (64, 64, 8, 8, True),
])  # fmt: skip
def test_quick_convolutions(inputs, outputs, height, width, doubled):
    """They give what ONNX Runtime's own do, also of an image that was doubled."""
    from onnx import TensorProto, helper, numpy_helper

    normal = lambda *shape: np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x = normal(5, inputs, height // (1 + doubled), width // (1 + doubled))
    weights = {"w": normal(outputs, inputs, 3, 3) / np.float32(3 * inputs**0.5), "b": normal(outputs)}
    source = "large" if doubled else "x"
    nodes = [helper.make_node("Conv", [source, "w", "b"], ["y"], pads=[1] * 4, kernel_shape=[3, 3])]
    if doubled:
        weights["scales"] = np.array([1, 1, 2, 2], np.float32)
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        nodes.insert(0, helper.make_node("Resize", ["x", "", "scales"], ["large"], **how))
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    ends = [value("x", x.shape)], [value("y", (5, outputs, height, width))]
    graph = helper.make_graph(nodes, "convolution", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    compute = lambda: onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    expected = compute()
    assert len(use_winograd(model)) == 1 and "Conv" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(compute(), expected, atol=1e-4, rtol=0)


def test_the_workflow_uploads_what_an_export_has():
    """Of ONNX Runtime's files, which are 90 MB together."""
    kept = re.findall(r"! -name (\S+)", (ROOT / ".github" / "workflows" / "pages.yml").read_text())
    assert sorted(kept) == sorted(export.LOADED)


def test_serve_says_what_is_missing(tmp_path):
    for name in ("index.html", "package.json"):
        (tmp_path / name).touch()
    result = subprocess.run([sys.executable, export.WEB / "serve.py", tmp_path], capture_output=True, text=True)
    assert result.returncode == 2 and "run npm ci --prefix web" in result.stderr


@pytest.mark.skipif(not export.RUNTIME.is_dir(), reason="no `npm ci` in web/")
@pytest.mark.parametrize("change, fragment", [
    ({"checkpoint": "nowhere"}, "does not exist"), ({"checkpoint": "vae"}, "holds a VAE"),
    ({"distilled": "others"}, "not distilled from"), ({"out": "full"}, "holds other files"),
])  # fmt: skip
def test_what_cannot_be_exported(tmp_path, change, fragment):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    path = lambda kind: shipped_weights(ROOT / "pytorch", kind)
    other = load_checkpoint(path("ldm-distilled"))
    others = tmp_path / "others.safetensors"
    save_checkpoint(others, replace(other, spec=replace(other.spec, digest="0" * 16)))
    paths = {
        "nowhere": tmp_path / "nowhere", "full": tmp_path / "full", "vae": path("vae"), "others": others,
    }  # fmt: skip
    options = {"checkpoint": path("ldm"), "out": tmp_path / "site"} | {name: paths[w] for name, w in change.items()}
    with pytest.raises(UserError, match=fragment):
        export.main(export.Export(**options))
    assert not (tmp_path / "site").exists()


def test_serve_sends_each_folder_anew_and_a_broken_download_says_nothing(tmp_path):
    """Though the browser has later files, of another folder that was served at this address before."""
    (tmp_path / "index.html").write_text("<p>hello</p>")
    (tmp_path / "large.bin").write_bytes(bytes(20_000_000))
    shutil.copy(export.WEB / "serve.py", tmp_path)  # as an export does
    command = [sys.executable, tmp_path / "serve.py", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = server.stdout.readline().strip()
    later = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    try:
        with urllib.request.urlopen(f"{url}/large.bin"):
            pass  # closed before it was read
        with urllib.request.urlopen(urllib.request.Request(f"{url}/index.html", headers=later)) as answer:
            assert answer.status == 200 and answer.read() == b"<p>hello</p>"
            assert answer.headers["Cache-Control"] == "no-cache"
    finally:
        server.send_signal(signal.SIGINT)
        said = server.communicate(timeout=60)[1]
    assert said == ""
