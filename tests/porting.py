"""Where a line of PyTorch means something else in Jittor: the cases of which docs/PORTING.md is made.

python tests/porting.py writes docs/PORTING.md and docs/PORTING.zh.md. tests/test_porting.py runs every case in both
frameworks: a version that mends one fails with the case's name. The lines use the words that it gives them."""
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
from publish import table  # noqa: E402, which a script of tests/ finds by the line above

DOCS = ROOT / "docs"
# What a case does to a program, gravest first: (English, Chinese).
WRONG, STUCK = ("wrong numbers", "数值错误"), ("no training", "不训练")
OTHER, ERROR = ("another result", "结果不同"), ("an error", "报错")
EFFECTS = [WRONG, STUCK, OTHER, ERROR]


@dataclass(frozen=True)
class Case:
    """name, its Chinese, what it does, Jittor's file; given: lines run before; torch and jittor: what one writes; gives
    and comes: what each gives; cure: what to write in Jittor, and cured what that gives, PyTorch's result if None."""

    name: str
    chinese: str
    effect: tuple
    source: str
    torch: str
    gives: str
    comes: str
    cure: str
    given: str = ""
    jittor: str = ""
    cured: str | None = None

    @property
    def line(self):
        """What one writes in Jittor: the same, unless the case says otherwise."""
        return self.jittor or jittor(self.torch)


def jittor(lines):
    """Lines of PyTorch with Jittor's names."""
    return lines.replace("torch.nn.", "nn.").replace("torch.", "jt.")


NUMBERS = [
    Case("a uint8 picture over 255", "uint8 图像除以 255", WRONG, "src/misc/nano_string.h",
         "x / 255", "[0.2745, 0.7843]", "[0.2744, 0.7842] float16", "x.float32() / 255", "x = uint8([70, 200])"),
    Case("a uint8 picture and a number", "uint8 图像加一个数", WRONG, "src/misc/nano_string.h",
         "x + 1", "[71, 201] uint8", "[71, -55] int8", "(x.int32() + 1).uint8()", "x = uint8([70, 200])"),
    Case("the sum of uint8", "uint8 求和", WRONG, "src/misc/nano_string.h",
         "x.sum()", "270", "14 uint8", "x.int32().sum()", "x = uint8([70, 200])"),
    Case("uint8 pictures put together", "拼接 uint8 图像", WRONG, "contrib.py",
         "torch.cat([x, x])", "[200, 200] uint8", "[-56, -56] int8", "jt.concat([x.int32(), x.int32()]).uint8()",
         "x = uint8([200])"),
    Case("the mean of a mask (accuracy)", "掩码的均值（准确率）", WRONG, "src/ops/reduce_op.cc",
         "(a == b).mean()", "RuntimeError", "0", "(a == b).float32().mean()",
         "a, b = int32([1, 2, 3]), int32([1, 2, 0])", cured="0.6667"),
    Case("a mask and a number", "掩码乘一个数", WRONG, "src/misc/nano_string.h",
         "mask * 70000.0", "[70000, 0]", "[inf, 0] float16", "mask.float32() * 70000.0", "mask = int32([1, 0]) > 0"),
    Case("a mask inverted", "掩码取反", WRONG, "src/type/common_op_type.cc",
         "torch.bitwise_not(mask)", "[False, True]", "[True, True]", "jt.logical_not(mask)",
         "mask = int32([1, 0]) > 0"),
    Case("floor division of floats", "浮点数整除", WRONG, "src/misc/nano_string.cc",
         "x // y", "[3, 2]", "[3, 5]", "jt.floor(x / y)", "x, y = float32([7.5, 5.0]), float32([2.5, 1.9])"),
    Case("the remainder of a negative number", "负数取余", WRONG, "src/type/common_op_type.cc",
         "x % 3", "2", "-1", "(x % 3 + 3) % 3", "x = int32([-7])"),
    Case("floor division of a negative number", "负数整除", WRONG, "src/type/common_op_type.cc",
         "x // 3", "-3", "-2", "jt.floor(x / 3).int32()", "x = int32([-7])"),
    Case("numbers of more than 32 bits", "超过 32 位的整数", WRONG, "__init__.py",
         "x.long()", "4294967296", "-2147483648", "x.int64()", "x = float32([2.0**32])"),
    Case("a sum of more than 32 bits", "超过 32 位的和", WRONG, "src/ops/reduce_op.cc",
         "x.sum()", "4294967294", "-2", "x.int64().sum()", "x = int32([2**31 - 1, 2**31 - 1])"),
    Case("a big-endian array (IDX)", "大端数组（IDX）", WRONG, "src/pyjt/numpy.h",
         "torch.tensor(a)", "ValueError", "16777216", "jt.array(a.astype(np.int32))", "a = np.array([1], '>i4')",
         "jt.array(a)", "1"),
    Case("NaN is not itself", "NaN 不等于自身", WRONG, "compiler.py",
         "x != x", "True", "False", "jt.isnan(x)", "x = float32([np.nan])"),
    Case("a type named by a string", "用字符串指定类型", OTHER, "misc.py",
         "x.to('float16')", "RuntimeError", "float32", "x.to(jt.float16).dtype", "x = float32([1])",
         "x.to('float16').dtype", "float16"),
    Case("a float64 array, transposed", "转置的 float64 数组", OTHER, "src/pyjt/py_array_op.cc",
         "torch.tensor(a).dtype, torch.tensor(a.T).dtype", "(float64, float64)", "(float32, float64)",
         "jt.array(a.T.astype(np.float32)).dtype", "a = np.ones((2, 2))",
         "jt.array(a).dtype, jt.array(a.T).dtype", "float32"),
    Case("the type of full()", "full() 的类型", OTHER, "__init__.py",
         "torch.full((1,), 16777217)", "16777217", "1.678e+07", "jt.full((1,), 16777217, 'int32')"),
    Case("rounding halves", "舍入 .5", OTHER, "src/type/common_op_type.cc",
         "x.round()", "[0, 2]", "[1, 3]", "jt.array(np.round(x.numpy()))", "x = float32([0.5, 2.5])"),
    Case("the shape of one number", "单个数的形状", OTHER, "src/ops/reduce_op.cc",
         "tuple(x.sum().shape)", "()", "(1)", "np.shape(x.sum().item())", "x = float32([1, 2])"),
    Case("whole numbers without a type", "不带 dtype 的整数", OTHER, "src/pyjt/py_array_op.cc",
         "torch.tensor([1, 2]).dtype", "int64", "int32", "jt.array([1, 2], 'int64').dtype",
         jittor="jt.array([1, 2]).dtype"),
]

REDUCTIONS = [
    Case("a sampler's time steps", "采样器的时间步", WRONG, "misc.py",
         "t[-1], len(t)", "(0, 20)", "(50, 19)", "t = np.arange(950, -1, -50); t[-1], len(t)",
         "t = torch.arange(950, -1, -50)"),
    Case("the running product", "累积乘积", WRONG, "misc.py",
         "torch.cumprod(x, 0)", "[-1, -2, -6]", "[nan, nan, nan]", "jt.array(np.cumprod(x.numpy(), 0))",
         "x = float32([-1, 2, 3])"),
    Case("the median of each row", "每行的中位数", WRONG, "misc.py",
         "x.median(1).values", "[2, 5]", "[4, 5, 6]", "x.sort(1)[0][:, 1]",
         "x = float32([[3, 1, 2], [6, 5, 4]])", "x.median(1)"),
    Case("log-sum-exp", "log-sum-exp", WRONG, "nn.py",
         "torch.logsumexp(x, 1)", "100.7", "inf", "(m := x.max()) + nn.logsumexp(x - m, 1)",
         "x = float32([[100, 100]])", "nn.logsumexp(x, 1)"),
    Case("the unique numbers of floats", "浮点数去重", WRONG, "misc.py",
         "x.unique()", "[0.2, 0.7]", "[0.7, 0.2, 0.7]", "jt.array(np.unique(x.numpy()))",
         "x = float32([0.7, 0.2, 0.7])"),
    Case("the mean of ten million numbers", "一千万个数的均值", WRONG, "src/ops/reduce_op.cc",
         "abs(x.mean().item() - 1) < 1e-4", "True", "False",
         "abs(x.reshape(3200, -1).mean(1).mean().item() - 1) < 1e-4", "x = torch.ones(10240000)"),
    Case("the variance", "方差", WRONG, "__init__.py",
         "x.var()", "2.333", "1.556", "x.var(unbiased=True)", "x = float32([1, 2, 4])"),
    Case("a small standard deviation", "很小的标准差", WRONG, "__init__.py",
         "x.std()", "1.414e-05", "0.001", "x.var(unbiased=True).sqrt()", "x = float32([1e-5, -1e-5])"),
    Case("the norm of a matrix", "矩阵的范数", OTHER, "__init__.py",
         "x.norm()", "5", "[3, 4]", "x.reshape(-1).norm()", "x = float32([[3, 0], [0, 4]])"),
    Case("the largest of each row", "每行的最大值", WRONG, "src/ops/reduce_op.cc",
         "best, where = x.max(1); best", "[3, 5]", "3", "where, best = x.argmax(1); best",
         "x = float32([[1, 3], [5, 1]])"),
    Case("the place of the largest", "最大值的位置", ERROR, "__init__.py",
         "x.argmax(1) == label", "True", "RuntimeError", "x.argmax(1)[0] == label",
         "x, label = float32([[1, 3, 2]]), int32([1])"),
    Case("the order of numbers", "排序的下标", OTHER, "src/ops/argsort_op.h",
         "x.argsort()", "[1, 0]", "([1, 0], [1, 3])", "x.argsort()[0]", "x = float32([3, 1])"),
    Case("the largest where a NaN is", "含 NaN 时的最大值", WRONG, "compiler.py",
         "x.max()", "nan", "2", "jt.isnan(x).any()", "x = float32([1, np.nan, 2])", cured="True"),
]

INDEXING = [
    Case("columns by index_select", "index_select 取列", WRONG, "misc.py",
         "x.index_select(1, i)", "[[1], [3]]", "[[[1, 2]]]", "x[:, i]",
         "x, i = int32([[1, 2], [3, 4]]), int32([0])"),
    Case("adding at a repeated index", "重复下标处累加", WRONG, "misc.py",
         "x.index_add_(0, i, y); x", "[3, 0]", "[2, 0]", "x.scatter(0, i, y, reduce='add')",
         "x, i, y = float32([0, 0]), int32([0, 0]), float32([1, 2])"),
    Case("a write into a row", "写入一行的视图", WRONG, "src/var_holder.cc",
         "p = x[0]; p[0] = 5; p[1] = 6; x", "[[5, 6], [3, 4]]", "[[5, 2], [3, 4]]", "x[0, 0] = 5; x[0, 1] = 6; x",
         "x = float32([[1, 2], [3, 4]])"),
    Case("a write into a slice", "写入切片的视图", WRONG, "src/var_holder.cc",
         "p = x[:1]; p[0] = 5; x", "[5, 2]", "[1, 2]", "x[:1] = 5; x", "x = float32([1, 2])"),
    Case("a permutation of two axes", "两个轴的 permute", WRONG, "__init__.py",
         "x.permute(0, 1)", "[[1, 2], [3, 4]]", "[[1, 3], [2, 4]]", "x.permute([0, 1])", "x = int32([[1, 2], [3, 4]])"),
    Case("roll without an axis", "不指定轴的 roll", OTHER, "misc.py",
         "x.roll(1)", "[[4, 1], [2, 3]]", "[[3, 4], [1, 2]]", "x.reshape(-1).roll(1).reshape(x.shape)",
         "x = int32([[1, 2], [3, 4]])"),
    Case("two index arrays, apart", "两个分开的下标数组", WRONG, "src/ops/getitem_op.cc",
         "tuple(x[:, i, :, i].shape)", "(2, 3, 5)", "(3, 2, 5)", "tuple(x[:, i, :, i].permute(1, 0, 2).shape)",
         "x, i = torch.zeros((3, 4, 5, 6)), int32([0, 1])"),
    Case("flip along two axes", "沿两个轴翻转", ERROR, "misc.py",
         "x.flip(0, 1)", "[[4, 3], [2, 1]]", "TypeError", "x.flip([0, 1])", "x = int32([[1, 2], [3, 4]])"),
    Case("squeeze of a longer axis", "squeeze 长度不为 1 的轴", ERROR, "__init__.py",
         "tuple(x.squeeze(0).shape)", "(2)", "AssertionError", "tuple(x.shape)", "x = float32([1, 2])"),
]

LAYERS = [
    Case("dropout of a new network", "新建网络的 dropout", WRONG, "nn.py",
         "nn.Dropout(0.5)(x).min()", "0", "1", "nn.Dropout(0.5, is_train=True)(x).min()", "x = torch.ones(1000)"),
    Case("dropout as a function", "函数形式的 dropout", WRONG, "nn.py",
         "F.dropout(x).min()", "0", "1", "nn.dropout(x, is_train=True).min()", "x = torch.ones(1000)",
         "nn.dropout(x).min()"),
    Case("GroupNorm of numbers far from 0", "远离 0 的数的 GroupNorm", WRONG, "nn.py",
         "abs(nn.GroupNorm(2, 4)(x).std() - 1) < 0.05", "True", "False",
         "abs(nn.GroupNorm(2, 4)(x - x.mean()).std() - 1) < 0.05", "x = float32(3000 + noise(1, 4, 8, 8))"),
    Case("BatchNorm's running variance", "BatchNorm 的滑动方差", OTHER, "nn.py",
         "norm.running_var", "1.1", "1", "norm.running_var + 0.1 * x.var(0) / (len(x) - 1)",
         "norm, x = nn.BatchNorm1d(1), float32([[0], [2]]); norm(x)"),
    Case("what BatchNorm has to train", "BatchNorm 的可训练参数", OTHER, "nn.py",
         "len(list(nn.BatchNorm2d(2).parameters()))", "2", "4",
         "len([w for w in nn.BatchNorm2d(2).parameters() if not w.is_stop_grad()])"),
    Case("an embedding's padding_idx", "Embedding 的 padding_idx", WRONG, "nn.py",
         "grad(net(i).sum(), net.weight)", "[[0], [1]]", "[[1], [1]]",
         "grad((net(i) * (i != 0).float32().unsqueeze(1)).sum(), net.weight)",
         "net, i = nn.Embedding(2, 1, padding_idx=0), int32([0, 1])"),
    Case("interpolate() without a mode", "不指定 mode 的 interpolate()", WRONG, "nn.py",
         "F.interpolate(x, scale_factor=2)[0, 0, 0]", "[1, 1, 2, 2]", "[1, 1.25, 1.75, 2]",
         "nn.interpolate(x, scale_factor=2, mode='nearest')[0, 0, 0]", "x = float32([[[[1, 2]]]])",
         "nn.interpolate(x, scale_factor=2)[0, 0, 0]"),
    Case("average pooling that leaves out the padding", "不计填充的平均池化", WRONG, "pool.py",
         "nn.AvgPool2d(2, 2, 1, count_include_pad=False)(x)[0, 0, 0]", "[1, 1]", "[0.25, 0.5]",
         "nn.AvgPool2d(2, 2, 1, ceil_mode=True, count_include_pad=False)(x)[0, 0, 0, :2]",
         "x = torch.ones((1, 1, 3, 3))"),
    Case("average pooling of a whole picture", "对整幅图像平均池化", ERROR, "pool.py",
         "nn.AvgPool2d(2)(x).shape", "(1, 1, 1, 1)", "RuntimeError", "x.mean([2, 3], keepdims=True).shape",
         "x = torch.ones((1, 1, 2, 2))"),
    Case("adaptive pooling that does not divide", "不能整除的自适应池化", WRONG, "pool.py",
         "nn.AdaptiveAvgPool2d(3)(x)[0, 0, 0]", "[0.5, 2, 3.5]", "[1, 2, 3]",
         "nn.interpolate(x, size=(3, 3), mode='area')[0, 0, 0]",
         "x = float32([[[[0, 1, 2, 3, 4]] * 5]])"),
    Case("LeakyReLU's slope by its name", "按名称指定 LeakyReLU 的斜率", ERROR, "__init__.py",
         "nn.LeakyReLU(negative_slope=0.5)(x)", "-1", "TypeError", "nn.LeakyReLU(0.5)(x)", "x = float32([-2])"),
    Case("log-sigmoid far below 0", "远小于 0 的 log-sigmoid", WRONG, "nn.py",
         "F.logsigmoid(x)", "-100", "-30", "-nn.softplus(-x)", "x = float32([-100])", "nn.log_sigmoid(x)"),
    Case("ReLU of NaN", "NaN 的 ReLU", WRONG, "compiler.py",
         "F.relu(x)", "nan", "0", "bool(jt.isnan(x).any())", "x = float32([np.nan])", "nn.relu(x)", "True"),
]

LOSSES = [
    Case("cross-entropy, a label that is no class", "标签越界的交叉熵", WRONG, "nn.py",
         "F.cross_entropy(x, label)", "IndexError", "1.313", "assert label.max().item() < x.shape[1]",
         "x, label = float32([[1, 2], [1, 2]]), int64([0, 2])", "nn.cross_entropy_loss(x, label)", "AssertionError"),
    Case("nll_loss that leaves out class 0", "忽略第 0 类的 nll_loss", WRONG, "nn.py",
         "F.nll_loss(x, label, ignore_index=0)", "4", "2.5",
         "w = float32([0, 1]); nn.nll_loss(x, label, w)",
         "x, label = float32([[-1, -2], [-3, -4]]), int64([0, 1])", "nn.nll_loss(x, label, ignore_index=0)"),
    Case("KL divergence where the target is 0", "目标为 0 处的 KL 散度", WRONG, "nn.py",
         "nn.KLDivLoss(reduction='sum')(x, p)", "1", "nan", "(p * (jt.safe_log(p) - x)).sum()",
         "x, p = float32([[-1, -2]]), float32([[1, 0]])"),
    Case("binary cross-entropy of a sure mistake", "完全误判的二元交叉熵", OTHER, "nn.py",
         "F.binary_cross_entropy(p, y)", "100", "46.05", "-(y * jt.maximum(p.log(), -100.0)).mean()",
         "p, y = float32([0]), float32([1])", "nn.bce_loss(p, y)"),
    Case("a loss's reduction", "损失函数的 reduction", ERROR, "nn.py",
         "F.l1_loss(x, y, reduction='sum')", "3", "TypeError", "(x - y).abs().sum()",
         "x, y = float32([1, 2]), float32([0, 0])", "nn.l1_loss(x, y, reduction='sum')"),
    Case("cross-entropy of (N, classes, L)", "(N, 类别, L) 的交叉熵", ERROR, "nn.py",
         "F.cross_entropy(x, label)", "0.4605", "RuntimeError", "nn.cross_entropy_loss(x.unsqueeze(3), label)",
         "x, label = float32([[[1, 0], [2, 0], [0, 5]]] * 2), int64([[1, 2], [0, 2]])",
         "nn.cross_entropy_loss(x, label)"),
    Case("classes by their logits", "用 logits 定义的类别分布", WRONG, "distributions.py",
         "torch.distributions.Categorical(logits=x).probs", "[0.1192, 0.8808]", "[0.3621, 0.6379]",
         "jt.distributions.Categorical(probs=nn.softmax(x, dim=-1)).probs", "x = float32([0, 2])"),
]

GRADIENTS = [
    Case("eval(), then a step of training", "eval() 之后训练", STUCK, "__init__.py",
         "net.eval(); grad(net(x).sum(), net.weight)", "2", "0",
         "net.is_train = False; grad(net(x).sum(), net.weight)", "net, x = nn.Linear(1, 1), float32([[2]])"),
    Case("a part in eval(), the whole in train()", "部分 eval()，整体 train()", STUCK, "__init__.py",
         "net[0].eval(); net.train(); grad(net(x).sum(), net[0].weight)", "2", "0",
         "net[0].eval(); net[0].train(); grad(net(x).sum(), net[0].weight)",
         "net, x = nn.Sequential(nn.Linear(1, 1)), float32([[2]])"),
    Case("a gradient through a frozen network", "穿过冻结网络的梯度", STUCK, "__init__.py",
         "net.requires_grad_(False); grad(net(x).sum(), x)", "3", "0", "net.eval(); grad(net(x).sum(), x)",
         "net, x = nn.Linear(1, 1), weight([[2]]); nn.init.constant_(net.weight, 3.0)"),
    Case("a network built under no_grad()", "在 no_grad() 中新建网络", STUCK, "__init__.py",
         "grad(net(x).sum(), net.weight)", "2", "0", "net.weight.start_grad(); grad(net(x).sum(), net.weight)",
         "x = float32([[2]])\nwith torch.no_grad(): net = nn.Linear(1, 1)"),
    Case("a buffer", "缓冲区（buffer）", WRONG, "__init__.py",
         "len(list(net.parameters()))", "0", "1", "net._x = x; net.x = None; len(net.parameters())",
         "net, x = nn.Module(), float32([1]); net.register_buffer('x', x)"),
    Case("a weight whose name begins with _", "名称以 _ 开头的权重", STUCK, "__init__.py",
         "len(list(net.parameters()))", "1", "0", "net.w = net._w; len(net.parameters())",
         "net = nn.Module(); net._w = nn.Parameter(float32([1]))"),
    Case("weights loaded from another network", "从另一网络加载的权重", STUCK, "__init__.py",
         "b.weight.requires_grad", "True", "False",
         "b = nn.Linear(1, 1); b.load_state_dict(a.state_dict(to='numpy')); b.weight.requires_grad",
         "a, b = nn.Linear(1, 1), nn.Linear(1, 1); b.load_state_dict(a.state_dict()); freeze(a.weight)"),
    Case("the gradient of a product with a 0", "含 0 的乘积的梯度", WRONG, "src/ops/reduce_op.cc",
         "grad(x.prod(), x)", "[6, 0, 0]", "[nan, 0, 0]", "grad(x[0] * x[1] * x[2], x)", "x = weight([0, 2, 3])"),
    Case("the gradient of an absolute value at 0 (L1)", "绝对值在 0 处的梯度（L1）", WRONG, "src/ops/unary_op.cc",
         "grad(x.abs(), x)", "0", "1", "grad(x * nn.sign(x).detach(), x)", "x = weight([0])"),
    Case("the gradient of the largest, twice there", "最大值出现两次时的梯度", WRONG, "src/ops/reduce_op.cc",
         "grad(x.max(), x)", "[0.5, 0.5]", "[1, 1]", "grad(x[x.argmax(0)[0]], x)", "x = weight([2, 2])",
         cured="[1, 0]"),
    Case("the gradient of a maximum of equals", "两数相等时 max 的梯度", OTHER, "src/ops/binary_op.cc",
         "grad(torch.maximum(x, y), x)", "0.5", "0", "grad((x + y + nn.relu(x - y) + nn.relu(y - x)) / 2, x)",
         "x, y = weight([1]), float32([1])"),
    Case("train(False)", "train(False)", ERROR, "__init__.py",
         "nn.Linear(1, 1).train(False).training", "False", "TypeError", "nn.Linear(1, 1).eval().training"),
]

OPTIMISERS = [
    Case("zero_grad(), then step()", "zero_grad() 之后 step()", WRONG, "optim.py",
         "opt.zero_grad(); opt.step(); w", "0.9", "0.8", "opt.zero_grad(); w",
         "w = weight([1]); opt = torch.optim.SGD([w], lr=0.1); move(opt, w)"),
    Case("two backward() and one step of Adam", "两次 backward() 一次 Adam", WRONG, "optim.py",
         "(w * 1.0).backward(); (w * 1.0).backward(); opt.step(); w", "-1", "-0.7441",
         "opt.backward(w * 1.0); opt.backward(w * 1.0); opt.n_step = 1; opt.step(); w",
         "w = weight([0]); opt = torch.optim.Adam([w], lr=1.0)",
         "opt.backward(w * 1.0); opt.backward(w * 1.0); opt.step(); w"),
    Case("Adam with small gradients", "小梯度下的 Adam", WRONG, "optim.py",
         "opt = torch.optim.Adam([w], lr=1.0); move(opt, w * 1e-7); w", "-0.9091", "-0.2403",
         "opt = jt.optim.AdamW([w], lr=1.0); move(opt, w * 1e-7); w", "w = weight([0])"),
    Case("AdamW's weight decay", "AdamW 的权重衰减", WRONG, "optim.py",
         "opt = torch.optim.AdamW([w], lr=1.0); move(opt, w * 0.0); w", "0.99", "1",
         "opt = jt.optim.AdamW([w], lr=1.0, weight_decay=0.01); move(opt, w * 0.0); w", "w = weight([1])"),
    *(Case(f"{name}'s first epochs", f"{name} 的前几轮", WRONG, "lr_scheduler.py",
           f"rates(opt, {made})", gives, comes, f"s = {made}; s.step(); rates(opt, s)",
           "w = weight([1]); opt = torch.optim.SGD([w], lr=1.0)")
      for name, made, gives, comes in (
          ("CosineAnnealingLR", "CosineAnnealingLR(opt, 4)", "[1, 0.8536, 0.5, 0.1464]", "[1, 1, 0.8536, 0.5]"),
          ("ExponentialLR", "ExponentialLR(opt, 0.5)", "[1, 0.5, 0.25, 0.125]", "[1, 1, 0.5, 0.25]"),
          ("MultiStepLR", "MultiStepLR(opt, [2])", "[1, 1, 0.1, 0.1]", "[1, 1, 1, 0.1]"))),
    Case("ReduceLROnPlateau with two groups", "两组参数的 ReduceLROnPlateau", WRONG, "lr_scheduler.py",
         "s.step(1.0); s.step(1.0); rate(opt)", "0.1", "0.01", "opt.lr = 0.1; rate(opt)",
         "opt = torch.optim.SGD([{'params': [weight([1])]}, {'params': [weight([1])]}], lr=1.0)\n"
         "s = ReduceLROnPlateau(opt, patience=0)"),
    Case("a rate set by hand beside LambdaLR", "与 LambdaLR 并用的手设学习率", STUCK, "optim.py",
         "opt.param_groups[0]['lr'] = 0.0; move(opt, w); w", "1", "0",
         "opt.param_groups[0]['lr'] = 0.0; move(opt, w); w",
         "w = weight([1]); opt = torch.optim.SGD([w], lr=1.0); LambdaLR(opt, lambda epoch: 1.0)",
         "opt.lr = 0.0; move(opt, w); w"),
    Case("an optimiser's rate, read", "读取学习率", ERROR, "optim.py",
         "opt.param_groups[0]['lr']", "1", "KeyError", "opt.lr", "opt = torch.optim.SGD([weight([1])], lr=1.0)"),
]

DATA = [
    Case("two loaders of one data set", "同一数据集的两个加载器", WRONG, "dataset/dataset.py",
         "a, b = DataLoader(data, batch_size=2), DataLoader(data, batch_size=4); len(a), len(b)", "(4, 2)", "(2, 2)",
         "a, b = DataLoader(data, batch_size=2), DataLoader(copy.deepcopy(data), batch_size=4); len(a), len(b)",
         "data = TensorDataset(int32(range(8)))"),
    Case("a data set of uint8 pictures", "uint8 图像数据集", WRONG, "dataset/dataset.py",
         "next(iter(DataLoader(TensorDataset(x), batch_size=2)))[0]", "[70, 200] uint8", "[70, -56] int8",
         "next(iter(DataLoader(TensorDataset(x.int32()), batch_size=2)))[0]", "x = uint8([70, 200])",
         cured="[70, 200]"),
    Case("EMNIST's pictures", "EMNIST 的图像", WRONG, "dataset/mnist.py",
         "np.asarray(EMNIST(folder, 'mnist', train=False)[0][0])[0, 9]", "255", "0",
         "EMNIST(folder, 'mnist', train=False, download=False)[0][0][0].T[0, 9] * 255", "",
         "EMNIST(folder, 'mnist', train=False, download=False)[0][0][0][0, 9] * 255"),
    Case("MNIST's pictures", "MNIST 的图像", OTHER, "dataset/mnist.py",
         "T.ToTensor()(MNIST(folder, train=False)[0][0]).shape", "(1, 28, 28)", "(3, 28, 28)",
         "MNIST(folder, train=False, download=False)[0][0][:1].shape", "",
         "MNIST(folder, train=False, download=False)[0][0].shape"),
    Case("a grey picture of floats", "浮点灰度图", WRONG, "transform/__init__.py",
         "T.functional.to_pil_image(x).convert('L').getpixel((0, 0))", "255", "1",
         "T.to_pil_image(np.uint8(x.numpy() * 255)).getpixel((0, 0))", "x = float32([[[1]]])",
         "T.to_pil_image(x).convert('L').getpixel((0, 0))"),
    Case("to_tensor() of an array (H, W, 3)", "(H, W, 3) 数组的 to_tensor()", WRONG, "transform/__init__.py",
         "T.functional.to_tensor(a).shape", "(3, 2, 4)", "(2, 4, 3)", "T.to_tensor(Image.fromarray(a)).shape",
         "a = np.zeros((2, 4, 3), 'uint8')", "T.to_tensor(a).shape"),
    Case("Resize() by one number", "用一个数 Resize()", WRONG, "transform/__init__.py",
         "T.Resize(32)(image).size", "(32, 64)", "(32, 32)", "T.Resize((64, 32))(image).size",
         "image = Image.new('L', (28, 56))"),
    Case("a crop of an odd number of pixels", "裁剪奇数个像素", OTHER, "transform/__init__.py",
         "T.CenterCrop(27)(image).size", "(27, 27)", "(28, 28)", "image.crop((0, 0, 27, 27)).size",
         "image = Image.new('L', (28, 28))"),
    Case("how long a data set is", "数据集的长度", OTHER, "dataset/dataset.py",
         "len(data)", "8", "1", "data.total_len", "data = TensorDataset(int32(range(8)))"),
    Case("a grid of grey pictures, saved", "保存灰度图网格", ERROR, "misc.py",
         "save_image(x, file); Image.open(file).size", "(14, 8)", "TypeError",
         "save_image(x.expand(2, 3, 4, 4), file); Image.open(file).size", "x = torch.zeros((2, 1, 4, 4))"),
]

RANDOM = [
    Case("seeds 0 and 1", "种子 0 与 1", WRONG, "src/init.cc",
         "seed(0); x = torch.rand(3).tolist(); seed(1); x == torch.rand(3).tolist()", "False", "True",
         "seed(2); x = jt.rand(3).tolist(); seed(1); x == jt.rand(3).tolist()"),
    Case("the numbers of two small seeds", "两个小种子的随机数", WRONG, "src/init.cc",
         "seed(1); x = torch.rand(9).numpy(); seed(2); np.allclose(2 * x % 1, torch.rand(9).numpy(), atol=1e-5)",
         "False", "True", "seed(spread(1)); x = jt.rand(9).numpy(); seed(spread(2)); "
         "np.allclose(2 * x % 1, jt.rand(9).numpy(), atol=1e-5)",
         "spread = lambda n: int(np.random.default_rng(n).integers(2**31))"),
    Case("the same seed twice", "两次设同一种子", WRONG, "src/executor.cc",
         "seed(1); x = torch.rand(3); seed(1); y = torch.rand(3); x.tolist() == y.tolist()", "True", "False",
         "seed(1); x = jt.rand(3); x.sync(); seed(1); y = jt.rand(3); x.tolist() == y.tolist()"),
    Case("the order under another seed", "另一种子下的顺序", OTHER, "dataset/dataset.py",
         "seed(1); a = order(TensorDataset(x)); seed(2); a == order(TensorDataset(x))", "False", "True",
         "a, b = TensorDataset(x), TensorDataset(x); b._shuffle_rng = np.random.default_rng(2); order(a) == order(b)",
         "x = int32(range(9))"),
    Case("Python's and numpy's seeds, then the import", "先设种子再 import", OTHER, "misc.py",
         "seeded_then('import torch')", "True", "False", "seeded_then('import jittor; random.seed(0)')",
         jittor="seeded_then('import jittor')"),
    Case("random numbers of another type", "其他类型的随机数", OTHER, "__init__.py",
         "torch.randn(2, dtype=torch.float16).dtype", "float16", "float32", "jt.randn(2).float16().dtype"),
]

SAVING = [
    Case("weights that lack a tensor", "缺少张量的权重", WRONG, "__init__.py",
         "net.load_state_dict(weights)", "RuntimeError", "None",
         "assert net.state_dict().keys() == weights.keys()",
         "net, weights = nn.Linear(1, 1), {'weight': torch.ones((1, 1))}", cured="AssertionError"),
    Case("PyTorch's file of a strided tensor", "PyTorch 保存的跨步张量", WRONG, "jittor_utils/load_pytorch.py",
         "torch.load(file)['x']", "[0, 2, 4]", "[0, 1, 2]", "jt.load(saved(clone=True))['x']",
         "file = saved()", "jt.load(file)['x']"),
]

SUBJECTS = {
    ("Numbers and types", "数与类型"): NUMBERS,
    ("Reductions", "归约"): REDUCTIONS,
    ("Indexing", "索引"): INDEXING,
    ("Layers", "层"): LAYERS,
    ("Losses", "损失"): LOSSES,
    ("Gradients and freezing", "梯度与冻结"): GRADIENTS,
    ("Optimisers and schedules", "优化器与学习率"): OPTIMISERS,
    ("Data sets and transforms", "数据集与变换"): DATA,
    ("Randomness", "随机数"): RANDOM,
    ("Saving", "保存"): SAVING,
}

PAGES = {
    "PORTING.md": (0, """# From PyTorch to Jittor: what silently differs

English | [中文](PORTING.zh.md)

Places where a line of PyTorch 2.14.1 does something else in Jittor 1.3.11.0, or ends with an error in only one of them:
on the CPU, in Python 3.11 with numpy 1.26.4. The tables are made of the cases in
[tests/porting.py](../tests/porting.py), each of which the tests
run in both frameworks; a version that mends one makes its test fail. The gravest come first in each section: *wrong
numbers* and *no training* come without a word.

`float32([1])` and the like stand for a tensor of that type, `weight([1])` for one with a gradient, `grad(y, x)` for
`torch.autograd.grad(y, x)[0]` and `jt.grad(y, x)`, `move(opt, y)` for `zero_grad()`, `backward()`, `step()` and for
`opt.step(y)`, `rates(opt, s)` for the learning rates of four epochs, `order(data)` for the order in which a loader
shuffles. *The same* is the same line, with `jt` for `torch`. Results have four digits; a type stands beside one where
it is none of float32, int32, int64 and bool. Sources are files of Jittor's package.
""", ("", "in PyTorch", "gives", "in Jittor", "gives", "consequence", "write instead", "source"), "the same"),
    "PORTING.zh.md": (1, """# 从 PyTorch 到 Jittor：悄悄不同的地方

[English](PORTING.md) | 中文

同一行 PyTorch 2.14.1 代码在 Jittor 1.3.11.0 中结果不同，或只在其中一个里报错的地方（CPU，Python 3.11，
numpy 1.26.4）。各表由
[tests/porting.py](../tests/porting.py) 中的用例生成，测试在两个框架中逐一运行它们；
某个新版本修正了哪一条，那一条的测试就会失败。每节中最严重的在前：“数值错误”和“不训练”都没有任何提示。

`float32([1])` 之类表示该类型的张量，`weight([1])` 表示需要梯度的张量，
`grad(y, x)` 表示 `torch.autograd.grad(y, x)[0]` 和 `jt.grad(y, x)`，
`move(opt, y)` 表示 `zero_grad()`、`backward()`、`step()` 和 `opt.step(y)`，
`rates(opt, s)` 表示四轮的学习率，`order(data)` 表示加载器打乱后的顺序。
“同左”是同一行，只是 `torch` 换成 `jt`。结果取四位有效数字；
类型不是 float32、int32、int64、bool 时写在结果旁。来源是 Jittor 包中的文件。
""", ("", "PyTorch 写法", "结果", "Jittor 写法", "结果", "后果", "应写成", "来源"), "同左"),
}


def code(*lines):
    """Lines of code as a table's cell."""
    return "<br>".join(f"`{part.replace('|', chr(92) + '|')}`" for line in lines for part in line.splitlines())


def row(case, language, same):
    """A case as the cells of its row."""
    given = [case.given] if case.given else []
    name, write = (case.name, case.chinese)[language], same if case.line == jittor(case.torch) else code(case.line)
    results = code(*given, case.torch), code(case.gives), write, code(case.comes)
    return [name, *results, case.effect[language], code(case.cure), code(case.source)]


def page(language, introduction, header, same):
    """A page: a table for each subject, the gravest first."""
    parts = [introduction]
    for subject, cases in SUBJECTS.items():
        rows = [row(case, language, same) for case in sorted(cases, key=lambda case: EFFECTS.index(case.effect))]
        parts.append(f"## {subject[language]}\n\n{table(rows, header)}")
    return "\n".join(parts)


if __name__ == "__main__":
    for name, parts in PAGES.items():
        (DOCS / name).write_text(page(*parts))
