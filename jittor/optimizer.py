"""The optimizer: Muon for matrices, Adam for all other weights."""
import math

from environment import jt
from ops import row_sums

MOMENTUM, EPS = 0.95, 1e-8


def orthogonalize(x):
    """Replace the singular values of x (n, m), very small ones aside, by about 0.7 to 1.2: five Newton-Schulz steps
    X <- (a I + b X X^T + c (X X^T)^2) X (Jordan et al. 2024, Muon). The bracketed factors are small and square: to
    multiply these first, and X once at the end, takes 0.4 of the arithmetic for 3x3 convolutions."""
    if x.shape[0] > x.shape[1]:
        return orthogonalize(x.permute(1, 0)).permute(1, 0)
    x = x / (jt.sqrt(row_sums(x * x, x.shape[1]).sum()) + 1e-7)
    gram, identity = x @ x.permute(1, 0), jt.init.eye(len(x))
    product = identity
    for _ in range(5):
        factor = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        gram, product = factor @ gram @ factor, product @ factor
    return product @ x


class Muon(jt.optim.Optimizer):
    """Muon (Jordan et al. 2024) for weights of two or more axes, as matrices (outputs, all else); Adam for the others.

    A matrix's update is as large as Adam's, 0.2 * rate per element (Liu et al. 2025, Muon is Scalable for LLM Training,
    equation 4): both share a learning rate and a decoupled weight decay. matrices: False uses Adam for all weights."""

    def __init__(self, model, weight_decay, betas=(0.9, 0.99), matrices=True, scale=1.0):
        self.all_weights = [*model.parameters()]
        self.weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        super().__init__([*self.weights.values()], lr=0)
        self.weight_decay, self.betas, self.scale = weight_decay, betas, scale
        self.exp_avg = {name: jt.zeros(weight.shape).stop_grad() for name, weight in self.weights.items()}
        vectors = [name for name, weight in self.weights.items() if weight.ndim < 2 or not matrices]
        self.exp_avg_sq = {name: jt.zeros(self.weights[name].shape).stop_grad() for name in vectors}
        self.steps = {"all": jt.zeros(1).stop_grad()}
        self.state = {"weights": self.weights, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}
        self.state["steps"] = self.steps  # all that --resume needs

    def restore(self, part, arrays):
        """Load arrays {name: array} into one part of self.state."""
        for name, array in arrays.items():
            self.state[part][name].update(jt.array(array))
        jt.sync_all()  # or the first step's kernels fuse with these arrays and round differently

    def backward(self, loss, device):
        """Compute the loss's gradient for these weights alone, averaged over the processes."""
        super().backward(loss)

    def clip(self, max_norm, device):
        """Clip the gradient to max_norm; returns the norm before clipping."""
        grads = [weight.opt_grad(self) for weight in self.weights.values()]
        norm = jt.sqrt(jt.concat([(grad * grad).sum().reshape(1) for grad in grads]).sum())
        scale = jt.minimum(max_norm / (norm + 1e-6), 1.0)
        for grad in grads:
            grad.update(grad * scale)
        return norm

    def step(self, rate):
        """Update the weights with their gradients, at `scale` times the learning rate."""
        self.steps["all"].update(self.steps["all"] + 1)
        rate = rate * self.scale
        for name, weight in self.weights.items():
            grad = weight.opt_grad(self)
            update = self.adam(name, grad) if name in self.exp_avg_sq else self.muon(name, grad)
            weight.update((1 - rate * self.weight_decay) * weight - rate * update)
        self.zero_grad()

    def average_into(self, ema, decay):
        """Update the exponential moving average of the weights, kept in the module ema."""
        with jt.no_grad():
            for average, weight in zip(ema.parameters(), self.all_weights):
                average.update(average + (1 - decay) * (weight - average))
        jt.sync(ema.parameters())  # Jittor is lazy: unsynced, the graph grows with every step

    def average(self, averages, name, value, beta):
        return averages[name].update(beta * averages[name] + (1 - beta) * value)

    def muon(self, name, grad):
        """Muon's update at rate 1: Nesterov momentum, orthogonalised."""
        mean = self.average(self.exp_avg, name, grad, MOMENTUM)
        x = (MOMENTUM * mean + (1 - MOMENTUM) * grad).reshape(grad.shape[0], -1)
        return 0.2 * math.sqrt(max(x.shape)) * orthogonalize(x).reshape(grad.shape)

    def adam(self, name, grad):
        """Adam's update at rate 1 (Kingma and Ba 2015, algorithm 1)."""
        beta_1, beta_2 = self.betas
        mean = self.average(self.exp_avg, name, grad, beta_1) / (1 - beta_1 ** self.steps["all"])
        mean_sq = self.average(self.exp_avg_sq, name, grad * grad, beta_2) / (1 - beta_2 ** self.steps["all"])
        return mean / (mean_sq**0.5 + EPS)
