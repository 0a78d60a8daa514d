"""Convolutions and linear layers that multiply in bfloat16 and sum in float32 on CPUs, as PyTorch's autocast does.
oneDNN computes them; Jittor 1.3.11 itself uses it in float32 only. Weights, gradients and all else are float32."""
from contextlib import contextmanager

from common.machine import multiplies_bf16
from environment import ONEDNN, jt

PRECISIONS = [False]  # a stack of autocast() states, the innermost last: whether layers multiply in bfloat16
LIBRARY = {f'FLAGS: -I"{ONEDNN}/include" -L"{ONEDNN}/lib" -lmkldnn ': 1}
HEADER = r"""
#include <dnnl.hpp>
#include <cstring>
#include <map>
extern "C" dnnl_status_t dnnl_gemm_bf16bf16f32(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float, const void*,
                                               dnnl_dim_t, const void*, dnnl_dim_t, float, float*, dnnl_dim_t);
namespace {
using namespace dnnl;
using size = dnnl_dim_t;
using dims = memory::dims;
using tag = memory::format_tag;
constexpr auto f32 = memory::data_type::f32, bf16 = memory::data_type::bf16;

engine& processor() { static engine it(engine::kind::cpu, 0); return it; }
stream& queue() { static stream it(processor()); return it; }

memory at(const void* data, memory::desc how) { return memory(how, processor(), (void*)data); }

void copy(memory from, memory to) { reorder(from, to).execute(queue(), from, to); }

template <int slot> float* scratch(size count) {  // the same memory again in the next call
    static std::vector<float> buffer;
    if (buffer.size() < count + 16) buffer.resize(count + 16);
    return (float*)(((size_t)buffer.data() + 63) / 64 * 64);
}
}
"""
# Images (N, C, H, W), or (N, H, W, C) if data["last"], to bfloat16 (N, H', W', C), zeros between if the stride is 2.
PACK = r"""
const size n = out0_shape0, h = out0_shape1, w = out0_shape2, c = out0_shape3, s = data["stride"];
const bool last = data["last"];
const dims shape = last ? dims{n, c, in0_shape1, in0_shape2} : dims{n, c, in0_shape2, in0_shape3};
if (s > 1) memset(out0_p, 0, out0->size);
copy(at(in0_p, {shape, f32, last ? tag::nhwc : tag::nchw}),
     at(out0_p, {shape, bf16, {h * w * c, 1, s * w * c, s * c}}));
"""
# The convolution (N, O, H', W') of a packed image with weights (O, C, k, k) and bias (O,). data["mirrored"]: weights
# are (C, O, k, k) and get mirrored, for the gradient of a convolution to its input.
CONVOLVE = r"""
const size n = in0_shape0, h = in0_shape1, w = in0_shape2, c = in0_shape3, k = in1_shape2, o = in2_shape0;
const size s = data["stride"], p = data["padding"];
const bool last = data["last"];
const float* weights = in1_p;
if (data["mirrored"]) {
    auto mirrored = scratch<0>(in1->num);
    for (size a = 0; a < o; a++)
        for (size b = 0; b < c; b++)
            for (size i = 0; i < k * k; i++)
                mirrored[(a * c + b) * k * k + i] = in1_p[(b * o + a) * k * k + k * k - 1 - i];
    weights = mirrored;
}
const memory::desc shape({n, o, (h + 2 * p - k) / s + 1, (w + 2 * p - k) / s + 1}, f32, tag::nhwc);
static std::map<std::vector<size>, convolution_forward::primitive_desc> known;
auto& found = known[{n, c, h, w, o, k, s, p}];
if (!found)
    found = {{prop_kind::forward_training, algorithm::convolution_direct, {{n, c, h, w}, bf16, tag::nhwc},
              {{o, c, k, k}, bf16, tag::any}, {{o}, f32, tag::a}, shape, {s, s}, {p, p}, {p, p}}, processor()};
auto packed = at(scratch<1>(found.weights_desc().get_size() / 4 + 1), found.weights_desc());
copy(at(weights, {{o, c, k, k}, f32, tag::oihw}), packed);
auto y = at(last ? out0_p : scratch<2>(out0->num), shape);
convolution_forward(found).execute(queue(), {{DNNL_ARG_SRC, at(in0_p, found.src_desc())}, {DNNL_ARG_WEIGHTS, packed},
                                             {DNNL_ARG_BIAS, at(in2_p, found.bias_desc())}, {DNNL_ARG_DST, y}});
if (!last) copy(y, at(out0_p, {shape.dims(), f32, tag::nchw}));
"""
# The gradient of the weights, (k k C, O): columns^T dy, summed over the pixels. A row of the columns (pixels, k k C) is
# the part of x that a pixel of dy depends on. x bfloat16 (N, H, W, C), dy bfloat16 (N, H', W', O), of stride 1.
WEIGHTS = r"""
const size n = in0_shape0, h = in0_shape1, w = in0_shape2, c = in0_shape3, oh = in1_shape1, ow = in1_shape2;
const size o = out0_shape0, k = out0_shape2, p = data["padding"], width = k * k * c;
const size some = std::max<size>(1, (1 << 19) / (ow * width));  // rows of a picture at a time: half a million numbers
auto columns = (int16*)scratch<0>(some * ow * width / 2 + 1);
auto dw = scratch<1>(width * o);
for (size first = 0; first < n * oh; first += some) {
    const size rows = std::min(some, n * oh - first);
    #pragma omp parallel for
    for (size row = first; row < first + rows; row++) {
        auto to = columns + (row - first) * ow * width;
        for (size x = -p; x < ow - p; x++)
            for (size y = row % oh - p; y < row % oh - p + k; y++)
                for (size i = x; i < x + k; i++, to += c)
                    if (y < 0 || y >= h || i < 0 || i >= w) memset(to, 0, c * 2);
                    else memcpy(to, in0_p + ((row / oh * h + y) * w + i) * c, c * 2);
    }
    auto dy = in1_p + first * ow * o;
    dnnl_gemm_bf16bf16f32('T', 'N', width, o, rows * ow, 1, columns, width, dy, o, first > 0, dw, o);
}
copy(at(dw, {{o, c, k, k}, f32, tag::hwio}), at(out0_p, {{o, c, k, k}, f32, tag::oihw}));
"""


def compute(source, shape, dtype, inputs, **data):
    """Run one of the C++ sources above."""
    with jt.flag_scope(compile_options=LIBRARY):
        return jt.code(shape, dtype, inputs, cpu_header=HEADER, cpu_src=source,
                       data={name: int(value) for name, value in data.items()})  # fmt: skip


class Convolution(jt.Function):
    """x (N, C, H, W), weight (O, C, k, k), bias (O,) -> (N, O, H', W'). last: x (N, H, W, C) -> (N, H', W', O)."""

    def execute(self, x, weight, bias, stride, padding, last):
        batch, *sides, channels = x.shape if last else (x.shape[0], *x.shape[2:], x.shape[1])
        self.shape, self.weight, self.stride, self.padding, self.last = x.shape, weight, stride, padding, last
        self.seen = [side + 2 * padding - weight.shape[2] + 1 for side in sides]  # output sides at stride 1
        self.x = compute(PACK, (batch, *sides, channels), "int16", [x], stride=1, last=last)
        sides, outputs = [(side - 1) // stride + 1 for side in self.seen], len(weight)
        shape = (batch, *sides, outputs) if last else (batch, outputs, *sides)
        how = {"stride": stride, "padding": padding, "last": last, "mirrored": False}
        return compute(CONVOLVE, shape, "float32", [self.x, weight, bias], **how)

    def grad(self, grad):
        outputs, channels, kernel, _ = self.weight.shape
        dy = compute(PACK, (len(grad), *self.seen, outputs), "int16", [grad], stride=self.stride, last=self.last)
        how = {"stride": 1, "padding": kernel - 1 - self.padding, "last": self.last, "mirrored": True}
        dx = compute(CONVOLVE, self.shape, "float32", [dy, self.weight, jt.zeros(channels)], **how)
        dw = compute(WEIGHTS, self.weight.shape, "float32", [self.x, dy], padding=self.padding)
        return dx, dw, grad.sum(dims=[0, 1, 2] if self.last else [0, 2, 3]), None, None, None


def available():
    """Whether the processor multiplies bfloat16 and Jittor has oneDNN."""
    return multiplies_bf16() and jt.compile_extern.mkl_ops is not None


@contextmanager
def autocast(enabled):
    """Context manager: layers multiply in bfloat16 if enabled, else in float32."""
    PRECISIONS.append(enabled)
    try:
        yield
    finally:
        PRECISIONS.pop()


def enabled():
    """Whether layers multiply in bfloat16 now."""
    return PRECISIONS[-1]
