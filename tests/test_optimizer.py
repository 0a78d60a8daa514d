"""Muon and Adam of both trees, against torch's own."""
import numpy as np
import pytest
import torch

from common.options.networks import VAEConfig


@pytest.mark.parametrize("shape", [(24, 60), (60, 24)])
def test_orthogonalize(tree, shape):
    """The same singular vectors, and singular values near 1, whether they were large or a hundredth of that."""
    random = np.random.default_rng(0)
    u, v = (np.linalg.qr(random.standard_normal((side, 24)))[0] for side in shape)
    x = (u * np.geomspace(5, 0.05, 24)) @ v.T
    found = tree.cpu.array(tree.optimizer.orthogonalize(tree.cpu.tensor(x.astype(np.float32))))
    values = u.T @ found @ v
    assert (np.abs(np.diag(values) - 0.95) < 0.3).all()
    np.testing.assert_allclose(values, np.diag(np.diag(values)), atol=1e-3)


@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.0, 0.99)])
@pytest.mark.parametrize("muon", [True, False])
def test_steps(tree, muon, betas):
    """Five steps of an autoencoder: matrices as torch's Muon moves them, in its bf16; all else as its AdamW does."""
    torch.manual_seed(0)
    network = tree.vae.VAE(VAEConfig(base_channels=8), (1, 32, 32))
    before = {name: tree.cpu.array(value).copy() for name, value in network.named_parameters()}
    random = np.random.default_rng(1)
    pulls = {name: random.standard_normal(value.shape).astype(np.float32) for name, value in before.items()}
    theirs = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in before.items()}
    matrices = {name: weight for name, weight in theirs.items() if weight.ndim > 1 and muon}
    flat = {name: torch.nn.Parameter(weight.detach().flatten(1)) for name, weight in matrices.items()}
    rest = [weight for name, weight in theirs.items() if name not in flat]
    others = [torch.optim.AdamW(rest, lr=0.01, betas=betas, weight_decay=0.1)]
    if muon:
        others += [torch.optim.Muon(flat.values(), lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")]
    ours = tree.optimizer.Muon(network, weight_decay=0.1, betas=betas, matrices=muon, scale=2)
    for step in range(5):
        weights = network.named_parameters()
        loss = sum(((step + 1) * tree.cpu.tensor(pulls[name]) * weight).sum() for name, weight in weights)
        ours.backward(loss, tree.cpu)
        ours.step(0.005)  # at twice the rate, by its scale
        for name, weight in (theirs | flat).items():
            weight.grad = torch.tensor((step + 1) * pulls[name]).reshape(weight.shape)
        for other in others:
            other.step()
    for name, value in network.named_parameters():
        moved = tree.cpu.array(value) - before[name]
        expected = (theirs | flat)[name].detach().numpy().reshape(moved.shape) - before[name]
        tolerance = 0.03 if name in flat else 1e-4
        assert np.linalg.norm(moved - expected) <= tolerance * np.linalg.norm(expected), name
