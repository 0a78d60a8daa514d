"""Muon for matrices, Adam for all else."""
import math

import torch

MOMENTUM, BETAS, EPS = 0.95, (0.9, 0.99), 1e-8


def orthogonalize(x):
    """x (n, m) with singular values of about 0.7 to 1.2 in place of its own, but for the very small.

    Five steps of Newton-Schulz, X <- (a I + b X X^T + c (X X^T)^2) X (Jordan et al. 2024, Muon), of which only the
    product of the brackets, on the shorter side, is kept until the end: a third of the arithmetic.
    """
    if x.shape[0] > x.shape[1]:
        return orthogonalize(x.permute(1, 0)).permute(1, 0)
    x = x / (x.norm() + 1e-7)
    gram, product = x @ x.permute(1, 0), torch.eye(len(x), device=x.device)
    identity = product
    for _ in range(5):
        factor = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        gram, product = factor @ gram @ factor, product @ factor
    return product @ x


class Muon:
    """Muon (Jordan et al. 2024) for weights of two and more axes, as matrices (outputs, all else); Adam for the rest.

    A matrix moves by as much as Adam would move it, 0.2 rate per element (Liu et al. 2025, Muon is Scalable for LLM
    Training, equation 4), so that one rate, and one decoupled decay of the weights, serves both.
    """

    def __init__(self, model, weight_decay):
        self.weight_decay, self.steps, self.weights = weight_decay, 0, dict(model.named_parameters())
        self.exp_avg = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        vectors = [name for name, weight in self.weights.items() if weight.ndim < 2]
        self.exp_avg_sq = {name: torch.zeros_like(self.weights[name]) for name in vectors}
        self.state = {"weight": self.weights, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}  # for --resume

    @torch.no_grad()
    def step(self, rate):
        """Move the weights by their gradients."""
        self.steps += 1
        for name, weight in self.weights.items():
            update = (self.matrix if weight.ndim > 1 else self.vector)(name, weight.grad)
            weight.mul_(1 - rate * self.weight_decay).sub_(rate * update)
            weight.grad = None

    def average(self, averages, name, value, beta):
        """The moving average of a value under this name."""
        averages[name].lerp_(value, 1 - beta)
        return averages[name]

    def matrix(self, name, grad):
        """Muon's step for rate 1: Nesterov momentum, orthogonalised."""
        mean = self.average(self.exp_avg, name, grad, MOMENTUM)
        x = (MOMENTUM * mean + (1 - MOMENTUM) * grad).reshape(grad.shape[0], -1)
        return 0.2 * math.sqrt(max(x.shape)) * orthogonalize(x).reshape(grad.shape)

    def vector(self, name, grad):
        """Adam's step for rate 1 (Kingma and Ba 2015, algorithm 1)."""
        mean = self.average(self.exp_avg, name, grad, BETAS[0]) / (1 - BETAS[0] ** self.steps)
        mean_sq = self.average(self.exp_avg_sq, name, grad * grad, BETAS[1]) / (1 - BETAS[1] ** self.steps)
        return mean / (mean_sq**0.5 + EPS)
