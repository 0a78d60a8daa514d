"""Winograd's F(4x4, 3x3) for the 3x3 convolutions of an ONNX graph, with a quarter of the multiplications (Lavin and
Gray 2016, Fast Algorithms for Convolutional Neural Networks, section 4.2), which ONNX Runtime lacks in a browser.

An image is cut into tiles of 4x4. Each tile with its border is transformed to 6x6 numbers, multiplied element-wise by
the transformed 6x6 weights: 36 matrix products for all tiles of all images at once. Both transforms are products with
constant matrices, first over the rows, then over the columns."""
import numpy as np

B = np.array([
    [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
])  # fmt: skip
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def input_transform(side, doubled):
    """The transform B of all tiles along an axis, (6 tiles, side): row f * tiles + i is number f of tile i. doubled:
    the input is half as long, and each of its numbers counts twice."""
    tiles = side // 4
    padded = np.zeros((6, tiles, side + 2))
    for i in range(tiles):
        padded[:, i, 4 * i : 4 * i + 6] = B
    matrix = padded[:, :, 1:-1].reshape(6 * tiles, side)
    return matrix.reshape(6 * tiles, -1, 2).sum(axis=2) if doubled else matrix


def output_transform(side):
    """The inverse transform A of all tiles along an axis, (side, 6 tiles)."""
    tiles = side // 4
    matrix = np.zeros((tiles, 4, 6, tiles))
    for i in range(tiles):
        matrix[i, :, :, i] = A
    return matrix.reshape(side, 6 * tiles)


def is_faster(inputs, outputs, height, width):
    """Whether Winograd is faster at this size: the cost of the transforms grows with the image's sides."""
    transforms = 2 * (height + width) * (inputs + outputs)
    return height % 4 == 0 and width % 4 == 0 and 5 * inputs * outputs > 1.5 * transforms


class Nodes:
    """The nodes and constants that replace a convolution."""

    def __init__(self, name):
        self.name, self.nodes, self.constants = name, [], []

    def add(self, kind, *inputs, output=None, **attributes):
        from onnx import helper

        output = output or f"{self.name}/quick{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, array):
        from onnx import numpy_helper

        name = f"{self.name}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def reshape(self, x, *shape):
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)))

    def product(self, matrix, x):
        return self.add("MatMul", self.constant(matrix.astype(np.float32)), x)


def convolution(x, weight, bias, output, height, width, doubled):
    """The Nodes for a zero-padded convolution of x (N, C, height, width) with weights (D, C, 3, 3); doubled: x is half
    as large, and doubled by nearest neighbour first."""
    new, (outputs, inputs, *_) = Nodes(output), weight.shape
    rows, columns = height // 4, width // 4
    x = new.add("Transpose", x, perm=[2, 3, 0, 1])  # (height, width, N, C)
    x = new.reshape(x, height // (1 + doubled), -1)
    x = new.product(input_transform(height, doubled), x)
    x = new.reshape(x, 6 * rows, width // (1 + doubled), -1)
    x = new.product(input_transform(width, doubled), x)  # (6 rows, 6 columns, N C)
    if rows > 1:
        x = new.add("Transpose", new.reshape(x, 6, rows, 6, -1), perm=[0, 2, 1, 3])
    x = new.reshape(x, 36, -1, inputs)
    new.taps = weight.transpose(2, 3, 1, 0).reshape(9, inputs * outputs)
    new.weights = new.constant((np.kron(G, G) @ new.taps).reshape(36, inputs, outputs).astype(np.float32))
    x = new.add("MatMul", x, new.weights)
    if rows > 1:
        x = new.add("Transpose", new.reshape(x, 6, 6, rows, -1), perm=[0, 2, 1, 3])
    x = new.product(output_transform(width), new.reshape(x, 6 * rows, 6 * columns, -1))
    x = new.product(output_transform(height), new.reshape(x, 6 * rows, -1))
    x = new.add("Add", new.reshape(x, height, width, -1, outputs), bias)
    new.add("Transpose", x, perm=[2, 3, 0, 1], output=output)
    return new


def use_winograd(model):
    """Replace the 3x3 convolutions of an ONNX model where that is faster. Returns the taps from which the new weights
    (36, C, D) are computed, {name: (9, C D)}."""
    from onnx import numpy_helper, shape_inference
    from onnxscript.optimizer import remove_unused_nodes

    graph = model.graph
    inferred = shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    sides = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][2:] for value in values}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    taps = {}
    for place, node in reversed(list(enumerate(graph.node))):
        if node.op_type != "Conv" or node.input[1] not in weights or len(node.input) < 3:
            continue
        weight, side = numpy_helper.to_array(weights[node.input[1]]), sides[node.output[0]]
        outputs, inputs, *kernel = weight.shape
        if kernel != [3, 3] or sides[node.input[0]] != side or not is_faster(inputs, outputs, *side):
            continue
        maker = makers.get(node.input[0])
        doubled = maker is not None and maker.op_type == "Resize"
        x = maker.input[0] if doubled else node.input[0]
        new = convolution(x, weight, node.input[2], node.output[0], *side, doubled)
        del graph.node[place]
        for each in reversed(new.nodes):
            graph.node.insert(place, each)
        graph.initializer.extend(new.constants)
        taps[new.weights] = new.taps
    remove_unused_nodes(model)
    return taps
