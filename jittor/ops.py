"""Two operations whose gradients Jittor 1.3.11 computes slowly or inaccurately on the CPU, written by hand.

Its sums along the last axis run one number at a time; a matrix product with a column of ones runs at full speed."""
from environment import jt, nn


def row_sums(x, length):
    """x, cut into rows of this length -> the sum of each, (rows, 1)."""
    return jt.matmul(x.reshape(-1, length), jt.ones((length, 1)))


class NormalizeGroups(jt.Function):
    """Group normalisation (Wu and He 2018) of x (N, C, H, W), the variance in a second pass over x - mean.

    nn.GroupNorm computes E[x^2] - E[x]^2: a relative error of 4e-2 where the mean is 100 standard deviations."""

    def execute(self, x, weight, bias, groups, eps):
        batch, channels, height, width = x.shape
        self.shape = (batch, groups, channels // groups, height * width)
        count = self.shape[2] * self.shape[3]
        rows = x.reshape(batch * groups, count)
        mean = row_sums(rows, count) / count
        variance = row_sums((rows - mean) ** 2, count) / count
        self.x = x.reshape(self.shape)
        self.mean, self.rstd = mean.reshape(batch, groups, 1), (1 / jt.sqrt(variance + eps)).reshape(batch, groups, 1)
        self.weight = weight.reshape(1, groups, -1)
        scale = self.rstd * self.weight  # (batch, groups, channels of a group)
        shift = bias.reshape(1, groups, -1) - self.mean * scale
        return (self.x * scale.unsqueeze(3) + shift.unsqueeze(3)).reshape(x.shape)

    def grad(self, grad):
        batch, groups, width, pixels = self.shape
        grad_4 = grad.reshape(self.shape)
        sums = row_sums(grad_4, pixels).reshape(batch, groups, width)
        products = row_sums(grad_4 * self.x, pixels).reshape(batch, groups, width)
        grad_weight = ((products - self.mean * sums) * self.rstd).sum(dims=[0]).reshape(-1)
        grad_bias = sums.sum(dims=[0]).reshape(-1)
        weighted = (sums * self.weight).sum(dims=[2], keepdims=True)
        slope = (weighted * self.mean - (products * self.weight).sum(dims=[2], keepdims=True)) * self.rstd**3
        slope = slope / (width * pixels)
        offset = -slope * self.mean - weighted * self.rstd / (width * pixels)
        grad_x = grad_4 * (self.rstd * self.weight).unsqueeze(3) + self.x * slope.unsqueeze(3) + offset.unsqueeze(3)
        return grad_x.reshape(grad.shape), grad_weight, grad_bias, None, None


class GroupNorm(nn.Module):
    """nn.GroupNorm by NormalizeGroups, with the same parameters. (N, C, H, W) -> the same."""

    def __init__(self, groups, channels, eps=1e-5):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight, self.bias = jt.ones((channels,)), jt.zeros((channels,))

    def execute(self, x):
        return NormalizeGroups.apply(x, self.weight, self.bias, self.groups, self.eps)


def batched(a, b):
    """a (..., n, m) @ b (..., m, k). On the CPU in C++: a row of the result stays in registers while m runs."""
    if jt.flags.use_cuda:
        return jt.matmul(a, b)
    *batch, n, m = a.shape
    k = b.shape[-1]
    return jt.code([*batch, n, k], "float32", [a, b], cpu_src=f"""
        #pragma omp parallel for
        for (int i = 0; i < in0->num / {n * m}; i++)
            for (int row = 0; row < {n}; row++) {{
                const float* __restrict__ x = in0_p + (i * {n} + row) * {m};
                const float* __restrict__ y = in1_p + i * {m * k};
                float sum[{k}] = {{0}};
                for (int j = 0; j < {m}; j++)
                    for (int column = 0; column < {k}; column++) sum[column] += x[j] * y[j * {k} + column];
                for (int column = 0; column < {k}; column++) out0_p[(i * {n} + row) * {k} + column] = sum[column];
            }}
    """)


class Matmul(jt.Function):
    """a (..., n, m) @ b (..., m, k), whose gradients are such products too, not sums along the last axis."""

    def execute(self, a, b):
        self.a, self.b = a, b
        return batched(a, b)

    def grad(self, grad):
        return batched(grad, self.b.transpose(-2, -1)), batched(self.a.transpose(-2, -1), grad)
