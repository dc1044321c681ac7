"""Networks that are hard to read: the last map is found, lies where it lies, or it is said what stands in the way."""

from __future__ import annotations

import io
import json
import os
import warnings

import numpy as np
import onnx
import onnxruntime as runtime
import pytest
from onnx import TensorProto, helper, numpy_helper

import spm
from spm import FeatureMap
from spm.cli import main
from spm.errors import ImageError, SpmError
from spm.networks import cut, layers
from spm.networks.file import read_network

torch = pytest.importorskip("torch", reason="its exporter writes the networks")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

FREE = {"image": {0: "batch", 2: "height", 3: "width"}}
SIZE = 96


def node(op, inputs, output, **options):
    return helper.make_node(op, inputs.split(), output.split(), name=f"node_{output.split()[0]}", **options)


def noise(*shape):
    return (np.random.default_rng(0).normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def by_hand(*nodes, weights, out, opset=17, kind=TensorProto.FLOAT, image=(1, 3, "h", "w")):
    """A network written node by node."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("image", kind, image)],
        [helper.make_empty_tensor_value_info(out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()


def after_conv(*nodes, opset=17, image=(1, 3, "h", "w"), **weights):
    """A convolution of stride 4, what follows it, and an end named so."""
    conv, end = node("Conv", "image w", "map", strides=[4, 4]), node("Relu", "last", "end")
    return by_hand(conv, *nodes, end, weights={"w": noise(16, 3, 4, 4), **weights}, out="end", opset=opset, image=image)


class Do(nn.Module):
    def __init__(self, function, **parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleDict(parts)

    def forward(self, x):
        return self.function(x, **self.parts)


def stem(width=16):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, width, 3, 2, 1), nn.ReLU())


def body():
    return nn.Sequential(nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())


def behind(function, **parts):
    """A stem of stride 4, something hostile, a body of stride 2, and the head of a classifier."""
    return nn.Sequential(stem(), Do(function, **parts), body(), Do(lambda x: x.mean((2, 3))), nn.Linear(24, 5))


def exported(module, *, free=True, size=SIZE, training=None, opset=17):
    torch.manual_seed(0)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    module.train(training is not None)
    file = io.BytesIO()
    options = {} if training is None else {"training": training, "do_constant_folding": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, size, size),),
            file,
            input_names=["image"],
            output_names=["out"],
            dynamo=False,
            opset_version=opset,
            dynamic_axes=FREE if free else None,
            **options,
        )
    return file.getvalue()


def photo(height=SIZE, width=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def quiet(network, size=None, **options):
    """A feature map, without the word that it was measured."""
    return FeatureMap(network, size=size, **({"policy": "warp"} if size else {}), **options)


def default(network):
    """The layer that is taken without `layers`."""
    name = onnx.load_model_from_string(bytes(cut(network))).graph.output[0].name
    return next(layer for layer in layers(network) if layer.name == name)


def check_squares(features, size=SIZE):
    """Squares of noise, put in one at a time, change most the cells that lie there."""
    random, side = np.random.default_rng(0), size // 3
    image = photo(size, size)
    before = features.extract(image)
    for x in range(0, size, side):
        for y in range(0, size, side):
            changed = image.copy()
            changed[y : y + side, x : x + side] = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            change = np.abs(features.extract(changed).values - before.values).sum(axis=1)
            row, column = np.divmod(change.argmax(), before.grid[1])
            x0, y0, x1, y1 = before.to_grid([[x, y, x + side, y + side]])[0]
            assert y0 <= row < y1 and x0 <= column < x1, (x, y)


def shuffled(x):
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


def excited(x, dense):
    gate = dense(x.mean((2, 3))).sigmoid()
    return x * gate.view(*gate.shape, 1, 1).expand_as(x)


def normalised(x):
    return F.normalize(x)


# Operators that are not known

# name: (what stands between the stem and the body, its parts, stride and offset of the last map)
HOSTILE = {
    "a Reshape that keeps the shape": (lambda x: x.reshape(x.shape[0], 16, *x.shape[2:]), {}, 8, -3.5),
    "a Reshape there and back": (lambda x: x.flatten(2).view_as(x), {}, 8, -3.5),
    "channel shuffle": (shuffled, {}, 8, -3.5),
    "GroupNorm": (lambda x, n: n(x), {"n": nn.GroupNorm(4, 16)}, 8, -3.5),
    "squeeze and excitation": (excited, {"dense": nn.Linear(16, 16)}, 8, -3.5),
    "Softmax": (lambda x: x.softmax(1), {}, 8, -3.5),
    "F.normalize": (normalised, {}, 8, -3.5),
    "Resize": (lambda x: F.interpolate(x, scale_factor=2.0), {}, 4, -2.5),
    "a transposed convolution": (lambda x, up: up(x), {"up": nn.ConvTranspose2d(16, 16, 4, 2, 1)}, 4, -2.5),
    "pixel shuffle": (lambda x, wide: F.pixel_shuffle(wide(x), 2), {"wide": nn.Conv2d(16, 64, 1)}, 4, -2.5),
    "ZeroPad2d": (lambda x, p: p(x), {"p": nn.ZeroPad2d((1, 1, 1, 1))}, 8, -7.5),
    "ReflectionPad2d": (lambda x, p: p(x), {"p": nn.ReflectionPad2d(1)}, 8, -7.5),
    "padding_mode": (
        lambda x, c: c(x),
        {"c": nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect")},
        8,
        -3.5,
    ),
    "channels last": (
        lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        {"n": nn.LayerNorm(16)},
        8,
        -3.5,
    ),
}


@pytest.mark.filterwarnings("ignore:where the cells")
@pytest.mark.parametrize("free", [True, False], ids=["free", "fixed"])
@pytest.mark.parametrize("case", HOSTILE)
def test_the_last_map_is_found_and_lies_where_it_lies(case, free):
    function, parts, stride, offset = HOSTILE[case]
    network = exported(behind(function, **parts), free=free)
    layer = default(network)
    assert (layer.op, layer.channels, layer.stride, layer.offset) == ("Relu", 24, (stride,) * 2, (offset,) * 2)
    assert layer == layers(network)[-1] and layer.name.endswith("Relu_output_0")
    check_squares(quiet(network, SIZE))


@pytest.mark.filterwarnings("ignore:where the cells")
def test_an_identity_reshape_costs_nothing():
    plain = exported(behind(lambda x: x))
    proto = onnx.load_model_from_string(plain)
    target = next(n for n in proto.graph.node if n.op_type == "Relu" and n.name.startswith("/0")).output[0]
    shape = [helper.make_node("Shape", [target], ["s"]), helper.make_node("Reshape", [target, "s"], ["kept"])]
    at = 1 + max(k for k, n in enumerate(proto.graph.node) if target in n.output)
    later = [*proto.graph.node][at:]
    for n in later:
        n.input[:] = ["kept" if name == target else name for name in n.input]
    del proto.graph.node[at:]
    proto.graph.node.extend([*shape, *later])
    features = FeatureMap(proto.SerializeToString())
    local, wanted = features.extract(photo(70, 110)), FeatureMap(plain).extract(photo(70, 110))
    np.testing.assert_array_equal(local.values, wanted.values)
    assert (local.stride, local.offset, local.grid) == (wanted.stride, wanted.offset, wanted.grid)


@pytest.mark.filterwarnings("ignore:where the cells")
@pytest.mark.parametrize("size", [(64, 64), (97, 131), (70, 224)])
def test_what_was_measured_at_one_size_holds_at_others(size):
    """Norms by groups keep the places: stride and offset are those of the network without them, to the digit."""
    norm = {"n": nn.GroupNorm(4, 16)}
    one, other = exported(behind(lambda x, n: n(x), **norm)), exported(behind(lambda x: x))
    measured, computed = layers(one, size=size)[-1], layers(other, size=size)[-1]
    assert (measured.geometry, computed.geometry, measured.field) == ("measured", "computed", None)
    assert (measured.stride, measured.offset, measured.grid) == (computed.stride, computed.offset, computed.grid)
    local = quiet(one).extract(photo(*size))
    assert (local.grid, local.stride, local.offset) == (measured.grid, measured.stride, measured.offset)


@pytest.mark.filterwarnings("ignore:where the cells")
def test_a_norm_at_the_end_leans_on_the_map_before_it():
    network = nn.Sequential(stem(), nn.GroupNorm(4, 16), body(), nn.GroupNorm(3, 24), Do(lambda x: x.mean((2, 3))))
    assert default(exported(network)).offset == (-3.5, -3.5)


def test_that_it_was_measured_is_said_once():
    network = exported(behind(lambda x, n: n(x), n=nn.GroupNorm(2, 16)))
    with pytest.warns(
        UserWarning, match="where the cells of '.*' lie in the image was measured.*Reshape '/1/n/Reshape'"
    ):
        FeatureMap(network).extract(photo())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FeatureMap(network).views(photo(80, 90))
        FeatureMap(exported(behind(lambda x: x))).extract(photo())


@pytest.mark.filterwarnings("ignore:where the cells")
def test_an_inner_graph_is_followed_and_cut_along_with_what_it_reads():
    branches = [
        helper.make_graph([node(op, "map", op)], op, [], [helper.make_empty_tensor_value_info(op)])
        for op in ("Relu", "Sigmoid")
    ]
    chosen = helper.make_node("If", ["flag"], ["last"], name="if", then_branch=branches[0], else_branch=branches[1])
    network = after_conv(chosen, flag=np.array(False))
    assert (default(network).name, default(network).stride) == ("end", (4, 4))
    check_squares(quiet(network))


@pytest.mark.parametrize("opset", [11, 13])
def test_a_softmax_over_channels_keeps_places_as_its_version_says(opset):
    found = [layer.geometry for layer in layers(after_conv(node("Softmax", "map", "last", axis=1), opset=opset))]
    assert found == ["computed", *({11: "measured", 13: "computed"}[opset],) * 2]  # of old, of all values together


@pytest.mark.filterwarnings("ignore:where the cells")
def test_a_decoder_is_joined_to_its_encoder():
    def grown(x, down, up, last):
        return last(torch.cat([up(down(x)), x], 1))

    parts = {"down": nn.Conv2d(16, 16, 2, 2), "up": nn.ConvTranspose2d(16, 16, 2, 2), "last": nn.Conv2d(32, 16, 1)}
    network = exported(behind(grown, **parts))
    assert (default(network).stride, default(network).offset) == ((8, 8), (-3.5, -3.5))
    check_squares(quiet(network, SIZE))


def test_rows_and_columns_that_change_places_are_no_map():
    """Nor is what folds rows into channels, or a dense layer laid out as a grid: the map before is the default."""
    swapped = [node("Reshape", "map flat", "rows"), node("Transpose", "rows", "turned", perm=[0, 1, 3, 2])]
    cases = [
        ([*swapped, node("Identity", "turned", "last")], {"flat": np.array([1, 16, 24, 24])}),
        ([node("Reshape", "map to", "last")], {"to": np.array([1, 32, 12, 24])}),
        (
            [node("Flatten", "map", "flat"), node("MatMul", "flat d", "dense"), node("Reshape", "dense to", "last")],
            {"d": noise(9216, 490), "to": np.array([1, 10, 7, 7])},
        ),
    ]
    for nodes, weights in cases:
        network = after_conv(*nodes, image=(1, 3, 96, 96), **weights)
        assert default(network).name == ("rows" if "flat" in weights else "map")
        with pytest.raises(SpmError, match=r"'end' is no map of the image"):
            FeatureMap(network, layers="end").extract(photo())


@pytest.mark.parametrize("levels", [(1, 2), (1, 2, 4), (2, 3, 6)])
def test_a_network_with_a_pyramid_of_its_own_gives_the_map_before(levels):
    def pooled(x):
        return torch.cat([F.max_pool2d(x, 12 // n, 12 // n).relu().flatten(1) for n in levels], 1)

    network = exported(nn.Sequential(stem(), body(), Do(pooled)), free=False)
    assert default(network).grid == (12, 12) and layers(network)[-1].grid != (12, 12)
    pools = exported(nn.Sequential(stem(), body(), nn.MaxPool2d(2), Do(lambda x: x.flatten(1))), free=False)
    assert default(pools).grid == (6, 6)  # one pooling is a step on the way, as in VGG


# Constants


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([node("Constant", "", "p", value_ints=[0, 0, 1, 2, 0, 0, 3, 0])], {}),
        ([node("Identity", "q", "p")], {"q": np.array([0, 0, 1, 2, 0, 0, 3, 0])}),
        (
            [node("Concat", "a b", "ab", axis=0), node("Reshape", "ab to", "p")],
            {"a": np.array([[0, 0, 1, 2]]), "b": np.array([[0, 0, 3, 0]]), "to": np.array([-1])},
        ),
        (
            [node("Constant", "", "c", value_float=1.0), node("Cast", "c", "one", to=7), node("Mul", "q one", "p")],
            {"q": np.array([0, 0, 1, 2, 0, 0, 3, 0])},
        ),
    ],
    ids=["value_ints", "Identity", "Concat and Reshape", "Cast"],
)
def test_constants_are_computed(nodes, weights):
    network = after_conv(*nodes, node("Pad", "map p", "last"), **weights)
    layer = layers(network, size=(64, 64))[-1]
    assert (layer.grid, layer.offset, layer.geometry) == ((20, 18), (-4, -8), "computed")


@pytest.mark.parametrize("size", [(96, 96), (97, 130), (103, 99)])
def test_padding_by_the_image_s_size_is_worked_out_for_each(size):
    """As "same" of TensorFlow is written in PyTorch: what ``auto_pad`` would say."""

    def same(x, conv):
        down, across = (max(((side + 1) // 2 - 1) * 2 + 5 - side, 0) for side in x.shape[2:])
        return conv(F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)))

    network = exported(nn.Sequential(stem(), Do(same, conv=nn.Conv2d(16, 8, 5, 2))))
    nodes = [node("Conv", "image a", "b", strides=[2, 2], pads=[1] * 4)]
    nodes += [node("Conv", "b c", "d", strides=[2, 2], pads=[1] * 4)]
    nodes += [node("Conv", "d e", "end", strides=[2, 2], auto_pad="SAME_UPPER")]
    wanted = by_hand(
        *nodes, weights={"a": noise(8, 3, 3, 3), "c": noise(16, 8, 3, 3), "e": noise(8, 16, 5, 5)}, out="end"
    )
    found, known = layers(network, size=size)[-1], layers(wanted, size=size)[-1]
    assert (found.grid, found.stride, found.offset) == (known.grid, known.stride, known.offset)
    assert (found.geometry, found.field) == ("computed", known.field)
    assert FeatureMap(network, size=None).extract(photo(*size)).grid == found.grid


# No map at all


def test_without_a_map_it_is_said_what_stands_in_the_way(tmp_path, capsys):
    network = by_hand(
        node("Flatten", "image", "flat"), node("Relu", "flat", "end"), weights={}, out="end", image=(1, 3, 32, 32)
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(network)
    assert layers(path) == []
    reason = r"no inner map of the image: .*Flatten 'node_flat', which does not keep rows and columns"
    for call in (
        lambda: cut(path),
        lambda: FeatureMap(path).extract(photo()),
        lambda: cut(path, "nothing"),
        lambda: FeatureMap(path, layers=["nothing"]).check(photo()),
    ):
        with pytest.raises(SpmError, match=reason):
            call()
    with pytest.raises(SpmError, match=r"'end' is no map of the image: .*Flatten.*no other layer is one"):
        cut(path, "end")
    for options in ([], ["--json"]):
        assert main(["layers", str(path), *options]) == 1
        assert "Flatten 'node_flat'" in capsys.readouterr().err


def test_the_command_lists_what_was_measured(tmp_path, capsys):
    path = tmp_path / "net.onnx"
    path.write_bytes(exported(behind(lambda x, n: n(x), n=nn.GroupNorm(4, 16))))
    assert main(["layers", str(path)]) == 0
    out = capsys.readouterr().out
    assert "8 x 8 *" in out and "4 x 4  " in out and "* measured by running the network" in out
    assert main(["layers", str(path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["layers"]
    assert {layer["geometry"] for layer in listed} == {"computed", "measured"} and listed[-1]["field"] is None


# Transformers


class Block(nn.Module):
    def __init__(self, width=32, heads=4):
        super().__init__()
        self.heads, self.norm, self.qkv, self.out = (
            heads,
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.transpose(-2, -1) / (c // self.heads) ** 0.5).softmax(-1) @ v
        return x + self.out(mixed.transpose(1, 2).reshape(b, n, c))


class Transformer(nn.Module):
    """A vision transformer, its position embeddings brought to the image's grid."""

    def __init__(self, before=1, head=True, behind=0):
        super().__init__()
        self.patch, self.blocks = nn.Conv2d(3, 32, 16, 16), nn.Sequential(Block(), Block())
        self.extra = nn.Parameter(torch.linspace(-1, 1, before * 32).reshape(1, before, 32))
        self.behind = nn.Parameter(torch.ones(1, behind, 32)) if behind else None
        self.position = nn.Parameter(0.1 * torch.sin(torch.arange(32.0 * 36)).reshape(1, 32, 6, 6))
        self.norm, self.dense, self.before, self.head = nn.LayerNorm(32), nn.Linear(32, 5), before, head

    def forward(self, x):
        x = self.patch(x)
        x = (x + F.interpolate(self.position, x.shape[2:], mode="bilinear")).flatten(2).transpose(1, 2)
        if self.before:
            x = torch.cat([self.extra.expand(x.shape[0], -1, -1), x], 1)
        if self.behind is not None:
            x = torch.cat([x, self.behind.expand(x.shape[0], -1, -1)], 1)
        x = self.norm(self.blocks(x))
        return self.dense(x[:, 0] if self.before else x.mean(1)) if self.head else x


@pytest.mark.filterwarnings("ignore:where the cells")
@pytest.mark.parametrize("before", [0, 1, 5])
@pytest.mark.parametrize("size", [(96, 96), (64, 128)])
def test_the_tokens_of_a_grid_are_a_map(before, size):
    network = exported(Transformer(before, head=False))
    features = FeatureMap(network, size=None, preprocess={})
    local = features.extract(photo(*size))
    assert (local.grid, local.stride, local.offset) == ((size[0] // 16, size[1] // 16), (16, 16), (0, 0))
    image = np.ascontiguousarray(photo(*size).transpose(2, 0, 1)[None] / 255, dtype=np.float32)
    tokens = runtime.InferenceSession(network).run(None, {"image": image})[0]
    np.testing.assert_allclose(local.values, tokens[0, before:], atol=1e-5)
    for options in ({"layers": "out"}, {"layers": ["out"], "tokens_before": before}):
        np.testing.assert_array_equal(features.set_params(**options).extract(photo(*size)).values, local.values)


@pytest.mark.filterwarnings("ignore:where the cells")
@pytest.mark.parametrize("free", [True, False], ids=["free", "fixed"])
def test_the_last_tokens_of_a_transformer_are_the_default(free):
    network = exported(Transformer(), free=free)
    assert default(network).name == "/norm/LayerNormalization_output_0"
    assert default(network).geometry == "measured" and default(network).channels == 32
    check_squares(quiet(network, SIZE))


@pytest.mark.filterwarnings("ignore:where the cells")
def test_a_transformer_is_saved_and_cut_as_others_are(tmp_path):
    path = tmp_path / "vit.onnx"
    path.write_bytes(exported(Transformer(2)))
    vec = spm.PyramidVectorizer(
        features=FeatureMap(path, size=96), pyramid=spm.SpatialPyramid(levels=(1, 3), pool="max")
    )
    wanted = vec.fit([photo()]).transform([photo(), photo(64, 100)])
    saved = spm.save(vec, tmp_path / "vit.spm")
    path.unlink()
    np.testing.assert_allclose(spm.load(saved).transform([photo(), photo(64, 100)]), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:where the cells")
@pytest.mark.parametrize("behind", [0, 4])
def test_how_many_tokens_stand_before_the_grid_may_be_said(behind):
    network = exported(Transformer(1, head=False, behind=behind))
    values = [quiet(network, SIZE, tokens_before=n).extract(photo()).values for n in (None, 1)]
    np.testing.assert_array_equal(*values)
    image = (photo().transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
    tokens = runtime.InferenceSession(network).run(None, {"image": image})[0][0, 1:37]
    np.testing.assert_allclose(quiet(network, SIZE, preprocess={}).extract(photo()).values, tokens, atol=1e-5)
    with pytest.raises(SpmError, match="'out' is no map of the image"):
        quiet(network, SIZE, layers="out", tokens_before=40).extract(photo())
    for wrong in (-1, 1.5, "1"):
        with pytest.raises(SpmError, match="tokens_before must be a whole number at least 0"):
            FeatureMap(network, tokens_before=wrong).extract(photo())


# Values


def test_half_precision_that_overflows_names_layer_and_image(tmp_path):
    network = by_hand(
        node("Conv", "image w", "map", strides=[4, 4]),
        node("Mul", "map big", "end"),
        weights={"w": noise(16, 3, 4, 4).astype(np.float16), "big": np.float16(60000)},
        out="end",
        kind=TensorProto.FLOAT16,
    )
    spm_image = tmp_path / "bright.png"
    from PIL import Image

    Image.fromarray(photo()).save(spm_image)
    with pytest.raises(ImageError, match=r"bright\.png: layer 'end' .* values that are not finite; half"):
        FeatureMap(network, preprocess={"scale": 1}).extract(spm_image)
    assert np.isfinite(FeatureMap(network, layers="map", preprocess={"scale": 1}).extract(spm_image).values).all()
    single = by_hand(node("Log", "image", "end"), weights={}, out="end")
    with pytest.raises(ImageError, match="not finite; is preprocess right"):
        FeatureMap(single).extract(photo())


def quantised(scale, zero):
    """One network of whole numbers, whose map is made by QLinearConv."""
    weights = {"s": np.float32(scale), "z": np.uint8(zero), "ws": np.float32(0.01), "wz": np.int8(0)}
    weights["k"] = np.random.default_rng(0).integers(-100, 100, (16, 3, 4, 4)).astype(np.int8)
    mean = node("QLinearGlobalAveragePool", "map s z s z", "mean", domain="com.microsoft", channels_last=0)
    conv = node("QLinearConv", "small s z k ws wz s z", "map", strides=[4, 4])
    return by_hand(node("QuantizeLinear", "image s z", "small"), conv, mean, weights=weights, out="mean"), weights


def test_a_quantised_map_has_the_values_that_it_stands_for():
    network, weights = quantised(0.05, 120)
    assert [layer.op for layer in layers(network)] == ["QuantizeLinear", "QLinearConv"]
    local = FeatureMap(network, size=None).extract(photo())
    float_network = by_hand(
        node("Conv", "image w", "end", strides=[4, 4]), weights={"w": weights["k"] * np.float32(0.01)}, out="end"
    )
    wanted = FeatureMap(float_network, size=None).extract(photo())
    inside = np.abs(wanted.values) < 5.5  # what eight bits of this step can say
    np.testing.assert_allclose(local.values[inside], wanted.values[inside], atol=0.5)
    assert (local.stride, local.grid) == (wanted.stride, wanted.grid) and (local.values < 0).any()


# Training


def dropped(opset):
    if opset >= 12:
        return [node("Dropout", "map ratio on", "last")], {"ratio": np.float32(0.5), "on": np.array(True)}
    return [node("Dropout", "map", "last", ratio=0.5, is_test=0)], {}


@pytest.mark.parametrize("opset", [6, 13])
def test_dropout_in_training_is_set_to_what_it_does_in_use(opset):
    nodes, weights = dropped(opset)
    features = FeatureMap(after_conv(*nodes, opset=opset, **weights))
    with pytest.warns(UserWarning, match=r"exported while it was trained: Dropout 'node_last' .*network\.eval\(\)"):
        first = features.extract(photo()).values
    np.testing.assert_array_equal(
        first, FeatureMap(after_conv(node("Identity", "map", "last"))).extract(photo()).values
    )


def test_constants_may_say_that_dropout_trains():
    nodes = [node("Constant", "", "on", value=numpy_helper.from_array(np.array(True))), *dropped(13)[0]]
    with pytest.warns(UserWarning, match="trained"):
        proto = read_network(after_conv(*nodes, ratio=np.float32(0.5)))
    assert [len(n.input) for n in proto.graph.node if n.op_type == "Dropout"] == [2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_network(after_conv(node("Dropout", "map ratio off", "last"), ratio=np.float32(0.5), off=np.array(False)))
        read_network(after_conv(node("Dropout", "map", "last"), opset=10))


@pytest.mark.parametrize("opset", [9, 15])
def test_batch_normalisation_in_training_takes_the_statistics_of_the_file(opset):
    options = {"training_mode": 1} if opset >= 14 else {}
    outputs = {9: "last m2 v2 m3 v3", 15: "last m2 v2"}[opset]
    statistics = {"g": noise(16, 1).ravel() + 1, "b": noise(16), "m": noise(16), "v": noise(16) ** 2 + 1}
    network = after_conv(node("BatchNormalization", "map g b m v", outputs, **options), opset=opset, **statistics)
    with pytest.warns(UserWarning, match="BatchNormalization 'node_last' are set"):
        values = FeatureMap(network).extract(photo()).values
    in_use = after_conv(node("BatchNormalization", "map g b m v", "last"), **statistics)
    np.testing.assert_array_equal(values, FeatureMap(in_use).extract(photo()).values)


@pytest.mark.parametrize("opset", [13, 17])
def test_torch_s_export_of_a_training_network_is_that_of_one_in_use(opset):
    network = nn.Sequential(stem(), nn.BatchNorm2d(16, momentum=0.0), nn.Dropout(), body())
    training = exported(network, training=torch.onnx.TrainingMode.TRAINING, opset=opset)
    in_use = exported(network.eval(), opset=opset)
    with pytest.warns(UserWarning, match="and 1 more are set to what they do in use"):
        values = FeatureMap(training).extract(photo()).values
    np.testing.assert_allclose(values, FeatureMap(in_use).extract(photo()).values, rtol=1e-4, atol=1e-5)


def test_random_numbers_on_the_way_are_refused_and_behind_it_do_not_matter():
    drawn = [node("RandomNormalLike", "map", "drawn"), node("Add", "map drawn", "last")]
    with pytest.raises(SpmError, match=r"draws random numbers, by RandomNormalLike 'node_drawn'.*a layer before it"):
        FeatureMap(after_conv(*drawn)).extract(photo())
    assert FeatureMap(after_conv(*drawn), layers="map").extract(photo()).grid == (56, 56)


# Names and sizes


def numbered():
    nodes = [node("Conv", "image w", "466", strides=[4, 4]), node("Relu", "466", "467"), node("Abs", "467", "468")]
    return by_hand(*nodes, weights={"w": noise(4, 3, 4, 4)}, out="468")


@pytest.mark.parametrize("names", [467, "467", [467], (467,), np.int64(467), np.array(["467"])])
def test_a_number_is_a_name(names):
    features = FeatureMap(numbered(), layers=names)
    (view,) = features.views(photo())
    assert len(view) == 1 and view[0].values.min() == 0 and features.layers is names
    assert onnx.load_model_from_string(bytes(cut(numbered(), names))).graph.output[0].name == "467"


def test_numbers_are_names_on_the_command_line(tmp_path, capsys):
    for kind, level in (("dark", 0), ("light", 200)):
        (tmp_path / kind).mkdir()
        for k in range(4):
            import cv2

            cv2.imwrite(str(tmp_path / kind / f"{k}.png"), photo(40, 40, k) // 5 + np.uint8(level))
    (tmp_path / "net.onnx").write_bytes(numbered())
    options = ["--preset", "spp2014", "--set", f"model={tmp_path / 'net.onnx'}", "--set", "size=32"]
    for names in ("467", "466,467"):
        call = ["train", str(tmp_path), "-o", str(tmp_path / "m.spm"), *options, "--set", f"layers={names}"]
        os.rename(tmp_path / "net.onnx", tmp_path / "net.onnx")
        assert main(call) == 0, capsys.readouterr().err
        assert spm.load(tmp_path / "m.spm")[0].get_feature_names_out().size == 50 * 4 * (1 + names.count(","))


@pytest.mark.parametrize("names", [True, [b"467"], [None]])
def test_what_is_no_name_is_refused(names):
    with pytest.raises(SpmError, match="layers must be one or several names"):
        FeatureMap(numbered(), layers=names).extract(photo())


@pytest.mark.filterwarnings("ignore:where the cells")
def test_a_network_is_looked_at_at_a_size_that_it_takes():
    """Its file leaves the size free, but constants on the way fix it."""
    network = exported(Transformer(1, head=False), free=False, size=96)
    proto = onnx.load_model_from_string(network)
    for dim, word in ((2, "h"), (3, "w")):
        proto.graph.input[0].type.tensor_type.shape.dim[dim].dim_param = word
    features = FeatureMap(proto.SerializeToString(), size=96, policy="warp")
    assert features.extract(photo(130, 70)).grid == (6, 6)
    with pytest.raises(ImageError, match=r"array of shape \(64, 96, 3\): the network cannot see 96 x 64 pixels"):
        features.set_params(size=None, policy="full").extract(photo(64, 96))
    with pytest.raises(SpmError, match=r"height and width of the network cannot be freed.*Add"):
        cut(network, free=True)


def test_what_onnxruntime_cannot_run_names_the_image():
    placed = after_conv(node("Add", "map c", "last"), c=noise(1, 16, 24, 24))
    with pytest.raises(SpmError, match=r"array of shape \(60, 60, 3\)|no map of the image"):
        FeatureMap(placed, layers="end", size=None).extract(photo(60, 60))
