"""ONNX files taken over into torch: equal to onnxruntime, trainable, cut at a tensor, refused with a reason."""

import numpy as np
import pytest

import spm

torch = pytest.importorskip("torch", reason="it is torch modules that are made")
pytest.importorskip("onnx", reason="files are read by onnx")
pytest.importorskip("onnxruntime", reason="results are compared with onnxruntime's")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from spm.nn import spp_net, trunk  # noqa: E402

FILES = {
    "efficientnet_lite0_features.onnx": ("/_blocks.10/Add_output_0", 112, 16),
    "mobilenetv2_1.0_features.onnx": ("block_12_add", 96, 16),
    "resnet18_to_layer3.onnx": ("layer2.1", 128, 8),
    "squeezenet1.1_fp32.onnx": ("fire9/concat", 512, 16),
    "vgg16_to_conv3_3.onnx": ("relu2_2", 128, 2),
}
"""A tensor of each file, its channels and its stride."""
SIZES = [(64, 64), (97, 131), (160, 75)]


def run(content, image, output):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run([output], {session.get_inputs()[0].name: image})[0]


def same(module, content, output, sizes=SIZES, channels=3, bound=1e-4):
    module = module.eval()
    for size in sizes:
        image = np.random.default_rng(size[0]).standard_normal((1, channels, *size)).astype(np.float32)
        with torch.no_grad():
            found = module(torch.from_numpy(image)).numpy()
        wanted = run(content, image, output)
        np.testing.assert_allclose(found, wanted, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", FILES)
def test_the_files_at_hand(name, data_home):
    path = data_home / "weights" / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    tensor, channels, stride = FILES[name]
    cut = spm.networks.cut(path, tensor)
    body = trunk(path, cut=tensor)
    assert (body.channels, body.stride) == (channels, (stride, stride))
    same(body, bytes(cut), tensor)
    whole = trunk(path)
    layer = spm.networks.layers(path)[-1]
    assert (whole.stride, whole.offset) == (layer.stride, layer.offset)
    same(whole, bytes(spm.networks.cut(path, layer.name)), layer.name)
    network = spp_net(body, n_classes=3, levels=(2, 1), head=())
    network(torch.rand(2, 3, 96, 64)).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in network.parameters())


def graph(*nodes, weights=(), channels=4, opset=17):
    """Return the content of a network: operators in a row, each (operator, constants, options)."""
    made, initializers, name = [], [], "image"
    for k, (op, constants, options) in enumerate(nodes):
        names = [f"c{k}_{j}" for j in range(len(constants))]
        initializers += [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(constants, names, strict=True)]
        domain = [name, *names]
        made.append(helper.make_node(op, domain, [f"t{k}"], name=f"n{k}", **options))
        name = f"t{k}"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    proto = helper.make_model(
        helper.make_graph(made, "g", [image], [output], initializers),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=8,
    )  # fmt: skip
    return proto.SerializeToString(), name


def weights(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.3


CONV = ("Conv", [weights(4, 3, 3, 3)], {"pads": [1, 1, 1, 1]})
OPERATORS = {
    "uneven": [("Conv", [weights(4, 3, 3, 3), weights(4)], {"pads": [0, 1, 2, 0], "strides": [2, 2]})],
    "dilated": [("Conv", [weights(4, 3, 3, 3)], {"dilations": [2, 1], "pads": [2, 1, 2, 1]})],
    "grouped": [CONV, ("Conv", [weights(4, 1, 3, 5)], {"group": 4, "pads": [1, 2, 1, 2]})],
    "same_upper": [("Conv", [weights(4, 3, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]})],
    "same_lower": [("Conv", [weights(4, 3, 5, 5)], {"auto_pad": "SAME_LOWER", "strides": [3, 2]})],
    "valid": [("Conv", [weights(4, 3, 3, 3)], {"auto_pad": "VALID"})],
    "norm": [
        CONV,
        ("BatchNormalization", [weights(4), weights(4), weights(4), weights(4) ** 2 + 0.1], {"epsilon": 1e-3}),
        ("LeakyRelu", [], {"alpha": 0.2}),
    ],
    "max": [CONV, ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]})],
    "max_ceil": [CONV, ("MaxPool", [], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1})],
    "max_same": [CONV, ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"})],
    "mean": [CONV, ("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})],
    "mean_with_border": [
        CONV,
        ("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": 1}),
    ],
    "clip": [CONV, ("Clip", [np.float32(-0.2), np.float32(0.7)], {})],
    "clip_above": [CONV, ("Clip", [np.float32(0), np.float32(6)], {})],
    "prelu": [CONV, ("PRelu", [weights(4, 1, 1)], {})],
    "swish": [CONV, ("HardSwish", [], {}), ("Elu", [], {}), ("Tanh", [], {})],
    "constants": [
        CONV, ("Mul", [weights(4, 1, 1)], {}), ("Add", [weights(1, 4, 1, 1)], {}), ("Div", [np.float32(3)], {}),
    ],
    "border": [CONV, ("Pad", [np.array([0, 0, 1, 2, 0, 0, 3, 0]), np.float32(0.5)], {}), ("Sigmoid", [], {})],
    "lrn": [CONV, ("LRN", [], {"size": 3, "alpha": 0.1})],
}  # fmt: skip


@pytest.mark.parametrize("case", OPERATORS)
def test_operators(case):
    content, name = graph(*OPERATORS[case])
    same(trunk(content), content, name, sizes=[(13, 10), (9, 16)], bound=1e-5)


def test_a_squeeze_and_a_concatenation():
    """The parts that are no chain: a gate of the map's mean, and maps side by side."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["a"], ["mean"]),
        helper.make_node("Conv", ["mean", "v"], ["gate"]),
        helper.make_node("Sigmoid", ["gate"], ["open"]),
        helper.make_node("Mul", ["a", "open"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["other"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["b", "other", "a"], ["all"], axis=1),
        helper.make_node("Sub", ["all", "one"], ["out"]),
    ]
    tensors = {"w": weights(4, 3, 3, 3), "v": weights(4, 4, 1, 1), "one": np.float32(1)}
    proto = helper.make_model(
        helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in tensors.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip
    content = proto.SerializeToString()
    body = trunk(content)
    same(body, content, "out", sizes=[(13, 10), (8, 8)], bound=1e-5)
    assert {name for name, _ in body.body.named_parameters()} == {"a.weight", "gate.weight"}  # 1 is no weight
    front, back = body.split("a")
    image = torch.rand(1, 3, 9, 9)
    assert torch.equal(back(front(image)), body(image))


def test_what_cannot_be_taken_over_is_named():
    content, _ = graph(CONV, ("Softmax", [], {"axis": 1}))
    with pytest.raises(
        spm.SpmError, match=r"Softmax 'n1' of the network cannot be taken over.*what can be: Add, Average"
    ):
        trunk(content)
    assert trunk(content, cut="t0").channels == 4
    content, _ = graph(CONV, ("HardSigmoid", [], {"alpha": 0.3}))
    with pytest.raises(spm.SpmError, match=r"HardSigmoid 'n1'.*its slope and height, 0.3 and 0.5"):
        trunk(content)
    with pytest.raises(spm.SpmError, match="layer 't9' is not in the network"):
        trunk(content, cut="t9")
    with pytest.raises(spm.SpmError, match="the network cannot be read"):
        trunk("nowhere.onnx")
