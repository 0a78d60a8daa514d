"""docs/PORTING.md says what both frameworks do: each of its cases is run in both, and the pages are made of them."""
import ast
import copy
import gzip
import subprocess
import sys
import tempfile
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import porting
import pytest
import torch
import torchvision
from conftest import ROOT
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

CASES = [case for cases in porting.SUBJECTS.values() for case in cases]


def shown(value):
    """A result as the pages show it: numbers to four digits, and their type unless it is a framework's usual one."""
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    if type(value).__name__.endswith(("Size", "NanoVector")):
        return shown(tuple(value))
    if not isinstance(value, torch.Tensor) and not type(value).__name__.endswith("Var"):
        return shown_numbers(value) if isinstance(value, (float, list)) else str(value).removeprefix("torch.")
    kind = str(value.dtype).removeprefix("torch.")
    numbers = (value.detach() if isinstance(value, torch.Tensor) else value).numpy()
    numbers = numbers.item() if numbers.size == 1 else numbers.tolist()
    return shown_numbers(numbers) + ("" if kind in ("float32", "int32", "int64", "bool") else f" {kind}")


def shown_numbers(value):
    if isinstance(value, list):
        return f"[{', '.join(map(shown_numbers, value))}]"
    return f"{float(f'{value:.4g}'):g}" if isinstance(value, float) else str(value)


def run(words, *lines):
    """What the last of some lines gives, or the name of the error that they raise."""
    words = dict(words)
    *statements, last = chain.from_iterable(ast.parse(line).body for line in lines)
    if not isinstance(last, ast.Expr):
        statements, last = [*statements, last], ast.Expr(ast.Constant(None))
    try:
        with warnings.catch_warnings(action="ignore"):
            exec(compile(ast.Module(statements, []), "case", "exec"), words)
            return shown(eval(compile(ast.Expression(last.value), "case", "eval"), words))
    except Exception as error:
        return type(error).__name__


def seeded_then(line):
    """Whether Python's generator goes on from its seed after an import, in an interpreter of its own."""
    code = f"""
import random, sys
sys.path[:0] = {[str(ROOT / "jittor"), str(ROOT)]!r}
random.seed(0)
{line.replace("import jittor", "import environment")}
print(random.random() == random.Random(0).random())
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def saved(clone=False):
    """A file of PyTorch's with every second number, as a view of all or as a tensor of its own."""
    file, x = f"{tempfile.mkdtemp()}/x.pth", torch.arange(6.0)[::2]
    torch.save({"x": x.clone() if clone else x}, file)
    return file


def digits(prefixes, end=""):
    """A folder with a picture whose row 0 is white, and its label, as MNIST's files under these prefixes."""
    folder, picture = tempfile.mkdtemp(), np.zeros((1, 28, 28), np.uint8)
    picture[:, 0] = 255
    for path in (Path(folder, prefix) for prefix in prefixes):
        path.parent.mkdir(parents=True, exist_ok=True)
        for part, array in (("images-idx3", picture), ("labels-idx1", np.zeros(1, np.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = header + array.tobytes()
            Path(f"{path}-{part}-ubyte{end}").write_bytes(gzip.compress(content) if end else content)
    return f"{folder}/"


def noise(*shape):
    """Standard normal numbers, always the same."""
    return np.random.default_rng(0).standard_normal(shape)


def common_words(tensor):
    """float32([1]) and the like, by a function of a numpy array; and what needs no framework."""
    kind = lambda name: lambda numbers: tensor(np.array(numbers, name))
    words = {"np": np, "Image": Image, "copy": copy, "file": f"{tempfile.mkdtemp()}/grid.png"}
    words |= {word.__name__: word for word in (noise, saved, seeded_then)}
    return words | {name: kind(name) for name in ("uint8", "int32", "int64", "float32")}


def torch_words():
    """The words of a case's lines in PyTorch; docs/PORTING.md explains them."""

    def move(opt, loss):
        opt.zero_grad()
        loss.backward()
        opt.step()

    def rates(opt, schedule):
        found = []
        for _ in range(4):
            found.append(opt.param_groups[0]["lr"])
            opt.step()
            schedule.step()
        return found

    def order(data):
        return [int(x[0]) for x in DataLoader(data, shuffle=True)]

    sets, prefixes = torchvision.datasets, ("MNIST/raw/train", "MNIST/raw/t10k", "EMNIST/raw/emnist-mnist-test")
    return {
        **common_words(torch.tensor), **vars(torch.optim.lr_scheduler), "torch": torch, "nn": torch.nn, "F": functional,
        "weight": lambda numbers: torch.tensor(np.array(numbers, np.float32), requires_grad=True),
        "grad": lambda y, x: torch.autograd.grad(y, x)[0], "freeze": lambda x: x.requires_grad_(False), "move": move,
        "rates": rates, "rate": lambda opt: opt.param_groups[0]["lr"], "seed": torch.manual_seed, "order": order,
        "DataLoader": DataLoader, "TensorDataset": TensorDataset, "MNIST": sets.MNIST, "EMNIST": sets.EMNIST,
        "folder": digits(prefixes), "T": torchvision.transforms, "save_image": torchvision.utils.save_image,
    }  # fmt: skip


def jittor_words(jt):
    """The same in Jittor."""

    def rates(opt, schedule):
        found = []
        for _ in range(4):
            found.append(opt.lr)
            schedule.step()
        return found

    def order(data):
        loader = jt.dataset.DataLoader(data, batch_size=1, shuffle=True)
        return [int(batch[0]) for batch in loader]

    sets, prefixes = jt.dataset, ("train", "t10k", "gzip/emnist-mnist-t10k")
    return {
        **common_words(jt.array), **vars(jt.lr_scheduler), "LambdaLR": jt.optim.LambdaLR, "jt": jt, "nn": jt.nn,
        "weight": lambda numbers: jt.array(np.array(numbers, np.float32)), "grad": jt.grad,
        "freeze": lambda x: x.stop_grad(), "move": lambda opt, loss: opt.step(loss), "rates": rates,
        "rate": lambda opt: opt.lr, "seed": jt.set_global_seed, "order": order, "DataLoader": sets.DataLoader,
        "TensorDataset": sets.TensorDataset, "MNIST": sets.MNIST, "EMNIST": sets.mnist.EMNIST,
        "folder": digits(prefixes, ".gz"), "T": jt.transform, "save_image": jt.save_image,
    }  # fmt: skip


@pytest.fixture(scope="module")
def words(trees):
    return torch_words(), jittor_words(trees["jittor"].device.jt)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_case(case, words):
    """Where a version mends one, the row can go."""
    in_torch, in_jittor = words
    assert run(in_torch, case.given, case.torch) == case.gives
    assert run(in_jittor, porting.jittor(case.given), case.line) == case.comes
    assert run(in_jittor, porting.jittor(case.given), case.cure) == (case.cured or case.gives)


@pytest.mark.parametrize("name", porting.PAGES)
def test_pages_are_made_of_the_cases(name):
    assert (porting.DOCS / name).read_text() == porting.page(*porting.PAGES[name]), "run python tests/porting.py"
