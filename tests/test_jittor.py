"""Jittor 1.3.11: what environment.py and ops.py are there for.

Where a line marked as the fault fails, Jittor has mended it, and what we do about it can go.
"""
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, assert_user_error

from common.errors import UserError
from common.machine import cores, multiplies_bf16
from common.options.where import Where

TREE = ROOT / "jittor"


def run(code, **environment):
    """Run code in a fresh interpreter with the Jittor tree on its path."""
    code = f"import sys; sys.path[:0] = [{str(TREE)!r}, {str(ROOT)!r}]\n{code}"
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=900)


def test_import_is_quiet_and_leaves_the_process_as_it_was():
    assert run("import environment").returncode == 0  # where Jittor has never compiled, this says so
    result = run("""
import multiprocessing, signal, ssl
before = ssl._create_default_https_context, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGCHLD)
import environment, jittor
assert "torch" not in sys.modules
assert (ssl._create_default_https_context, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGCHLD)) == before
assert jittor.flags.log_silent == 0 and jittor.compile_extern.mkl_ops is not None
assert "site-packages" in jittor.__file__
assert not multiprocessing.active_children()  # Ctrl-C would kill them, and this process would wait for them for ever
print("fine")
""")
    assert result.returncode == 0 and result.stdout == "fine\n", result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize("words, threads", [("3", 3), ("4,2", 4), ("", None)])
def test_the_threads_that_a_result_names(trees, monkeypatch, words, threads):
    """OpenMP's variable may hold a number for each level of nesting."""
    monkeypatch.setenv("OMP_NUM_THREADS", words)
    assert trees["jittor"].cpu.describe()["threads"] == (threads or cores())


def test_kernels_are_compiled_at_once(jt, tmp_path):
    """g++ takes the parsed headers for a kernel's options; they are made again after a new core. Only kernels that say
    @begin are compiled by asm_tuner.py."""
    from environment import KERNEL, compile_at_once

    (tmp_path / "jittor_core.so").touch()
    flags = SimpleNamespace(cache_path=str(tmp_path), cc_type="g++", cc_path=jt.flags.cc_path)
    own = re.sub(r"--include=\S+", "", jt.flags.cc_flags)

    def compile_sooner(cc_flags=own):
        flags.cc_flags, flags.python_path = cc_flags, "echo by Python:"
        compile_at_once(SimpleNamespace(flags=flags, compiler=jt.compiler))
        names = {path.name for path in tmp_path.iterdir()}
        assert names <= {"jittor_core.so", "compiler.sh", "headers.h", "headers.h.gch"}
        return tmp_path / "headers.h.gch"

    assert compile_sooner("--no-such-option").exists() is False and flags.cc_flags == "--no-such-option"
    parsed = compile_sooner()
    assert (tmp_path / "headers.h").read_text() == KERNEL and f"--include={tmp_path}/headers.h" in flags.cc_flags
    first = parsed.stat().st_mtime
    assert compile_sooner().stat().st_mtime == first
    os.utime(tmp_path / "jittor_core.so", (first + 9, first + 9))
    assert compile_sooner().stat().st_mtime > first

    (tmp_path / "compiler.sh").write_text("of another environment")
    compile_sooner()

    content = KERNEL + "namespace jittor { void FusedOp::jit_run() { LOGe << 1; } }\n"
    (tmp_path / "a_op.cc").write_text(content)
    (tmp_path / "b_op.cc").write_text(content + "// @begin replace\n")
    options = f"-Winvalid-pch -H {jt.compiler.fix_cl_flags(flags.cc_flags)}"

    def compiled(name, script="asm_tuner.py"):  # as Jittor does it
        command = f'{flags.python_path} utils/{script} --cc_path="{flags.cc_path}" "{tmp_path}/{name}.cc" {options}'
        command += f' -o "{tmp_path}/{name}.so"'
        result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result

    result = compiled("a_op")
    assert f"! {parsed}" in result.stderr and "warning" not in result.stderr and result.stdout == ""
    assert (tmp_path / "a_op.so").is_file()
    assert compiled("b_op").stdout.startswith("by Python: utils/asm_tuner.py --cc_path=")
    assert compiled("a_op", "dlink_compiler.py").stdout.startswith("by Python: utils/dlink_compiler.py")


@pytest.mark.parametrize("script, arguments", [
    ("tst_mnist.py", ["--checkpoint", "ddpm.safetensors", "--num", "2", "--steps", "1"]),
    ("train_mnist_vae.py", ["--vae.base-channels", "8", "--limit", "128", "--epochs", "1", "--tensorboard"]),
])  # fmt: skip
def test_scripts_never_import_torch(untrained, script, arguments, tmp_path):
    arguments = [str(untrained / word) if word.endswith("safetensors") else word for word in arguments]
    result = run(f"""
import runpy
sys.path.insert(0, "{TREE / 'script'}")  # as python does for a script
sys.argv = {[script, *arguments, "--out", str(tmp_path)]}
runpy.run_path("{TREE / 'script' / script}", run_name="__main__")
assert "jittor" in sys.modules
assert not [name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision", "accelerate")]
print("fine")
""")
    assert result.stdout.endswith("fine\n"), result.stderr
    assert list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("change, told", [
    ("importlib.util.find_spec = lambda name: None", "Jittor is not installed: pip install -r requirements.txt"),
    ("sys.version_info = (3, 13)", "use 3.11 or 3.12"),
    ("sysconfig.get_path = lambda name: '/nowhere'", "apt install python3-dev"),
])  # fmt: skip
def test_what_jittor_lacks_is_told(change, told):
    result = run(f"import importlib.util, sysconfig, common.files\n{change}\nimport environment")
    assert "UserError: " in result.stderr and told in result.stderr


def start(**environment):
    """Start a script where the environment is another."""
    command = [sys.executable, str(TREE / "script" / "tst_mnist_vae.py")]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_a_missing_compiler_is_told(tmp_path):
    assert_user_error(start(PATH=str(tmp_path), cc_path=""), "g++", "apt install g++")  # Jittor may have set cc_path


def test_a_path_that_the_shell_takes_apart_is_told(tmp_path):
    """Before anything is compiled: of the command that compiles a kernel not all is quoted."""
    result = start(JITTOR_HOME=str(tmp_path / "my jittor"))
    assert_user_error(result, "with ' ' in a path", tmp_path / "my jittor", "JITTOR_HOME")
    assert not (tmp_path / "my jittor").exists()


def test_jittor_that_ends_while_it_is_imported_is_told(tmp_path):
    """With 0, as where its first part was not whole or its cache was moved: nothing was done yet."""
    (tmp_path / "jittor").mkdir()
    (tmp_path / "jittor" / "__init__.py").write_text("raise SystemExit(0)")
    result = start(PYTHONPATH=str(tmp_path))
    assert_user_error(result, "compiled a part of itself again", "the same command once more")


def test_jittor_home_holds_for_this_process_alone(tmp_path):
    """Jittor would write it into HOME, for every program to come; so would the process that compiles a kernel."""
    result = run("""
import subprocess
from environment import jt
subprocess.run(f"{jt.flags.python_path} -c 'import jittor_utils; print(jittor_utils.home())'", shell=True, check=True)
""", HOME=str(tmp_path), JITTOR_HOME=os.path.expanduser("~"))  # where it is compiled
    assert result.returncode == 0 and result.stdout.split() == [os.path.expanduser("~")], result.stderr
    assert not [*tmp_path.iterdir()]


def test_onednn_that_is_there_stays(jt, tmp_path):
    from environment import lay_out_onednn

    given, new = (tmp_path / name / "mkl" / "dnnl_lnx_2.2.0_cpu_gomp" for name in ("given", "new"))
    (given / "lib").mkdir(parents=True)
    (given / "lib" / "libmkldnn.so").write_text("mine")
    lay_out_onednn(tmp_path / "given")
    assert (given / "lib" / "libmkldnn.so").read_text() == "mine"
    lay_out_onednn(tmp_path / "new")
    assert sorted(path.name for path in new.iterdir()) == ["include", "lib"]


@pytest.mark.slow  # two to five minutes: Jittor compiles itself
def test_fresh_home_offline(tmp_path):
    """Import, a convolution at full speed, one line of news, and no second compilation; no proxy, no host reached."""
    code = """
import socket
def refuse(*_, **__): raise OSError("no network here")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import environment, jittor, time
x, w, fastest = jittor.randn(64, 64, 32, 32), jittor.randn(64, 64, 3, 3), 1e9
for _ in range(9):
    start = time.perf_counter()
    jittor.nn.conv2d(x, w, padding=1).sync()
    fastest = min(fastest, time.perf_counter() - start)
print(2 * 64 * 64 * 64 * 9 * 1024 / fastest / 1e9)
"""
    first = run(code, HOME=str(tmp_path))
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith("Jittor compiles itself for this machine, once") and "rror" not in first.stderr
    assert float(first.stdout) > 20  # GFLOP/s; 1.7 without oneDNN, 70 a core with it
    second = run(code, HOME=str(tmp_path))
    assert second.returncode == 0 and second.stderr == "", second.stderr


@pytest.fixture(scope="module")
def jt(trees):
    return trees["jittor"].device.jt


def reference(x, groups):
    """Group normalisation of x (N, C, H, W) in float64."""
    rows = x.astype(np.float64).reshape(x.shape[0], groups, -1)
    rows = (rows - rows.mean(axis=2, keepdims=True)) / np.sqrt(rows.var(axis=2, keepdims=True) + 1e-5)
    return rows.reshape(x.shape)


def test_group_norm_far_from_zero(jt, trees):
    x = (100 + np.random.default_rng(0).standard_normal((4, 16, 16, 16))).astype(np.float32)
    error = lambda module: np.abs(module(jt.array(x)).numpy() - reference(x, 8)).max()
    assert error(jt.nn.GroupNorm(8, 16)) > 1e-2  # the fault
    assert error(trees["jittor"].blocks.GroupNorm(8, 16)) < 1e-4


def test_gradients_of_our_operations(jt, trees):
    """Ours and their gradients against Jittor's own, which are slow but right."""
    from ops import normalize_groups  # on CUDA

    blocks, rng = trees["jittor"].blocks, np.random.default_rng(0)
    array = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    x, g = array(3, 16, 4, 4), array(3, 16, 4, 4)
    weight, bias, q, k, v, h = array(16), array(16), *(array(2, length, 12) for length in (5, 7, 7, 5))
    large = array(2, 5, 12), *(array(2, 2**16 + 1, 12) for _ in range(2))  # do not fit on a stack

    def gradients(compute, upstream, *arrays):
        inputs = [jt.array(array) for array in arrays]
        y = compute(*inputs)
        return [v.numpy() for v in (y, *jt.grad((y * jt.array(upstream)).sum(), inputs))]

    def library(x, weight, bias):
        return jt.nn.group_norm(x, 8, weight, bias)

    def ours(x, weight, bias, name="execute"):
        norm = blocks.GroupNorm(8, 16)
        norm.weight, norm.bias = weight, bias
        return getattr(norm, name)(x)

    def attention(q, k, v):
        q, k, v = (x.reshape(2, -1, 3, 4).permute(0, 2, 1, 3) for x in (q, k, v))
        weights = jt.nn.softmax(jt.matmul(q, k.permute(0, 1, 3, 2)) / 2, dim=-1)
        return jt.matmul(weights, v).permute(0, 2, 1, 3).reshape(2, -1, 12)

    interpolate = lambda x: jt.nn.interpolate(x, scale_factor=2, mode="nearest")
    for compute, mine, upstream, *given in (
        (library, ours, g, x, weight, bias),
        (library, lambda *inputs: normalize_groups(*inputs, 8, 1e-5), g, x, weight, bias),
        (lambda *inputs: jt.nn.silu(library(*inputs)), lambda *inputs: ours(*inputs, "silu"), g, x, weight, bias),
        (attention, lambda *inputs: blocks.attend(*inputs, 3), h, q, k, v),
        (attention, lambda *inputs: blocks.attend(*inputs, 3), h, *large),
        (interpolate, blocks.doubled, array(3, 16, 8, 8), x),
    ):
        theirs, mine = gradients(compute, upstream, *given), gradients(mine, upstream, *given)
        for expected, found in zip(theirs, mine, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)


BF16 = pytest.mark.skipif(not multiplies_bf16(), reason="this processor does not multiply bf16")
LAYERS = {  # of every kind of layer, and the shape of its input
    "3x3": (lambda nn: nn.Conv2d(12, 20, 3, padding=1), (5, 12, 9, 7)),
    "1x1": (lambda nn: nn.Conv2d(12, 20, 1), (5, 12, 6, 6)),
    "halved": (lambda nn: nn.Conv2d(12, 20, 3, stride=2, padding=1), (3, 12, 8, 8)),
    "many": (lambda nn: nn.Conv2d(64, 64, 3, padding=1), (40, 64, 8, 8)),
    "linear": (lambda nn: nn.Linear(24, 10), (3, 7, 24)),
    "linear, no bias": (lambda nn: nn.Linear(24, 10, bias=False), (9, 24)),
}


@BF16
@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_bf16(jt, trees, name):
    """Output and gradients: those of numbers rounded to bf16, in float32; and in float32 Jittor's own, bit for bit."""
    import torch

    (build, shape), rng = LAYERS[name], np.random.default_rng(0)
    library, layer, torchs = build(jt.nn), build(trees["jittor"].blocks), build(torch.nn)
    weights = {name: value.detach().numpy() for name, value in torchs.state_dict().items()}
    for module in (library, layer):
        module.load_state_dict(weights)
    x, rounded = rng.standard_normal(shape).astype(np.float32), lambda t: t.bfloat16().float()
    x_torch = torch.tensor(x, requires_grad=True)
    with torch.no_grad():
        grad = rounded(torch.tensor(rng.standard_normal(torchs(x_torch).shape).astype(np.float32)))
        torchs.weight.copy_(rounded(torchs.weight))
    y = torchs(rounded(x_torch))
    y.backward(grad)
    expected = [y.detach(), x_torch.grad, *(weight.grad for weight in torchs.parameters())]

    def results(module, precision):
        given = jt.array(x)
        with trees["jittor"].device.Device(Where(device="cpu", precision=precision)).autocast():
            y = module(given)
        inputs = [given, *module.parameters()]
        return [v.numpy() for v in (y, *jt.grad((y * jt.array(grad.numpy())).sum(), inputs))]

    for a, b in zip(results(layer, "bf16"), expected, strict=True):
        assert np.linalg.norm(a - b.numpy()) < 2e-3 * np.linalg.norm(b), a.shape  # x's own gradient is not rounded
    for a, b in zip(results(layer, "fp32"), results(library, "fp32"), strict=True):
        np.testing.assert_array_equal(a, b)


@BF16
def test_precision(trees):
    """auto is bf16 on this processor; inference keeps it, unless it is to be exact; no processor, no bf16."""
    device = trees["jittor"].device
    enabled, auto = device.bf16.enabled, device.Device(Where(device="cpu"))
    assert auto.describe()["dtype"] == "bf16" and trees["jittor"].cpu.describe()["dtype"] == "fp32"
    with auto.autocast():
        with auto.inference():
            assert enabled()
        with auto.inference(exact=True):
            assert not enabled()
        assert enabled()
    assert not enabled()


def test_bf16_elsewhere_is_told(trees, monkeypatch):
    device = trees["jittor"].device
    monkeypatch.setattr(device.bf16, "available", lambda: False)
    assert device.Device(Where(device="cpu")).describe()["dtype"] == "fp32"
    with pytest.raises(UserError, match="--precision bf16"):
        device.Device(Where(device="cpu", precision="bf16"))


def test_full_mean_is_inaccurate(jt):
    ones = jt.ones((100_352,))
    assert abs(ones.mean().item() - 1) > 1e-4  # the fault: losses are means of each image's mean
    assert abs(jt.ones((98, 1, 32, 32)).mean(dims=[1, 2, 3]).mean().item() - 1) < 1e-6


def test_seeds_0_and_1_are_the_same(jt, trees):
    """Why Device.seed takes others: a network of --seed 0 would begin with the weights of one of --seed 1."""

    def weights(seed, seed_all):
        seed_all(seed)
        return jt.nn.Linear(3, 3).weight.numpy()

    np.testing.assert_array_equal(*(weights(seed, jt.set_global_seed) for seed in (0, 1)))  # the fault
    zero, one, last = (weights(seed, trees["jittor"].cpu.seed) for seed in (0, 1, 2**32 - 1))  # the last of --seed
    np.testing.assert_array_equal(zero, weights(0, jt.set_global_seed))  # what began with seed 0 still begins so
    assert not np.array_equal(zero, one) and not np.array_equal(one, last)


def test_numbers_of_near_seeds_correlate(jt, trees):
    """Why Device.seed spreads them: networks of --seed 1 and 2 would begin with weights that are alike."""

    def weights(seed, seed_all):
        seed_all(seed)
        return jt.nn.Linear(100, 100).weight.numpy().ravel()

    pairs = [(1, 2), (2, 4), (3, 4)]
    alike = lambda seed_all: [abs(np.corrcoef(*(weights(seed, seed_all) for seed in pair))[0, 1]) for pair in pairs]
    assert min(alike(jt.set_global_seed)[:2]) > 0.4  # the fault
    assert max(alike(trees["jittor"].cpu.seed)) < 0.05


def test_version_is_the_one_that_was_tested(jt):
    assert re.match(r"1\.3\.11", jt.__version__)
