"""Feature maps: cells where they lie, policies and views, one thread a run, workers, files that change; every error."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import onnx
import onnxruntime as runtime
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from spm.classifiers.svm import KernelSVC
from spm.encoders.bag_of_words import BagOfWords
from spm.encoders.codes import Codes
from spm.errors import ImageError, MissingDependencyError, SpmError
from spm.features.feature_map import FeatureMap
from spm.features.frames import Frame, frame_of, prepare, resize, value_tables
from spm.networks import Network
from spm.networks import session as _runtime
from spm.networks.file import read_network
from spm.networks.graph import graph_of
from spm.networks.maps import cut, layers
from spm.pyramid.pyramid import SpatialPyramid
from spm.vectorizer import PyramidVectorizer

PLAIN = {"scale": 1.0}  # pixels as they are


def build(*operators, image=(1, 3, "H", "W"), kind=TensorProto.FLOAT, seed=None):
    """A chain of operators on an image, each (type, options); convolutions sum, or with a seed have random weights."""
    random = None if seed is None else np.random.default_rng(seed)
    channels = image[3] if image[3] in (1, 3) else image[1]
    nodes, weights, last = [], [], "image"
    for k, (op, options) in enumerate(operators):
        inputs, output = [last], f"{op.lower()}{k}"
        if op == "Conv":
            options = dict(options)
            shape = (options.pop("channels", channels), channels, *options["kernel_shape"])
            values = np.full(shape, 1 / np.prod(shape[1:])) if random is None else random.normal(0, 0.2, shape)
            channels = shape[0]
            weights.append(numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), f"w{k}"))
            inputs.append(f"w{k}")
        nodes.append(helper.make_node(op, inputs, [output], name=f"node{k}", **options))
        last = output
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", kind, image)],
        [helper.make_tensor_value_info(last, kind, None)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def conv(kernel, stride=1, pads=(0, 0, 0, 0), **options):
    kernel = kernel if isinstance(kernel, list) else [kernel, kernel]
    return "Conv", {"kernel_shape": kernel, "strides": [stride, stride], "pads": list(pads), **options}


def pool(kernel, stride, **options):
    return "MaxPool", {"kernel_shape": [kernel, kernel], "strides": [stride, stride], **options}


RELU = ("Relu", {})
SMALL = build(conv(3, 2, (1, 1, 1, 1), channels=8), RELU, conv(3, 2, channels=12), RELU, seed=0)  # stride 4
HEAD = (("GlobalAveragePool", {}), ("Flatten", {}), ("Softmax", {"axis": 1}))


def photo(height=60, width=80, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(found, wanted):
    """Check that two lists of views hold the same local features, bit for bit."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a.values, b.values)
            np.testing.assert_array_equal(a.extents, b.extents)
            assert (a.grid, a.stride, a.offset, a.image_size) == (b.grid, b.stride, b.offset, b.image_size)


def vectorizer(features, **options):
    options = {"pyramid": SpatialPyramid(levels=(1, 2, 3, 6), pool="max"), "norm": "l2", **options}
    return PyramidVectorizer(features=features, **options)


# What it returns


def test_cells_come_row_by_row_with_whole_extents():
    local = FeatureMap(SMALL, size=None).extract(photo(60, 80))
    assert local.grid == (14, 19)
    assert local.values.shape == (14 * 19, 12) and local.values.dtype == np.float32
    assert local.values.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(local.extents[[0, 1, 19]], [[0, 0, 1, 1], [1, 0, 2, 1], [0, 1, 1, 2]])
    assert local.extents.dtype == np.float32
    assert (local.stride, local.image_size) == ((4, 4), (60, 80))


def test_the_values_are_the_network_s_own():
    image = photo(33, 41)
    local = FeatureMap(SMALL, size=None).extract(image)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    prepared = ((image / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    wanted = runtime.InferenceSession(SMALL).run(None, {"image": prepared})[0][0]
    np.testing.assert_allclose(local.values, wanted.reshape(12, -1).T, rtol=1e-4, atol=1e-5)
    assert local.grid == wanted.shape[1:]


def test_layers_come_in_the_order_given_each_on_its_own_grid():
    features = FeatureMap(SMALL, layers=["relu3", "relu1"], size=None)
    ((late, early),) = features.views(photo())
    assert (late.grid, early.grid) == ((14, 19), (30, 40))
    assert (late.values.shape[1], early.values.shape[1]) == (12, 8)
    same([(features.extract(photo()),)], [(late,)])
    same(FeatureMap(SMALL, layers="relu1", size=None).views(photo()), [(early,)])


def test_the_default_layer_is_the_last_map():
    whole = build(conv(3, 2, channels=4), *HEAD)
    same(FeatureMap(whole).views(photo()), FeatureMap(whole, layers=["conv0"]).views(photo()))


# Where cells lie

NETWORKS = {
    "same": [conv(3, 2, (1, 1, 1, 1)), conv(3, 2, (1, 1, 1, 1))],
    "unpadded": [conv(3, 2), conv(3, 2)],
    "even kernels": [conv(2, 2), conv(4, 2, (1, 1, 1, 1))],
    "padded far": [conv(3, 2, (0, 0, 1, 1)), conv(3, 2, (0, 0, 1, 1))],
    "long": [conv([1, 5], 2, (0, 2, 0, 2)), conv([3, 1], 2)],
    "pooled": [conv(3, 2), pool(3, 2, ceil_mode=1)],
    "dilated": [conv(3, 1, (2, 2, 2, 2), dilations=[2, 2]), conv(2, 4)],
    "fixed": [conv(2, 2), conv(3, 2, (1, 1, 1, 1))],
}


def brightest(local):
    """The cell with the largest value, as row and column."""
    return np.divmod(local.values[:, 0].argmax(), local.grid[1])


@pytest.mark.parametrize("case", NETWORKS)
@pytest.mark.parametrize("scale", [1, 0.5, 1.5])
def test_a_bright_square_lights_the_cell_that_lies_there(case, scale):
    """In the middle the very cell that the square covers; in each corner one of those that the box has."""
    height, width = 80, 104
    shape = (1, 3, 80, 104) if case == "fixed" else (1, 3, "H", "W")
    features = FeatureMap(
        build(*NETWORKS[case], image=shape), preprocess=PLAIN, size=None, policy="warp" if case == "fixed" else "full"
    )
    features.set_params(size=104) if case == "fixed" else features.set_params(size=int(height * scale))
    image = np.zeros((height, width, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the fixed size
        dark = features.extract(image)
    (down, across), (top, left) = dark.stride, dark.offset
    for i, j in [(2, 3), (dark.grid[0] // 2, dark.grid[1] // 2)]:
        edges = np.rint([left + j * across, top + i * down, left + (j + 1) * across, top + (i + 1) * down]).astype(int)
        lit = _square(features, image, edges)
        assert brightest(lit) == (i, j)
    side = int(2 * max(down, across))
    for x, y in [(0, 0), (width - side, 0), (0, height - side), (width - side, height - side)]:
        box = [x, y, x + side, y + side]
        row, column = brightest(_square(features, image, box))
        x0, y0, x1, y1 = dark.to_grid([box])[0]
        assert y0 <= row < y1 and x0 <= column < x1, box


def _square(features, image, box):
    """The cells of an image with a bright square."""
    x0, y0, x1, y1 = box
    image = image.copy()
    image[y0:y1, x0:x1] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return features.extract(image)


@pytest.mark.parametrize("case", ["same", "unpadded", "even kernels", "padded far", "pooled"])
@pytest.mark.parametrize("policy", ["full", "crop", "warp"])
def test_a_mirrored_view_s_cells_lie_where_they_lie_in_the_image(case, policy):
    """Of a square a third from the left, mirrored and not; the map's own values are those of the mirrored image."""
    features = FeatureMap(build(*NETWORKS[case]), preprocess=PLAIN, size=64, policy=policy, flip=True)
    image = np.zeros((70, 98, 3), np.uint8)  # resized it loses an even number of columns to the crop
    image[30:42, 28:40] = 255
    (plain,), (back,) = features.views(image)
    for local in (plain, back):
        row, column = brightest(local)
        x0, y0, x1, y1 = local.to_grid([[28, 30, 40, 42]])[0]
        assert y0 <= row < y1 and x0 <= column < x1
    (of_mirror,) = FeatureMap(build(*NETWORKS[case]), preprocess=PLAIN, size=64, policy=policy).views(image[:, ::-1])[0]
    np.testing.assert_array_equal(
        back.values.reshape(*back.grid, -1), of_mirror.values.reshape(*back.grid, -1)[:, ::-1]
    )
    right = back.offset[1] + back.grid[1] * back.stride[1]
    assert right == pytest.approx(98 - of_mirror.offset[1])  # its first cell's far edge is the last one's near edge


# Sizes and policies


@pytest.mark.parametrize(
    ("policy", "size", "resized", "part"),
    [
        ("full", 30, (30, 40), (0, 0, 30, 40)),
        ("full", 120, (120, 160), (0, 0, 120, 160)),
        ("full", None, (60, 80), (0, 0, 60, 80)),
        ("crop", 30, (30, 40), (0, 5, 30, 30)),
        ("warp", 30, (30, 30), (0, 0, 30, 30)),
    ],
)
def test_a_policy_says_what_the_network_sees(policy, size, resized, part):
    assert frame_of((60, 80), size, policy) == Frame((60, 80), resized, part)
    upright = frame_of((80, 60), size, policy)
    assert upright == Frame((80, 60), resized[::-1], (part[1], part[0], part[3], part[2]))
    local = FeatureMap(SMALL, size=size, policy=policy).extract(photo(60, 80))
    assert local.grid == tuple(((side + 1) // 2 - 3) // 2 + 1 for side in part[2:])
    assert local.image_size == (60, 80)


def test_the_longer_side_is_rounded_and_never_lost():
    assert frame_of((333, 500), 224, "full").size == (224, 336)
    assert frame_of((1, 500), 1, "full").size == (1, 500)
    assert frame_of((500, 3), 10, "crop") == Frame((500, 3), (1667, 10), (828, 0, 10, 10))


def test_strides_are_in_pixels_of_the_image():
    local = FeatureMap(build(conv(4, 4)), size=32).extract(photo(64, 96))
    assert (local.stride, local.offset) == ((8.0, 8.0), (0.0, 0.0))
    local = FeatureMap(build(conv(4, 4)), size=32, policy="warp").extract(photo(64, 96))
    assert (local.stride, local.offset) == ((8.0, 12.0), (0.0, 0.0))
    local = FeatureMap(build(conv(4, 4)), size=32, policy="crop").extract(photo(64, 96))
    assert (local.stride, local.offset) == ((8.0, 8.0), (0.0, 16.0))
    np.testing.assert_array_equal(local.to_grid([[0, 0, 96, 64], [32, 16, 40, 24]]), [[0, 0, 8, 8], [2, 2, 3, 3]])


def test_several_sizes_and_flips_are_views():
    views = FeatureMap(SMALL, size=(32, None, 64), flip=True).views(photo())
    assert [view[0].grid for view in views] == [(7, 10), (7, 10), (14, 19), (14, 19), (15, 21), (15, 21)]
    assert {view[0].image_size for view in views} == {(60, 80)}
    same([views[2]], FeatureMap(SMALL, size=None).views(photo()))
    same([(FeatureMap(SMALL, size=(32, 64)).extract(photo()),)], [views[0]])


@pytest.mark.parametrize("size", [(40, 50), (30, 100), (170, 230), (23, 31)])
def test_resizing_keeps_an_image_where_it_is(size):
    """A smooth picture, resized, is the smooth picture of the new size."""

    def smooth(height, width):
        y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
        return np.rint(np.stack([x + 0 * y[:, None], y[:, None] + 0 * x, x * y[:, None]], axis=2) * 255).astype(
            np.uint8
        )

    found = resize(smooth(90, 121), size)
    assert found.shape == (*size, 3)
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(found[inner].astype(float), smooth(*size)[inner], atol=2.1)


def test_fine_stripes_do_not_alias():
    stripes = np.zeros((200, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(resize(stripes, (50, 100)), 127.5, atol=1)


def test_an_image_of_its_size_is_not_touched():
    image = photo()
    assert resize(image, (60, 80)) is image


# Preprocessing


@pytest.mark.parametrize(
    ("preprocess", "wanted"),
    [
        ("imagenet", lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("caffe", lambda x: x[..., ::-1] - np.array([103.94, 116.78, 123.68])),
        ("tf", lambda x: x / 127.5 - 1),
        ({"mean": (104, 117, 123), "scale": 1, "order": "bgr"}, lambda x: x[..., ::-1] - np.array([104, 117, 123.0])),
        ({"mean": 0.5, "std": [0.1, 0.2, 0.3]}, lambda x: (x / 255 - 0.5) / [0.1, 0.2, 0.3]),
        ({}, lambda x: x / 255),
    ],
)
def test_preprocessing_is_what_its_name_says(preprocess, wanted):
    image = photo(5, 7)
    found = prepare(image, *value_tables(preprocess, 3))
    assert found.dtype == np.float32 and found.shape == (1, 3, 5, 7)
    np.testing.assert_allclose(found[0].transpose(1, 2, 0), wanted(image.astype(float)), rtol=1e-5, atol=1e-5)


def test_a_grey_network_sees_grey_images():
    features = FeatureMap(build(conv(2, 2), image=(1, 1, "H", "W")), preprocess={"mean": 0.5}, size=None)
    grey = photo()[..., 0]
    local = features.extract(grey)
    wanted = (grey / 255 - 0.5).reshape(30, 2, 40, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(local.values[:, 0], wanted.ravel(), atol=1e-6)
    with pytest.raises(SpmError, match="3 values in 'mean', the network takes 1 channel"):
        FeatureMap(features.model).extract(grey)


def test_half_precision_and_channels_last_are_taken():
    wanted = FeatureMap(build(conv(2, 2)), size=None).extract(photo()).values
    half = FeatureMap(build(conv(2, 2), kind=TensorProto.FLOAT16), size=None).extract(photo()).values
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, wanted, atol=5e-3)
    turned = ("Transpose", {"perm": [0, 3, 1, 2]})
    last = FeatureMap(build(turned, conv(2, 2), image=(1, "H", "W", 3)), size=None).extract(photo())
    np.testing.assert_allclose(last.values, wanted, atol=1e-6)


# Networks of a fixed size


def test_a_fixed_size_is_used_with_a_clear_word():
    fixed = build(conv(4, 4), image=(1, 3, 32, 48))
    with pytest.warns(
        UserWarning, match=r"images of 32 x 48 \(height x width\) only.*policy='warp', not by policy='full'"
    ):
        local = FeatureMap(fixed).extract(photo(64, 96))
    assert (local.grid, local.stride, local.image_size) == ((8, 12), (8.0, 8.0), (64, 96))
    with pytest.warns(UserWarning, match="free=True"):
        views = FeatureMap(fixed, size=(32, 64), flip=True, policy="crop").views(photo(64, 128))
    assert len(views) == 2  # one size, two sides
    assert (views[0][0].stride, views[0][0].offset) == ((8.0, 8.0), (0.0, 16.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        square = build(conv(4, 4), image=(1, 3, 32, 32))
        assert FeatureMap(square, size=32, policy="warp").extract(photo()).grid == (8, 8)
        assert FeatureMap(cut(fixed, free=True), size=32).extract(photo(64, 96)).grid == (8, 12)


# Behind it


def test_it_fills_the_place_of_an_extractor():
    images = [photo(60, 80, k) for k in range(3)] + [photo(47, 52, 9)]
    vec = vectorizer(FeatureMap(SMALL, size=None)).fit(images)
    vectors = vec.transform(images)
    assert vectors.shape == (4, 50 * 12)
    np.testing.assert_allclose(
        np.linalg.norm(vectors / np.repeat(vec.pyramid_.cell_weights(), 12), axis=1), 1, rtol=1e-5
    )
    local = vec.features_.extract(images[3])
    top = local.values.reshape(*local.grid, 12)
    pooled = vec.pyramid_.cells(local)[0]
    np.testing.assert_array_equal(pooled[0], top.max(axis=(0, 1)))
    height, width = local.grid
    for i in range(6):
        for j in range(6):
            bin_ = top[i * height // 6 : -(-(i + 1) * height // 6), j * width // 6 : -(-(j + 1) * width // 6)]
            np.testing.assert_array_equal(pooled[14 + 6 * i + j], bin_.max(axis=(0, 1)))


def test_a_box_over_the_whole_image_is_the_image():
    vec = vectorizer(FeatureMap(SMALL, size=(None, 40), flip=True, layers=["relu1", "relu3"])).fit([photo()])
    whole = vec.transform_regions(photo(), [[0, 0, 80, 60], [-5, -5, 99, 99], [10, 5, 33, 50]])
    np.testing.assert_array_equal(whole[:2], vec.transform([photo()])[[0, 0]])
    assert not np.array_equal(whole[2], whole[0])


def test_views_are_averaged():
    one, two = (vectorizer(FeatureMap(SMALL, size=side), norm=None).fit([photo()]) for side in (40, 60))
    both = vectorizer(FeatureMap(SMALL, size=(40, 60)), norm=None).fit([photo()])
    mean = (one.transform([photo()]) + two.transform([photo()])) / 2
    np.testing.assert_allclose(both.transform([photo()]), mean, rtol=1e-6)


def test_several_layers_are_joined():
    both = vectorizer(FeatureMap(SMALL, layers=["relu1", "relu3"]), norm=None).fit([photo()])
    parts = [vectorizer(FeatureMap(SMALL, layers=name), norm=None).fit([photo()]) for name in ("relu1", "relu3")]
    wanted = np.concatenate([part.transform([photo()]) for part in parts], axis=1)
    np.testing.assert_array_equal(both.transform([photo()]), wanted)
    assert len(both.get_feature_names_out()) == wanted.shape[1]


def test_codes_over_cells():
    """A vocabulary of CNN cells, pooled in the pyramid: nothing of the road minds."""
    images = [photo(60, 80, k) for k in range(4)]
    vec = vectorizer(
        FeatureMap(SMALL, layers=["relu1", "relu3"]),
        encoder=BagOfWords(n_words=6),
        reduce=PCA(4, random_state=0),
        pyramid=SpatialPyramid(levels=(1, 2), pool="sum"),
        norm="l1",
        random_state=0,
    ).fit(images)
    vectors = vec.transform(images)
    assert vectors.shape == (4, 2 * 5 * 6)
    local = vec.features_.views(images[0])[0][0]
    words = vec.layers_[0].encode(local)
    counts = np.bincount(words.words[:, 0], minlength=6)
    found = vectors[0, :6] / vec.pyramid_.cell_weights()[0]
    np.testing.assert_allclose(found / found.sum(), counts / counts.sum(), rtol=1e-5)
    assert isinstance(words, Codes)


def test_it_is_searched_over_as_any_estimator():
    dark, light = [photo(24, 30, k) // 3 for k in range(6)], [255 - photo(24, 30, k) // 3 for k in range(6)]
    model = Pipeline([("vectors", vectorizer(FeatureMap(SMALL))), ("classifier", KernelSVC(kernel="intersection"))])
    options = {"vectors__features__layers": [["relu1"], ["relu3"]], "vectors__features__size": [24, 48]}
    search = GridSearchCV(model, options, cv=2).fit([*dark, *light], [0] * 6 + [1] * 6)
    assert search.best_score_ == 1


# Workers


@pytest.mark.parametrize("content", [True, False])
def test_workers_do_not_change_a_bit(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(SMALL)
    images = [photo(60, 80, k) for k in range(11)] + [photo(50, 47, 30)]
    features = FeatureMap(SMALL if content else path, size=(32, 48), flip=True)
    wanted = vectorizer(features).fit(images).transform(images)
    np.testing.assert_array_equal(vectorizer(features, n_jobs=2).fit(images).transform(images), wanted)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_array_equal(vectorizer(features).fit(images).transform(images), wanted)


def test_threads_share_one_session(monkeypatch):
    opened = []
    monkeypatch.setattr(_runtime, "_by_process", {})
    monkeypatch.setattr(_runtime, "Session", lambda *given: opened.append(given) or Session(*given))
    network = build(conv(3, 2), seed=5)
    results = [None] * 8
    start = threading.Barrier(8)

    def work(k):
        start.wait()
        results[k] = FeatureMap(network).views(photo())

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(opened) == 1
    for result in results:
        same(result, results[0])


Session = _runtime.Session


def test_a_run_takes_one_thread():
    options = _runtime.open_network(SMALL, None)._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_only_a_few_networks_stay_open(monkeypatch):
    monkeypatch.setattr(_runtime, "_by_process", {})
    for seed in range(_runtime.KEPT + 2):
        FeatureMap(build(conv(2, 2), seed=seed)).extract(photo())
    assert len(_runtime._by_process[os.getpid()].opened) == _runtime.KEPT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_opens_its_own():
    features = FeatureMap(SMALL)
    wanted = features.extract(photo()).values
    with warnings.catch_warnings(), joblib.parallel_config(backend="multiprocessing"):
        warnings.simplefilter("ignore")  # Python's own word on forks
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(_values_and_process)(features) for _ in range(2))
    for values, process in found:
        assert process != os.getpid()
        np.testing.assert_array_equal(values, wanted)


def _values_and_process(features):
    values = features.extract(photo()).values
    assert os.getpid() in _runtime._by_process
    return values, os.getpid()


# An estimator


def test_options_are_kept_and_cloned(tmp_path):
    features = FeatureMap(SMALL, layers=["relu1"], preprocess={"mean": 0.5}, size=(1, 2), policy="warp", flip=True)
    params = features.get_params()
    assert params["model"] == Network(SMALL) and params["preprocess"] == {"mean": 0.5} and params["layers"] == ["relu1"]
    assert clone(features).get_params() == params
    assert clone(features).model is features.model  # not a copy of so many bytes
    assert clone(FeatureMap(tmp_path)).model is not None
    assert pickle.loads(pickle.dumps(features)).get_params() == params
    assert bytes(features.set_params(model=b"other").model) == b"other"


def test_content_shows_itself_by_its_size():
    features = FeatureMap(SMALL)
    for shown in (
        features,
        FeatureMap(Network(SMALL)),
        clone(features),
        pickle.loads(pickle.dumps(features)),
        FeatureMap("x").set_params(model=SMALL),
    ):
        assert repr(shown) == f"FeatureMap(model=<network of {len(SMALL):,} bytes>)"
        assert len(repr(PyramidVectorizer(features=shown))) < 200
        assert len(shown._repr_html_()) < 100_000


def test_its_state_is_plain():
    """No session, no class of its own: what a pickle or a model file holds are the options."""
    features = FeatureMap(SMALL, size=None)
    features.extract(photo())
    state = features.__getstate__()
    assert {type(value) for value in state.values()} <= {Network, str, int, bool, type(None)}
    assert bytes(state["model"]) == SMALL


def test_a_model_file_may_hold_it(tmp_path):
    """All else that its state has is on the list of types that skops trusts by itself."""
    features = FeatureMap(SMALL, layers=["relu1"], preprocess={"mean": (0.4, 0.5, 0.6)}, size=(40, None))
    data = skops.io.dumps(features)
    assert skops.io.get_untrusted_types(data=data) == ["spm.FeatureMap", "spm.networks.Network"]
    loaded = skops.io.loads(data, trusted=["spm.FeatureMap", "spm.networks.Network"])
    assert loaded.get_params() == features.get_params() and repr(loaded) == repr(features)
    same(loaded.views(photo()), features.views(photo()))


def test_an_embedded_network_needs_no_file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(build(conv(3, 2, channels=4), RELU, conv(3, 2, channels=400), *HEAD, seed=1))
    features = FeatureMap(path, layers=["relu1"], size=(40, None))
    wanted = features.views(photo())
    assert features.embed_network() is features
    assert len(bytes(features.model)) < len(path.read_bytes()) / 10  # what lies behind the layers is gone
    path.unlink()
    same(pickle.loads(pickle.dumps(features)).views(photo()), wanted)
    same(clone(features).views(photo()), wanted)
    again = features.model
    assert features.embed_network().model == again


def test_a_changed_file_is_seen(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(SMALL)
    features = FeatureMap(path)
    before, first = features.extract(photo()).values, features.fingerprint()
    assert features.fingerprint() == first
    path.write_bytes(build(conv(3, 2, (1, 1, 1, 1), channels=8), RELU, conv(3, 2, channels=12), RELU, seed=1))
    assert features.fingerprint() != first
    assert not np.array_equal(features.extract(photo()).values, before)
    path.write_bytes(SMALL)
    assert features.fingerprint() == first
    np.testing.assert_array_equal(features.extract(photo()).values, before)


def test_a_fingerprint_is_of_content_and_options(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(SMALL)
    prints = {FeatureMap(model).fingerprint() for model in (tmp_path / "a.onnx", str(tmp_path / "b.onnx"), SMALL)}
    assert len(prints) == 1
    for option in ({"layers": "relu1"}, {"size": 9}, {"policy": "warp"}, {"flip": True}, {"preprocess": "tf"}):
        prints.add(FeatureMap(SMALL, **option).fingerprint())
    assert len(prints) == 6


def test_weights_beside_the_file_count_in_its_fingerprint(tmp_path):
    prints = set()
    for seed in (0, 1):
        proto = onnx.load_model_from_string(build(conv(3, 2, channels=8), seed=seed))
        folder = tmp_path / str(seed)
        folder.mkdir()
        onnx.save(proto, folder / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
        prints.add(FeatureMap(folder / "net.onnx").fingerprint())
    assert len(prints) == 2


def test_weights_that_change_beside_the_file_are_seen(tmp_path):
    """In the same process, and by a memory of features."""
    (tmp_path / "other").mkdir()
    for folder, seed in ((tmp_path, 0), (tmp_path / "other", 1)):
        proto = onnx.load_model_from_string(build(conv(3, 2, channels=8), seed=seed))
        onnx.save(proto, folder / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    features = vectorizer(FeatureMap(tmp_path / "net.onnx"), memory=tmp_path / "memory").fit([photo()])
    before, first = features.transform([photo()]), features.features.fingerprint()
    (tmp_path / "net.data").write_bytes((tmp_path / "other" / "net.data").read_bytes())
    assert features.features.fingerprint() != first
    after = features.transform([photo()])
    assert not np.array_equal(after, before)
    wanted = vectorizer(FeatureMap(tmp_path / "other" / "net.onnx")).fit([photo()]).transform([photo()])
    np.testing.assert_array_equal(after, wanted)


# Errors


def test_too_small_an_image_names_the_smallest_size(tmp_path):
    network = build(conv(7, 2), pool(3, 2), conv([3, 5]))
    assert graph_of(read_network(network)).smallest() == (19, 27)
    features = FeatureMap(network, size=None)
    for call in (features.extract, features.views, features.check):
        assert call(photo(19, 27)) is None or call is not features.check
        for height, width in [(18, 90), (90, 26), (1, 1)]:
            wanted = rf"array of shape \({height}, {width}, 3\): the image has {width} x {height} pixels, but "
            with pytest.raises(ImageError, match=wanted + "the network needs at least 27 x 19; enlarge the image"):
                call(photo(height, width))
    with pytest.raises(ImageError, match=r"80 x 60 pixels, 13 x 10 as the network sees it, but .* or raise size"):
        FeatureMap(network, size=10).extract(photo())
    Image.fromarray(photo(5, 6)).save(tmp_path / "tiny.png")
    with pytest.raises(ImageError, match=r"tiny\.png: the image has 6 x 5"):
        features.check(tmp_path / "tiny.png")


def test_a_branch_that_vanishes_never_reaches_onnxruntime():
    """Of an input of which a pooling leaves nothing, onnxruntime ends the process (a division by zero)."""
    features = FeatureMap(build(conv(3, 2, channels=64), pool(3, 2), RELU, seed=0), size=None)
    for side in range(1, 8):
        if side < 7:
            with pytest.raises(ImageError, match="needs at least 7 x 7"):
                features.extract(photo(side, side))
        else:
            assert features.extract(photo(side, side)).grid == (1, 1)


def test_maps_that_do_not_meet_at_a_size_are_an_error():
    """Two branches that round an odd side differently."""
    weights = [numpy_helper.from_array(np.ones((1, 3, 2, 2), np.float32), "w")]
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], strides=[2, 2]),
        helper.make_node("Conv", ["image", "w"], ["b"], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Add", ["a", "b"], ["both"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", 1, (1, 3, "H", "W"))],
        [helper.make_tensor_value_info("both", 1, None)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    features = FeatureMap(model.SerializeToString(), size=None)
    assert features.extract(photo(20, 30)).grid == (10, 15)
    with pytest.raises(ImageError, match=r"cannot see this size.*Add.*joins maps of different sizes"):
        features.extract(photo(21, 30))


def test_too_long_an_image_is_an_error_and_not_a_crash():
    with pytest.raises(ImageError, match="more than 100000000, the limit"):
        FeatureMap(SMALL, size=4000).check(np.zeros((2, 400, 3), np.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": 3}, "model must be the path or the content"),
        ({"model": "none.onnx"}, r"none\.onnx: the network cannot be read \(No such file"),
        ({"model": b"nothing"}, "no ONNX file"),
        ({"layers": ["relu9"]}, "did you mean 'relu3' or 'relu1'"),
        ({"layers": []}, "one or several names"),
        ({"size": 0}, "size must be a whole number at least 1, got 0"),
        ({"size": 22.5}, "size must be a whole number"),
        ({"size": ()}, "empty sequence"),
        ({"size": (32, "big")}, "size must be a whole number"),
        ({"size": None, "policy": "crop"}, "give policy='crop' a size"),
        ({"policy": "stretch"}, "choose one of 'full', 'crop', 'warp'"),
        ({"flip": "yes"}, "flip='yes' is not an option"),
        ({"preprocess": "torch"}, "choose one of 'imagenet', 'caffe', 'tf'"),
        ({"preprocess": None}, "choose one of 'imagenet', 'caffe', 'tf'"),
        ({"preprocess": {"means": 0}}, "a key of preprocess='means' is not an option: choose one of 'mean', 'std'"),
        ({"preprocess": {"order": "rbg"}}, "choose one of 'rgb', 'bgr'"),
        ({"preprocess": {"std": (1, 0, 1)}}, "each of std must be a finite number above 0"),
        ({"preprocess": {"mean": (1, 2)}}, "2 values in 'mean', the network takes 3 channel"),
        ({"preprocess": {"scale": None}}, "scale must be a finite number"),
    ],
)
def test_each_option_is_checked_before_any_work(options, message):
    for method in ("extract", "check", "views"):
        with pytest.raises(SpmError, match=message):
            getattr(FeatureMap(**{"model": SMALL, **options}), method)(photo())


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"a\.jpg"):
        FeatureMap(SMALL).check(tmp_path / "a.jpg")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_extra_names_the_command_and_only_at_work(package, monkeypatch):
    monkeypatch.setattr(_runtime, "_by_process", {})
    monkeypatch.setitem(sys.modules, package, None)
    features = clone(FeatureMap(SMALL))  # nothing is needed to hold it
    with pytest.raises(MissingDependencyError, match=rf"need {package}, .*: pip install onnxruntime onnx"):
        features.extract(photo())


def test_importing_loads_no_network_library_and_running_says_nothing(tmp_path):
    (tmp_path / "net.onnx").write_bytes(SMALL)
    script = (
        "import sys; from spm import FeatureMap; import numpy as np; features = FeatureMap('net.onnx')\n"
        "assert not {'onnx', 'onnxruntime', 'torch', 'matplotlib'} & set(sys.modules)\n"
        "features.extract(np.zeros((30, 40, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# The networks at hand

REAL = {
    "mobilenetv2_1.0_features.onnx": ("out_relu", "tf"),
    "squeezenet1.1_fp32.onnx": ("fire9/concat", {"scale": 1, "mean": (104, 117, 123), "order": "bgr"}),
    "resnet18_to_layer3.onnx": ("layer3.1", "imagenet"),
    "vgg16_to_conv3_3.onnx": ("relu3_3", "caffe"),
}


@pytest.mark.parametrize("file", REAL)
def test_real_networks_light_the_corner_where_a_square_is(data_home, file):
    name, preprocess = REAL[file]
    features = FeatureMap(data_home / "weights" / file, layers=[name], preprocess=preprocess, size=None)
    height, width, side = 160, 192, 64
    image = np.full((height, width, 3), 96, np.uint8)
    dark = features.extract(image)
    corners = [(0, 0), (width - side, 0), (0, height - side), (width - side, height - side)]
    boxes = np.array([[x, y, x + side, y + side] for x, y in corners])
    changes = []
    for box, (x0, y0, x1, y1) in zip(boxes, dark.to_grid(boxes), strict=True):
        change = np.abs(_square(features, image, box).values - dark.values).sum(axis=1).reshape(dark.grid)
        within = np.zeros(dark.grid, bool)
        within[int(y0) : int(y1), int(x0) : int(x1)] = True
        assert change[within].mean() > change[~within].mean(), box
        changes.append(change[[0, 0, -1, -1], [0, -1, 0, -1]])
    np.testing.assert_array_equal(np.argmax(changes, axis=0), [0, 1, 2, 3])  # each corner's cell minds its own square


def test_squeezenet_needs_seventeen_pixels(data_home):
    path = data_home / "weights" / "squeezenet1.1_fp32.onnx"
    features = FeatureMap(path, layers=["fire9/concat"], size=None)
    assert features.extract(photo(17, 17)).grid == (1, 1)
    with pytest.raises(ImageError, match="needs at least 17 x 17"):
        features.extract(photo(16, 40))


def test_photographs_travel_the_cnn_road(data_home):
    folder = data_home / "scene15"
    paths = [folder / kind / f"image_{k:04d}.jpg" for kind in ("Coast", "Kitchen") for k in (1, 2, 3, 4, 5, 6)]
    features = FeatureMap(data_home / "weights" / "mobilenetv2_1.0_features.onnx", preprocess="tf", size=128)
    assert layers(features.model)[-1].channels == 1280
    model = Pipeline([("vectors", vectorizer(features, n_jobs=2)), ("classifier", KernelSVC(kernel="intersection"))])
    kinds = [0] * 6 + [1] * 6
    learn = [0, 1, 2, 6, 7, 8]
    model.fit([paths[k] for k in learn], [kinds[k] for k in learn])
    assert model.score(paths, kinds) == 1


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_grey_images_are_prepared_as_three_equal_channels(order):
    grey = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)
    tables, _ = value_tables({"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)}, 3)
    widened = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(prepare(grey, tables, order), prepare(widened, tables, order))
