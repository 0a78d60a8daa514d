"""Operations that Jittor 1.3.11 computes slowly or inaccurately on the CPU, rewritten, and layers with autocast.

Jittor sums along the last axis one number at a time; a matrix product with a column of ones runs at full speed."""
import bf16
from environment import jt, nn, silu


def header(**constants):
    """A C++ header that defines these constants."""
    return "#include <cmath>\n" + "".join(f"#define {name} {value}\n" for name, value in constants.items())


def row_sums(x, length):
    """Cut x into rows of this length -> the sum of each row, (rows, 1)."""
    return jt.matmul(x.reshape(-1, length), jt.ones((length, 1)))


def normalize_groups(x, weight, bias, groups, eps):
    """Group normalisation (Wu and He 2018) of x (N, C, H, W), with the variance from a second pass over x - mean.

    nn.GroupNorm computes E[x^2] - E[x]^2: a relative error of 4e-2 where the mean is 100 standard deviations."""
    count = x.shape[1] // groups * x.shape[2] * x.shape[3]
    rows = x.reshape(-1, count)
    rows = rows - row_sums(rows, count) / count
    rows = rows / jt.sqrt(row_sums(rows**2, count) / count + eps)
    return rows.reshape(x.shape) * weight.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)


# One group of one image at a time, which fits the processor's cache; moments (N, groups, 2) are mean and 1 / std.
NORMALIZE = r"""
const long channels = in0_shape1, width = channels / GROUPS, pixels = in0_shape2 * in0_shape3, count = width * pixels;
#pragma omp parallel for
for (int group = 0; group < GROUPS; group++)
    for (long i = group; i < in0_shape0 * GROUPS; i += GROUPS) {
        const float* __restrict__ x = in0_p + i * count;
        float* __restrict__ y = out0_p + i * count;
        float sum = 0, squares = 0;
        for (long j = 0; j < count; j++) sum += x[j];
        const float mean = sum / count;
        for (long j = 0; j < count; j++) squares += (x[j] - mean) * (x[j] - mean);
        const float rstd = 1 / std::sqrt(squares / count + EPS);
        out1_p[2 * i] = mean, out1_p[2 * i + 1] = rstd;
        for (long c = 0; c < width; c++) {
            const float scale = rstd * in1_p[group * width + c], shift = in2_p[group * width + c] - mean * scale;
            for (long j = c * pixels; j < (c + 1) * pixels; j++) {
                const float v = x[j] * scale + shift;
                y[j] = SILU ? v / (1 + std::exp(-v)) : v;
            }
        }
    }
"""
NORMALIZE_GRAD = r"""
const long channels = in0_shape1, width = channels / GROUPS, pixels = in0_shape2 * in0_shape3, count = width * pixels;
memset(out1_p, 0, out1->size), memset(out2_p, 0, out2->size);
#pragma omp parallel for
for (int group = 0; group < GROUPS; group++)
    for (long i = group; i < in0_shape0 * GROUPS; i += GROUPS) {
        const float* __restrict__ x = in0_p + i * count;
        const float* __restrict__ dy = in4_p + i * count;
        float* __restrict__ dx = out0_p + i * count;
        const float mean = in3_p[2 * i], rstd = in3_p[2 * i + 1];
        float weighted = 0, product = 0;
        for (long channel = group * width; channel < (group + 1) * width; channel++) {
            const float weight = in1_p[channel], scale = rstd * weight, shift = in2_p[channel] - mean * scale;
            const long first = (channel - group * width) * pixels;
            float sum = 0, dot = 0;
            for (long j = first; j < first + pixels; j++) {
                const float v = x[j] * scale + shift, sigmoid = 1 / (1 + std::exp(-v));
                const float d = SILU ? dy[j] * sigmoid * (1 + v * (1 - sigmoid)) : dy[j];
                dx[j] = d * scale, sum += d, dot += d * (x[j] - mean);
            }
            out1_p[channel] += dot * rstd, out2_p[channel] += sum;
            weighted += sum * scale, product += dot * scale;
        }
        const float slope = -product * rstd * rstd / count, offset = -weighted / count - slope * mean;
        for (long j = 0; j < count; j++) dx[j] += x[j] * slope + offset;
    }
"""


class NormalizeOnCPU(jt.Function):
    """normalize_groups(), followed by silu if activated, in one kernel."""

    def execute(self, x, weight, bias, groups, eps, activated):
        self.inputs = x, weight, bias
        self.header = header(GROUPS=groups, EPS=f"{eps}f", SILU=int(activated))
        shapes = [x.shape, (len(x), groups, 2)]
        y, self.moments = jt.code(shapes, ["float32"] * 2, self.inputs, cpu_header=self.header, cpu_src=NORMALIZE)
        return y

    def grad(self, grad):
        inputs, shapes = [*self.inputs, self.moments, grad], [x.shape for x in self.inputs]
        grads = jt.code(shapes, ["float32"] * 3, inputs, cpu_header=self.header, cpu_src=NORMALIZE_GRAD)
        return *grads, None, None, None


class GroupNorm(nn.Module):
    """nn.GroupNorm with the variance from a second pass, and the same parameters. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, groups, channels, eps=1e-5):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight, self.bias = jt.ones((channels,)), jt.zeros((channels,))

    def execute(self, x):
        return self.normalize(x, False)

    def silu(self, x):
        """silu(self(x))."""
        return self.normalize(x, True)

    def normalize(self, x, activated):
        if jt.flags.use_cuda:
            y = normalize_groups(x, self.weight, self.bias, self.groups, self.eps)
            return silu(y) if activated else y
        return NormalizeOnCPU.apply(x, self.weight, self.bias, self.groups, self.eps, activated)


# One head of one image at a time; weights (B, heads, N, L) are the softmax, which the gradient needs.
ATTEND = r"""
const long N = in0_shape1, C = HEADS * D;
#pragma omp parallel for
for (long i = 0; i < in0_shape0 * HEADS; i++) {
    const long here = i / HEADS * N * C + i % HEADS * D, there = i / HEADS * L * C + i % HEADS * D;
    float keys[D][L], values[L][D];
    for (int j = 0; j < L; j++)
        for (int e = 0; e < D; e++) keys[e][j] = in1_p[there + j * C + e], values[j][e] = in2_p[there + j * C + e];
    for (long row = 0; row < N; row++) {
        float score[L] = {0}, largest = -INFINITY, total = 0, sum[D] = {0};
        for (int e = 0; e < D; e++)
            for (int j = 0; j < L; j++) score[j] += in0_p[here + row * C + e] * keys[e][j];
        for (int j = 0; j < L; j++) largest = std::max(largest, score[j]);
        for (int j = 0; j < L; j++) total += score[j] = std::exp((score[j] - largest) * SCALE);
        for (int j = 0; j < L; j++) out1_p[(i * N + row) * L + j] = score[j] /= total;
        for (int j = 0; j < L; j++)
            for (int e = 0; e < D; e++) sum[e] += score[j] * values[j][e];
        for (int e = 0; e < D; e++) out0_p[here + row * C + e] = sum[e];
    }
}
"""
ATTEND_GRAD = r"""
const long N = in0_shape1, C = HEADS * D;
#pragma omp parallel for
for (long i = 0; i < in0_shape0 * HEADS; i++) {
    const long here = i / HEADS * N * C + i % HEADS * D, there = i / HEADS * L * C + i % HEADS * D;
    float keys[L][D], values[D][L], dkeys[L][D] = {0}, dvalues[L][D] = {0};
    for (int j = 0; j < L; j++)
        for (int e = 0; e < D; e++) keys[j][e] = in1_p[there + j * C + e], values[e][j] = in2_p[there + j * C + e];
    for (long row = 0; row < N; row++) {
        const float* weights = in3_p + (i * N + row) * L;
        float q[D], dy[D], dq[D] = {0}, dscore[L] = {0}, mean = 0;
        for (int e = 0; e < D; e++) q[e] = in0_p[here + row * C + e], dy[e] = in4_p[here + row * C + e];
        for (int e = 0; e < D; e++)
            for (int j = 0; j < L; j++) dscore[j] += dy[e] * values[e][j];
        for (int j = 0; j < L; j++) mean += weights[j] * dscore[j];
        for (int j = 0; j < L; j++) dscore[j] = weights[j] * (dscore[j] - mean) * SCALE;
        for (int j = 0; j < L; j++)
            for (int e = 0; e < D; e++) {
                dvalues[j][e] += weights[j] * dy[e];
                dkeys[j][e] += dscore[j] * q[e];
                dq[e] += dscore[j] * keys[j][e];
            }
        for (int e = 0; e < D; e++) out0_p[here + row * C + e] = dq[e];
    }
    for (int j = 0; j < L; j++)
        for (int e = 0; e < D; e++) out1_p[there + j * C + e] = dkeys[j][e], out2_p[there + j * C + e] = dvalues[j][e];
}
"""


LARGEST_HEAD = 2**18  # numbers in K: Attend keeps four such arrays on a thread's stack


class Attend(jt.Function):
    """Multi-head softmax(Q K^T / sqrt(d)) V, d channels per head: q (B, N, C), k, v (B, L, C) -> (B, N, C)."""

    def execute(self, q, k, v, heads):
        self.inputs, dim, length = (q, k, v), q.shape[2] // heads, k.shape[1]
        self.header = header(HEADS=heads, D=dim, L=length, SCALE=f"{dim**-0.5}f")
        shapes = [q.shape, (len(q), heads, q.shape[1], length)]
        y, self.weights = jt.code(shapes, ["float32"] * 2, self.inputs, cpu_header=self.header, cpu_src=ATTEND)
        return y

    def grad(self, grad):
        inputs, shapes = [*self.inputs, self.weights, grad], [x.shape for x in self.inputs]
        grads = jt.code(shapes, ["float32"] * 3, inputs, cpu_header=self.header, cpu_src=ATTEND_GRAD)
        return *grads, None


def doubled(x):
    """Nearest-neighbour doubling. (B, C, H, W) -> (B, C, 2H, 2W). Jittor's interpolate computes an index per pixel."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height, 1, width, 1).broadcast([batch, channels, height, 2, width, 2], [])
    return x.reshape(batch, channels, 2 * height, 2 * width)


class Conv2d(nn.Conv2d):
    """nn.Conv2d, in bfloat16 within an autocast."""

    def execute(self, x):
        if not bf16.enabled():
            return super().execute(x)
        return bf16.Convolution.apply(x, self.weight, self.bias, self.stride[0], self.padding[0], False)


class Linear(nn.Linear):
    """nn.Linear, in bfloat16 within an autocast: as a 1x1 convolution."""

    def execute(self, x):
        if not bf16.enabled():
            return super().execute(x)
        outputs, channels = self.weight.shape
        weight = self.weight.reshape(outputs, channels, 1, 1)
        bias = jt.zeros(outputs) if self.bias is None else self.bias
        y = bf16.Convolution.apply(x.reshape(1, -1, 1, channels), weight, bias, 1, 0, True)
        return y.reshape(*x.shape[:-1], outputs)
