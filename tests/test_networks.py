"""Networks: where their maps lie, held to what onnxruntime does; cutting, listing, fetching; every error."""

from __future__ import annotations

import copy
import functools
import hashlib
import http.server
import os
import pickle
import random
import threading

import joblib
import numpy as np
import onnx
import onnxruntime as runtime
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper

from spm.errors import MissingDependencyError, SpmError
from spm.networks import Network, zoo
from spm.networks import file as _file
from spm.networks.file import read_network
from spm.networks.geometry import Axis, Window
from spm.networks.graph import graph_of
from spm.networks.maps import cut, layers
from spm.networks.session import open_network
from spm.networks.zoo import fetch_network, read_networks


def node(op, inputs, output, **options):
    return helper.make_node(op, inputs.split(), output.split(), name=f"node_{output.split()[0]}", **options)


def network(*nodes, output, weights=None, image=(1, 3, "H", "W"), shape=None, kind=TensorProto.FLOAT, opset=17):
    """A network of one image, the content of its file."""
    half = kind == TensorProto.FLOAT16
    weights = {
        name: value.astype(np.float16) if half and value.dtype.kind == "f" else value
        for name, value in (weights or {}).items()
    }
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("image", kind, image)],
        [helper.make_tensor_value_info(output, kind, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model.SerializeToString()


def ones(*shape):
    return np.ones(shape, np.float32)


def run(model, image, *names):
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    # before 1.24 the runtime folds a Pad into the pooling after it, and refuses the sum when that is too large
    session = runtime.InferenceSession(
        bytes(model), options, providers=["CPUExecutionProvider"], disabled_optimizers=["Pad_Fusion"]
    )
    return session.run(list(names) or None, {session.get_inputs()[0].name: image})


def lone_pixels(height, width):
    """One image for every pixel, that pixel alone bright: shape (h * w, 1, h, w)."""
    return np.eye(height * width, dtype=np.float32).reshape(-1, 1, height, width)


def classifier(size=("H", "W")):
    """Two maps of one family, then the head that ends every classification network."""
    return network(
        node("Conv", "image a", "low", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "low", "low_relu"),
        node("Conv", "low_relu b", "high", strides=[2, 2]),
        node("GlobalAveragePool", "high", "mean"),
        node("Flatten", "mean", "flat"),
        node("Softmax", "flat", "scores"),
        output="scores",
        image=(1, 3, *size),
        weights={"a": ones(4, 3, 3, 3), "b": ones(5, 4, 2, 2)},
    )


# Geometry against onnxruntime

WINDOWS = [
    (op, options)
    for op, options in [
        ("Conv", {"kernel_shape": [1, 1], "strides": [2, 3]}),
        ("Conv", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("Conv", {"kernel_shape": [3, 5], "strides": [2, 1], "pads": [0, 2, 1, 1]}),
        ("Conv", {"kernel_shape": [2, 4], "strides": [2, 2]}),
        ("Conv", {"kernel_shape": [3, 2], "dilations": [2, 3], "strides": [1, 2], "pads": [2, 0, 2, 3]}),
        ("Conv", {"kernel_shape": [7, 7], "strides": [2, 2], "pads": [3, 3, 3, 3]}),
        ("Conv", {"kernel_shape": [4, 3], "strides": [3, 2], "auto_pad": "SAME_UPPER"}),
        ("Conv", {"kernel_shape": [4, 3], "strides": [3, 2], "auto_pad": "SAME_LOWER"}),
        ("Conv", {"kernel_shape": [1, 2], "strides": [3, 3], "auto_pad": "SAME_UPPER"}),
        ("Conv", {"kernel_shape": [4, 3], "strides": [3, 2], "auto_pad": "VALID"}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]}),
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [2, 3], "strides": [3, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [2, 3], "dilations": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("AveragePool", {"kernel_shape": [3, 4], "strides": [2, 3], "pads": [1, 0, 0, 2]}),
        ("AveragePool", {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [1, 2], "auto_pad": "SAME_LOWER"}),
    ]
]


def trace_of(model, size):
    return graph_of(read_network(model)).trace(size)


@pytest.mark.parametrize("size", [(9, 13), (12, 10), (16, 11)])
@pytest.mark.parametrize(("op", "options"), WINDOWS)
def test_a_window_sees_just_the_pixels_that_its_place_says(op, options, size):
    weights = {"w": ones(1, 1, *options["kernel_shape"])} if op == "Conv" else {}
    model = network(
        node(op, " ".join(["image", *weights]), "map", **options),
        output="map",
        weights=weights,
        image=("N", 1, "H", "W"),
        opset=19,
    )
    place = trace_of(model, size)["map"]
    lit = run(model, lone_pixels(*size))[0][:, 0] > 0
    assert lit.shape[1:] == (place.down.length, place.across.length)
    lit = lit.reshape(*size, *lit.shape[1:])
    steps = options.get("dilations", [1, 1])
    for i in range(place.down.length):
        for j in range(place.across.length):
            inside = []
            for k, (axis, cell) in enumerate(zip(place[:2], (i, j), strict=True)):
                seen = axis.low + cell * axis.stride + np.arange(options["kernel_shape"][k]) * steps[k]
                assert (axis.low + axis.high) / 2 == axis.offset + axis.stride / 2  # the cell is centred on its field
                inside.append(seen[(seen >= 0) & (seen < size[k])])
            wanted = np.zeros(size, bool)
            wanted[np.ix_(*inside)] = True
            np.testing.assert_array_equal(lit[:, :, i, j], wanted)


def random_chain(seed):
    """A chain of operators on one channel, every weight one and no pixel stepped over."""
    rng = random.Random(seed)
    nodes, weights, last = [], {}, "image"
    for k in range(rng.randint(3, 5)):
        op = rng.choice(["Conv", "Conv", "AveragePool", "MaxPool", "Pad", "fork", "Relu"])
        kernel = [rng.randint(2, 4), rng.randint(2, 4)]
        options = {"kernel_shape": kernel, "strides": [rng.randint(1, 2), rng.randint(1, 2)]}
        if op == "Conv" and rng.random() < 0.3:
            options["auto_pad"] = rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
        else:
            options["pads"] = [rng.randint(0, min(side - 1, 2)) for side in kernel + kernel]
        if op == "Conv":
            weights[f"w{k}"] = ones(1, 1, *kernel)
            nodes.append(node(op, f"{last} w{k}", f"t{k}", **options))
        elif op == "Pad":
            around = [rng.randint(0, 2) for _ in range(4)]
            weights[f"p{k}"] = np.array([0, 0, *around[:2], 0, 0, *around[2:]])
            nodes.append(node(op, f"{last} p{k}", f"t{k}"))
        elif op == "fork":  # a branch that looks down and left, joined
            weights[f"w{k}"] = ones(1, 1, 3, 3)
            nodes.append(node("Conv", f"{last} w{k}", f"b{k}", pads=[0, 2, 2, 0]))
            nodes.append(node(rng.choice(["Add", "Max"]), f"{last} b{k}", f"t{k}"))
        elif op == "Relu":
            nodes.append(node(op, last, f"t{k}"))
        else:
            nodes.append(node(op, last, f"t{k}", ceil_mode=rng.randint(0, 1), **options))
        last = f"t{k}"
    return network(*nodes, output=last, weights=weights, image=("N", 1, "H", "W"), opset=19), last


@pytest.mark.parametrize("seed", range(30))
def test_a_chain_of_operators_sees_what_its_place_says(seed):
    model, last = random_chain(seed)
    smallest = graph_of(read_network(model)).smallest()
    size = (max(smallest[0], 19), max(smallest[1], 22))
    place = trace_of(model, size)[last]
    lit = run(model, lone_pixels(*size))[0][:, 0] > 0
    assert lit.shape[1:] == (place.down.length, place.across.length)
    lit = lit.reshape(*size, *lit.shape[1:])
    for k, axis in enumerate(place[:2]):
        seen = lit.any(axis=(1 - k, 3 - k))  # (pixels, cells) along the axis
        for cell in range(axis.length):
            low, high = axis.low + cell * axis.stride, axis.high + cell * axis.stride
            if low >= 0 and high <= size[k]:  # what looks beyond the border meets padding on its way
                np.testing.assert_array_equal(np.flatnonzero(seen[:, cell]), np.arange(low, high))


@pytest.mark.parametrize("seed", range(12))
def test_the_smallest_size_is_the_smallest_that_leaves_something(seed):
    model, last = random_chain(100 + seed)
    graph = graph_of(read_network(model))
    height, width = graph.smallest()
    assert min(run(model, np.zeros((1, 1, height, width), np.float32))[0].shape) >= 1
    for smaller in [(height - 1, width + 9), (height + 9, width - 1)]:
        if min(smaller) >= 1:
            assert isinstance(graph.trace(smaller)[last], str)


def test_a_window_takes_only_what_fits():
    assert Window((3, 3), (2, 2), ceil=True).along(0, Axis(2)).length == 1  # the border cuts it
    assert Window((3, 3), (2, 2)).along(0, Axis(2)).length == 0
    assert Window((2, 2), (3, 3), pads=(0, 0, 1, 1), ceil=True).along(1, Axis(6)).length == 2  # not in padding alone


# What is a map


def test_layers_are_listed_in_order_with_stride_and_offset():
    listed = layers(classifier())
    assert [layer.name for layer in listed] == ["low", "low_relu", "high"]
    assert [layer.op for layer in listed] == ["Conv", "Relu", "Conv"]
    assert [layer.channels for layer in listed] == [4, 4, 5]
    assert [layer.stride for layer in listed] == [(2, 2), (2, 2), (4, 4)]
    assert [layer.offset for layer in listed] == [(-0.5, -0.5), (-0.5, -0.5), (-0.5, -0.5)]
    assert [layer.field for layer in listed] == [(3, 3), (3, 3), (5, 5)]
    assert [layer.grid for layer in listed] == [(112, 112), (112, 112), (56, 56)]
    assert [layer.grid for layer in layers(classifier(), size=(64, 40))] == [(32, 20), (32, 20), (16, 10)]
    assert layers(classifier((32, 48)))[-1].grid == (8, 12)  # the size that the file fixes


def test_the_offset_follows_the_size_where_the_padding_does():
    model = network(
        node("Conv", "image w", "map", strides=[2, 2], auto_pad="SAME_UPPER"),
        output="map",
        weights={"w": ones(1, 3, 3, 3)},
    )
    assert layers(model, size=(8, 9))[0].offset == (0.5, -0.5)


def squeeze_and_excite(reshaped):
    """A map weighted by what global pooling makes of it, as in MobileNetV3 and EfficientNet."""
    head = [
        node("GlobalAveragePool", "map", "mean"),
        node("Conv", "mean v", "gate_in"),
        node("Sigmoid", "gate_in", "gate"),
    ]
    if reshaped:
        head = [
            node("ReduceMean", "map", "mean", axes=[2, 3], keepdims=1),
            node("Flatten", "mean", "flat"),
            node("Gemm", "flat g", "dense"),
            node("Reshape", "dense one", "gate"),
        ]
    weights = {"w": ones(4, 3, 3, 3), "v": ones(4, 4, 1, 1), "g": ones(4, 4), "one": np.array([-1, 4, 1, 1])}
    return network(
        node("Conv", "image w", "map", strides=[2, 2]),
        *head,
        node("Mul", "map gate", "weighted"),
        output="weighted",
        weights=weights,
    )


@pytest.mark.parametrize("reshaped", [False, True])
def test_a_gate_of_one_value_a_channel_leaves_a_map_where_it_is(reshaped):
    listed = layers(squeeze_and_excite(reshaped))
    assert [layer.name for layer in listed] == ["map", "weighted"]  # a gate is no map
    assert listed[0].offset == listed[1].offset


def test_channels_may_be_chosen_split_and_joined():
    """As ready-made networks do that first turn an image's colours one by one, and those of split branches."""
    weights = {
        "w": ones(4, 3, 2, 2),
        "first": np.array(0),
        "at": np.array([1]),
        "from": np.array([0]),
        "to": np.array([2]),
    }
    model = network(
        node("Gather", "image first", "red", axis=1),
        node("Unsqueeze", "red at", "plane"),
        node("Concat", "plane plane plane", "reds", axis=1),
        node("Conv", "reds w", "map", strides=[2, 2]),
        node("Slice", "map from to at", "sliced"),
        node("Split", "map", "left right", axis=1),
        node("Concat", "sliced left right", "joined", axis=1),
        output="joined",
        weights=weights,
    )
    listed = {layer.name: layer for layer in layers(model)}
    assert list(listed) == ["plane", "reds", "map", "sliced", "left", "right", "joined"]
    assert (listed["joined"].channels, listed["joined"].stride, listed["joined"].offset) == (6, (2, 2), (0.0, 0.0))
    assert run(cut(model), np.ones((1, 3, 8, 10), np.float32))[0].shape == (1, 6, 4, 5)


def test_channels_may_come_last_on_the_way():
    weights = {"w": ones(4, 3, 4, 4), "n": ones(4), "m": ones(4, 8), "b": ones(8), "s": ones(8, 1, 1)}
    model = network(
        node("Conv", "image w", "stem", strides=[4, 4]),
        node("Transpose", "stem", "last", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "last n", "normed"),
        node("MatMul", "normed m", "wide"),
        node("Add", "wide b", "biased"),
        node("Transpose", "biased", "first", perm=[0, 3, 1, 2]),
        node("Mul", "first s", "scaled"),
        output="scaled",
        weights=weights,
    )
    listed = layers(model)
    assert [layer.name for layer in listed] == ["stem", "normed", "wide", "biased", "first", "scaled"]
    assert {(layer.stride, layer.offset, layer.grid) for layer in listed} == {((4, 4), (0.0, 0.0), (56, 56))}
    assert [layer.channels for layer in listed] == [4, 4, 8, 8, 8, 8]
    image = np.random.default_rng(0).random((1, 3, 32, 40), np.float32)
    pairs = [open_network(model, name).run(image)[0] for name in ("biased", "first")]
    np.testing.assert_array_equal(pairs[0][0], pairs[1][0])
    assert pairs[0][1][:2] == pairs[1][1][:2]


def test_an_image_whose_channels_come_last_is_taken():
    model = network(
        node("Transpose", "image", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first w", "map", strides=[2, 2]),
        output="map",
        weights={"w": ones(1, 3, 2, 2)},
        image=(1, 32, 48, 3),
    )
    graph = graph_of(read_network(model))
    assert (graph.fixed, graph.dims, graph.channels) == ((32, 48), (1, 2), 3)
    assert layers(model)[-1].grid == (16, 24)


LOST = {
    "Reshape": [node("Reshape", "map to", "lost")],
    "Softmax": [node("Transpose", "map", "turned", perm=[0, 1, 3, 2]), node("MatMul", "map turned", "lost")],
    "auto_pad": [node("MaxPool", "map", "lost", kernel_shape=[1, 1], strides=[2, 2], auto_pad="SAME_UPPER")],
    "strides": [node("MaxPool", "map", "half", kernel_shape=[1, 1], strides=[2, 2]), node("Add", "map half", "lost")],
    "constant": [node("Concat", "map placed", "lost", axis=3)],
    "rows": [node("Concat", "map map", "lost", axis=2)],
}


@pytest.mark.parametrize("case", LOST)
def test_what_does_not_keep_places_is_no_map_and_the_reason_is_said(case):
    weights = {
        "w": ones(4, 3, 2, 2),
        "to": np.array([0, 2, -1, 0]),
        "placed": ones(1, 4, 16, 16),
    }
    behind = node("Relu", "lost", "behind")
    model = network(
        node("Conv", "image w", "map", strides=[2, 2]),
        *LOST[case],
        behind,
        output="behind",
        weights=weights,
        image=(1, 3, 32, 32),
    )
    if case == "auto_pad" and tuple(map(int, runtime.__version__.split(".")[:2])) < (1, 24):
        pytest.skip("this onnxruntime runs it, so that its place is measured")
    assert "behind" not in [layer.name for layer in layers(model)]
    with pytest.raises(SpmError, match=r"'behind' is no map of the image: it lies at or behind .*lost'.*'map'|'half'"):
        cut(model, "behind")


# Cutting


def test_a_cut_computes_the_layers_and_nothing_behind():
    model, image = classifier(), np.random.default_rng(0).random((1, 3, 20, 26), np.float32)
    part = cut(model, ["high", "low_relu"])
    proto = onnx.load_model_from_string(bytes(part))
    assert [value.name for value in proto.graph.output] == ["high", "low_relu"]
    assert [operator.op_type for operator in proto.graph.node] == ["Conv", "Relu", "Conv"]
    assert repr(part) == f"<network of {len(bytes(part)):,} bytes>"
    onnx.checker.check_model(proto, full_check=True)
    whole = onnx.load_model_from_string(model)
    whole.graph.output.extend([helper.make_tensor_value_info(name, 1, None) for name in ("high", "low_relu")])
    wanted = run(whole.SerializeToString(), image, "high", "low_relu")
    for found, value in zip(run(part, image), wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-6)


def test_a_cut_frees_the_batch_and_keeps_a_free_size_free():
    found = run(cut(classifier(), "high"), np.zeros((3, 3, 21, 30), np.float32))[0]
    assert found.shape == (3, 5, 5, 7)


def test_cutting_again_changes_nothing():
    once = cut(classifier(), "low_relu")
    assert cut(once) == cut(once, "low_relu") == once


def test_the_default_is_the_last_map():
    assert cut(classifier()) == cut(classifier(), ["high"]) == cut(classifier(), "high")


def test_a_fixed_size_stays_or_is_freed():
    fixed = classifier((32, 32))
    with pytest.raises(Exception, match="32"):
        run(cut(fixed, "high"), np.zeros((1, 3, 40, 40), np.float32))
    assert run(cut(fixed, "high", free=True), np.zeros((1, 3, 40, 48), np.float32))[0].shape == (1, 5, 10, 12)


def test_a_size_that_matters_on_the_way_is_not_freed():
    model = network(
        node("Conv", "image w", "map"),
        node("Flatten", "map", "flat"),
        node("Gemm", "flat g", "dense"),
        node("Reshape", "dense one", "gate"),
        node("Mul", "map gate", "weighted"),
        output="weighted",
        weights={"w": ones(2, 3, 1, 1), "g": ones(2 * 8 * 8, 2), "one": np.array([1, 2, 1, 1])},
        image=(1, 3, 8, 8),
    )
    assert layers(model)[-1].name == "weighted"
    with pytest.raises(SpmError, match=r"cannot be freed.*Flatten"):
        cut(model, free=True)


def test_weights_that_old_files_list_as_inputs_are_no_images():
    proto = onnx.load_model_from_string(classifier())
    proto.graph.input.append(helper.make_tensor_value_info("a", 1, (4, 3, 3, 3)))
    assert len(layers(proto.SerializeToString())) == 3


def test_a_path_is_taken_and_weights_beside_the_file(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(
        onnx.load_model_from_string(classifier()),
        path,
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    image = np.random.default_rng(0).random((1, 3, 20, 26), np.float32)
    wanted = run(cut(classifier(), "high"), image)[0]
    for place in (path, str(path)):
        np.testing.assert_array_equal(run(cut(place, "high"), image)[0], wanted)
    assert Network(path).files == [str(path), str(tmp_path / "net.data")]
    with pytest.raises(SpmError, match="give its path instead of its content"):
        layers(path.read_bytes())
    (tmp_path / "net.data").unlink()
    with pytest.raises(SpmError, match="damaged or incomplete"):
        layers(path)


# A network as a value


def saved_apart(folder, content, constants=False):
    """Save a network with its weights in another file, in `constants` instead of initialisers if asked for."""
    folder.mkdir(exist_ok=True)
    proto = onnx.load_model_from_string(content)
    if constants:
        moved = [helper.make_node("Constant", [], [weight.name], value=weight) for weight in proto.graph.initializer]
        del proto.graph.initializer[:]
        nodes = [*moved, *proto.graph.node]
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)
    options = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    onnx.save(proto, folder / "net.onnx", convert_attribute=constants, **options)
    return folder / "net.onnx"


def test_a_network_is_a_value_and_cannot_be_changed(tmp_path):
    content, path = classifier(), tmp_path / "net.onnx"
    path.write_bytes(content)
    network = Network.of(content)
    assert Network.of(network) is network and Network.of(bytes(bytearray(content))) is network
    assert copy.copy(network) is copy.deepcopy([network])[0] is network
    assert network == Network(content) == Network(path) == Network(str(path)) != Network(b"other")
    assert len({network, Network(content), Network(path)}) == 1
    assert network != content and network != Network(tmp_path / "none.onnx") == Network(tmp_path / "none.onnx")
    assert bytes(network) == bytes(Network(path)) == content
    assert repr(network) == f"<network of {len(content):,} bytes>" and repr(Network("a")) == "Network('a')"
    for change in (
        lambda: setattr(network, "path", "x"),
        lambda: setattr(network, "new", 1),
        lambda: delattr(network, "path"),
    ):
        with pytest.raises(AttributeError, match="cannot be changed"):
            change()
    with pytest.raises(SpmError, match=r"path or the content \(bytes\) of an ONNX file, got 3"):
        Network.of(3)


def test_a_network_travels(tmp_path):
    for network in (Network.of(classifier()), Network("net.onnx")):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(network, protocol))
            assert (again, again.path, repr(again)) == (network, network.path, repr(network))
        data = skops.io.dumps([{"a": network}, network])
        assert skops.io.get_untrusted_types(data=data) == ["spm.networks.Network"]
        loaded = skops.io.loads(data, trusted=["spm.networks.Network"])
        assert loaded[1] == network and len(data) < len(bytes(network)) + 5000 if network.path is None else True
    mapped = joblib.Parallel(2, max_nbytes=100)([joblib.delayed(bytes)(Network.of(classifier()))])
    assert mapped == [classifier()]


@pytest.mark.parametrize("constants", [False, True])
@pytest.mark.parametrize("link", ["symbolic", "hard", "of the file alone"])
def test_weights_behind_links_are_taken(tmp_path, link, constants):
    """As the caches of model hubs have them: names that are links to files named by their content."""
    path = saved_apart(tmp_path / "blobs", classifier(), constants)
    (tmp_path / "hub").mkdir()
    linked = tmp_path / "hub" / "net.onnx"
    for name in ["net.onnx"] if link == "of the file alone" else ["net.onnx", "net.data"]:
        if link == "hard":
            os.link(path.with_name(name), linked.with_name(name))
        else:
            linked.with_name(name).symlink_to(os.path.join("..", "blobs", name))
    image = np.random.default_rng(0).random((1, 3, 20, 26), np.float32)
    np.testing.assert_array_equal(run(cut(linked, "high"), image)[0], run(cut(classifier(), "high"), image)[0])
    assert Network(linked) == Network(path) and cut(linked) == cut(path)
    assert len(Network(linked).files) == 2


@pytest.mark.parametrize("constants", [False, True])
def test_a_change_of_any_file_changes_the_digest(tmp_path, constants):
    path = saved_apart(tmp_path, classifier(), constants)
    network, data = Network(path), tmp_path / "net.data"
    first, before = network.digest, data.read_bytes()
    assert network.digest == first
    data.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))  # of the same length, at once
    assert network.digest != first
    times = data.stat()
    data.write_bytes(before)
    os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))  # as copies that keep times do
    assert network.digest == first
    path.write_bytes(classifier((32, 32)))
    assert network.digest == Network(classifier((32, 32))).digest


def test_weights_of_inner_graphs_are_found(tmp_path):
    inner = numpy_helper.from_array(ones(4), "inner")
    branches = [
        helper.make_graph(
            [
                helper.make_node("Constant", [], [f"{name}_c"], value=inner),
                node("Add", f"map {name}_c", f"{name}_out"),
            ],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", 1, None)],
        )
        for name in ("yes", "no")
    ]
    model = network(
        node("Relu", "image", "map"),
        node("If", "flag", "chosen", then_branch=branches[0], else_branch=branches[1]),
        output="chosen",
        image=(1, 3, 4, 4),
        weights={"flag": np.array(True)},
    )
    path = saved_apart(tmp_path, model)
    assert [tensor.name for tensor in _file._tensors_elsewhere(onnx.load(path, load_external_data=False))] != []
    assert len(Network(path).files) == 2 and read_network(path).graph.node[-1].op_type == "If"


@pytest.mark.parametrize("location", ["../net.data", "/net.data"])
def test_weights_elsewhere_than_beside_are_refused(tmp_path, location):
    path = saved_apart(tmp_path, classifier())
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        next(item for item in tensor.external_data if item.key == "location").value = location
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(SpmError, match=r"keeps weights in '\S+', which is not beside it"):
        layers(path)


@pytest.mark.parametrize("kind", ["link", "link to a device", "link of a folder", "pipe"])
def test_weights_behind_what_leads_elsewhere_are_refused_unopened(tmp_path, kind):
    """As a stranger may put them into an archive; links between the folders of a hub are another test's."""
    folder = tmp_path / "net"
    folder.mkdir()
    path = saved_apart(folder, classifier())
    secret = tmp_path / "secret"
    secret.write_bytes((folder / "net.data").read_bytes())
    if kind == "link of a folder":
        proto = onnx.load(path, load_external_data=False)
        for tensor in proto.graph.initializer:
            next(item for item in tensor.external_data if item.key == "location").value = "up/secret"
        path.write_bytes(proto.SerializeToString())
        (folder / "up").symlink_to(tmp_path)
    else:
        (folder / "net.data").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "net.data")
    elif kind != "link of a folder":
        (folder / "net.data").symlink_to(secret if kind == "link" else "/dev/zero")
    message = "no regular file" if kind == "pipe" else "a link that leads elsewhere"
    for look in (layers, lambda path: Network(path).digest, read_network):
        with pytest.raises(SpmError, match=message):
            look(path)


def test_a_network_that_is_a_pipe_or_a_device_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "net.onnx")
    for path in (tmp_path / "net.onnx", "/dev/zero"):
        for look in (layers, bytes, lambda network: network.digest):
            with pytest.raises(SpmError, match="no regular file"):
                look(Network(path))


def test_one_file_that_is_the_weights_of_many_is_bounded(tmp_path, monkeypatch):
    path = saved_apart(tmp_path, classifier())
    read_network(path)
    monkeypatch.setattr(_file, "MOST_TAKEN_IN", 200)
    with pytest.raises(SpmError, match="its weights have more than 200 bytes"):
        read_network(path)


def test_a_file_of_weights_that_is_cut_off_says_so(tmp_path):
    path = saved_apart(tmp_path, classifier())
    (tmp_path / "net.data").write_bytes(b"short")
    with pytest.raises(SpmError, match=r"damaged or incomplete \(net\.data is too short\)"):
        layers(path)


# Errors


def test_an_unknown_layer_has_its_nearest_names():
    with pytest.raises(SpmError, match=r"'low_rel' is not in the network: did you mean 'low_relu' or 'low'\?"):
        cut(classifier(), "low_rel")
    with pytest.raises(SpmError, match="did you mean 'high'"):
        cut(classifier(), ["node_high"])  # the operator's name
    with pytest.raises(SpmError, match="choose one of its 3 layers, such as the last: 'low', 'low_relu', 'high'"):
        cut(classifier(), "conv5_3")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("scores", "'scores' is no map of the image: it lies at or behind Flatten 'node_flat'.*such as 'high'"),
        ("mean", "'mean' is no map of the image: it is one value for the whole image"),
        ("image", "it is the image"),
        ([], "one or several names"),
        (["high", "high"], "each once"),
    ],
)
def test_a_layer_that_is_no_map_says_why(names, message):
    with pytest.raises(SpmError, match=message):
        cut(classifier(), names)


def test_a_network_without_maps_says_so():
    model = network(node("Flatten", "image", "flat"), output="flat")
    assert layers(model) == []
    with pytest.raises(SpmError, match="no inner map"):
        cut(model)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n not a network", b"PK\x03\x04" + bytes(40)])
def test_another_file_is_no_network(content, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(SpmError, match="no ONNX file"):
        layers(content)
    with pytest.raises(SpmError, match=r"net\.onnx: this is no ONNX file"):
        layers(path)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SpmError, match=r"none\.onnx: the network cannot be read \(No such file"):
        layers(tmp_path / "none.onnx")


def test_a_network_takes_one_image():
    proto = onnx.load_model_from_string(classifier())
    proto.graph.input.append(helper.make_tensor_value_info("boxes", 1, (1, 4)))
    with pytest.raises(SpmError, match="one input, the image; this has 2: 'image', 'boxes'"):
        layers(proto.SerializeToString())
    for shape, message in [((1, 30), "of shape 1 x 30"), ((1, 6, 32, 32), "has 6"), (None, "of shape unknown")]:
        with pytest.raises(SpmError, match=message):
            layers(network(node("Relu", "image", "out"), output="out", image=shape))
    with pytest.raises(SpmError, match="uint8"):
        layers(network(node("Identity", "image", "out"), output="out", kind=TensorProto.UINT8))


def test_a_missing_extra_names_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"networks need onnx.*pip install onnxruntime onnx"):
        layers(b"")


# The networks at hand


@functools.cache
def _listed(path):
    return {layer.name: layer for layer in layers(path)}


@pytest.mark.parametrize(
    ("file", "name", "channels", "stride", "offset", "n_listed"),
    [
        ("mobilenetv2_1.0_features.onnx", "out_relu", 1280, 32, 15.5, 97),
        ("mobilenetv2_1.0_features.onnx", "block_12_add", 96, 16, 7.5, 97),
        ("squeezenet1.1_fp32.onnx", "fire9/concat", 512, 16, 7.5, 63),
        ("resnet18_to_layer3.onnx", "layer3.1", 256, 16, -7.5, 35),
        ("vgg16_to_conv3_3.onnx", "relu3_3", 256, 4, 0.0, 16),
    ],
)
def test_real_networks_have_their_known_strides(data_home, file, name, channels, stride, offset, n_listed):
    listed = _listed(data_home / "weights" / file)
    layer = listed[name]
    assert len(listed) == n_listed
    assert (layer.channels, layer.stride, layer.offset) == (channels, (stride, stride), (offset, offset))


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("squeezenet1.1_fp32.onnx", ["fire9/concat", "fire5/concat"]),
        ("mobilenetv2_1.0_features.onnx", ["block_12_add"]),
    ],
)
def test_a_cut_of_a_real_network_equals_its_full_run(data_home, file, names):
    path = data_home / "weights" / file
    proto = onnx.load(path)
    proto.graph.output.extend([helper.make_tensor_value_info(name, 1, None) for name in names])
    image = np.random.default_rng(0).normal(0, 50, (1, 3, 70, 97)).astype(np.float32)
    for found, wanted in zip(run(cut(path, names), image), run(proto.SerializeToString(), image, *names), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    sizes = {layer.grid for name in names for layer in layers(path, size=(70, 97)) if layer.name == name}
    assert sizes == {value.shape[2:] for value in run(cut(path, names), image)}


# Fetching


class _Folder(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A registry of one network that a server on this machine has."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "tiny.onnx").write_bytes(classifier())
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Folder, directory=str(tmp_path / "shop"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entry = {
        "name": "tiny.onnx",
        "urls": [f"http://127.0.0.1:{server.server_port}/tiny.onnx"],
        "hash": "sha256:" + hashlib.sha256(classifier()).hexdigest(),
    }
    monkeypatch.setattr(zoo, "read_networks", lambda: {"tiny": entry})
    yield entry
    server.shutdown()
    server.server_close()


def test_a_network_is_fetched_once_and_checked(shop, tmp_path):
    home = tmp_path / "home"
    path = fetch_network("tiny", data_home=home)
    assert path == home / "networks" / "tiny.onnx"
    assert layers(path)[-1].name == "high"
    shop["urls"] = ["http://127.0.0.1:9/gone"]
    assert fetch_network("tiny", data_home=home) == path
    assert fetch_network("tiny", data_home=home, download=False) == path


def test_what_arrives_must_have_the_hash(shop, tmp_path):
    shop["hash"] = "sha256:" + 64 * "0"
    with pytest.raises(SpmError, match="another hash"):
        fetch_network("tiny", data_home=tmp_path)


def test_without_a_network_the_way_by_hand_is_said(shop, tmp_path):
    shop["urls"] = ["http://127.0.0.1:9/tiny.onnx"]
    with pytest.raises(SpmError, match=r"(?s)cannot be reached.*By hand: get tiny\.onnx \(sha256:.*networks"):
        fetch_network("tiny", data_home=tmp_path)
    with pytest.raises(SpmError, match=r"is not in.*By hand"):
        fetch_network("tiny", data_home=tmp_path, download=False)


def test_an_unknown_network_lists_the_known():
    with pytest.raises(SpmError, match="'alexnet' is not an option: choose one of 'efficientnet_lite0', 'mobilenetv2'"):
        fetch_network("alexnet")


@pytest.mark.parametrize("name", sorted(read_networks()))
def test_the_registry_documents_address_hash_and_licence(name):
    entry = read_networks()[name]
    if "package" in entry:  # written here from its weights
        assert all(entry[key] for key in ("title", "reference", "license", "license_source", "hash_source", "name"))
        return
    assert all(url.startswith("https://") and url.endswith(entry["name"]) for url in entry["urls"])
    assert entry["hash"].startswith("sha256:") and len(entry["hash"]) == 7 + 64
    for key in ("title", "reference", "license", "license_source", "hash_source", "address_source", "bytes"):
        assert entry[key]
