"""The page's networks compute what the frameworks do, from either tree's checkpoint."""
import numpy as np
import onnxruntime
import pytest
from conftest import FP32

from common.data.dataset import open_dataset
from common.files import shipped_weights
from common.images import from_uint8
from publish.export import KINDS, WEB, Export, main


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By tree, the page's files: PyTorch's as they are in the repository, Jittor's made now."""
    made = tmp_path_factory.mktemp("model")
    main(Export(tree="jittor", out=made))
    return {"pytorch": WEB, "jittor": made}


@pytest.mark.parametrize("kind", KINDS)
def test_networks(tree, folders, kind):
    model = tree.pipeline.load_model(shipped_weights(tree.cpu.tree, kind), kind, FP32)
    random, labels = np.random.default_rng(0), np.array([3, 7, 1 if "distilled" in kind else np.nan, 0, 9])
    tensor, network, space = tree.cpu.tensor, model.network, model.space
    z = random.standard_normal((5, *space.shape)).astype(np.float32)
    t, y = np.array([0, 10, 500, 900, 999]), model.conditions(labels, {"width": 12.0})
    images = from_uint8(open_dataset().test.images[:5])
    cases = {
        "unet": ({"x_t": z, "t": t, "y": y}, lambda: network(tensor(z), tensor(t), tensor(y))),
        "encoder": ({"x": images}, lambda: space.encode(tensor(images))),
        "decoder": ({"x": z}, lambda: space.decode(tensor(z))),
    }
    for name, (inputs, compute) in cases.items():
        (found,) = onnxruntime.InferenceSession(folders[tree.name] / kind / f"{name}.onnx").run(None, inputs)
        assert b".py" not in (folders[tree.name] / kind / f"{name}.onnx").read_bytes()  # nothing of who made it
        np.testing.assert_allclose(found, tree.cpu.array(compute()), atol=1e-4, rtol=0, err_msg=name)
