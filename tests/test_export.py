"""The page's networks compute what the frameworks do, from either tree's checkpoint."""
import numpy as np
import onnxruntime
import pytest

from common.files import shipped_weights
from common.mnist import load_mnist
from common.options.sampling import SampleLDM
from publish.export import KINDS, WEB, Export, main


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By tree, the page's files: PyTorch's as they are in the repository, Jittor's made now."""
    made = tmp_path_factory.mktemp("model")
    main(Export(tree="jittor", out=made))
    return {"pytorch": WEB, "jittor": made}


@pytest.mark.parametrize("kind", KINDS)
def test_networks(tree, folders, kind):
    weights = shipped_weights(tree.device.TREE, kind)
    pipeline = tree.pipeline.load_pipeline(SampleLDM(checkpoint=weights, device="cpu", precision="fp32"))
    random, labels = np.random.default_rng(0), np.array([3, 7, 1 if "distilled" in kind else np.nan, 0, 9])
    tensor = lambda array: tree.device.to_tensor(array, "cpu")
    z = random.standard_normal((5, *pipeline.shape)).astype(np.float32)
    t, y = np.array([0, 10, 500, 900, 999]), pipeline.conditions(labels, {"width": 12.0})
    pixels = load_mnist(train=False, limit=5)[0].astype(np.float32) / 127.5 - 1
    cases = {
        "unet": ({"x_t": z, "t": t, "y": y}, lambda: pipeline.unet(tensor(z), tensor(t), tensor(y))),
        "encoder": ({"x": pixels}, lambda: pipeline.encode(tensor(pixels))),
        "decoder": ({"x": z}, lambda: pipeline.pixels(tensor(z))),
    }
    for name, (inputs, compute) in cases.items():
        (found,) = onnxruntime.InferenceSession(folders[tree.name] / kind / f"{name}.onnx").run(None, inputs)
        assert b".py" not in (folders[tree.name] / kind / f"{name}.onnx").read_bytes()  # nothing of who made it
        np.testing.assert_allclose(found, tree.device.to_array(compute()), atol=1e-4, rtol=0, err_msg=name)
