"""The layer: torch held to numpy, gradients, precisions, compilation, regions, and exports with free sizes."""

import numpy as np
import pytest

import spm

torch = pytest.importorskip("torch", reason="the layer needs torch")

from spm.nn import SpatialPyramidPooling  # noqa: E402
from spm.nn.export import to_onnx  # noqa: E402
from spm.nn.layer import nested, pool_maps  # noqa: E402

F = torch.nn.functional
SIZES = [(13, 13), (10, 10), (7, 12), (1, 1), (3, 2), (5, 17)]
LEVELS = [(1, 2, 3, 6), (6, 3, 2, 1), (4, 3, 2, 1), (1, (3, 1), (2, 5))]


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def local_of(maps):
    """Return a map of shape (C, H, W) as local features, a cell a pixel."""
    channels, rows, columns = maps.shape
    i, j = np.divmod(np.arange(rows * columns), columns)
    extents = np.stack([j, i, j + 1, i + 1], axis=1).astype(np.float32)
    values = maps.reshape(channels, -1).T.numpy().astype(np.float32)
    return spm.LocalFeatures(
        np.ascontiguousarray(values), extents, (rows, columns), stride=(1, 1), offset=(0, 0), image_size=(rows, columns)
    )


def by_numpy(maps, levels, pool, boxes=None):
    """Return what `spm.SpatialPyramid` makes of each map: its vectors, one a map or a box."""
    pyramid = spm.SpatialPyramid(levels=levels, pool=pool, weights=None)
    boxes = [None] * len(maps) if boxes is None else boxes
    cells = [pyramid.cells(local_of(one), given) for one, given in zip(maps, boxes, strict=True)]
    return np.concatenate([given.reshape(len(given), pyramid.n_cells * maps.shape[1]) for given in cells])


@pytest.mark.parametrize("pool", ["max", "mean", "sum"])
@pytest.mark.parametrize("levels", LEVELS)
def test_it_equals_the_pyramid_of_numpy(levels, pool):
    layer = SpatialPyramidPooling(levels, pool)
    for height, width in SIZES:
        maps = draw(3, 5, height, width, seed=height)
        pooled = layer(maps)
        assert pooled.shape == (3, layer.n_cells * 5)
        np.testing.assert_allclose(pooled, by_numpy(maps, levels, pool), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", range(1, 9))
def test_every_length_and_number_of_bins(n):
    for length in range(1, 25):
        maps = draw(1, 2, length, 25 - length, seed=length)
        assert np.array_equal(SpatialPyramidPooling((n,))(maps), by_numpy(maps, (n,), "max"))
        masked = pool_maps(maps, [(n, n)], masked=True)[0]
        assert torch.equal(masked, F.adaptive_max_pool2d(maps, n))


def test_levels_are_made_of_finer_ones_where_these_divide():
    assert nested([(4, 4), (3, 3), (2, 2), (1, 1)]) == [
        ((4, 4), None), ((3, 3), None), ((2, 2), (4, 4)), ((1, 1), (2, 2)),
    ]  # fmt: skip
    assert nested([(1, 4), (2, 2)]) == [((1, 4), None), ((2, 2), None)]


def test_negative_maps_and_memory_formats():
    maps = draw(2, 4, 9, 11) - 10
    layer = SpatialPyramidPooling()
    assert layer(maps).max() < 0
    for other in (
        maps.contiguous(memory_format=torch.channels_last),
        maps.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        assert torch.equal(layer(other), layer(maps))
    assert layer(maps[:0]).shape == (0, 200)


# Gradients


@pytest.mark.parametrize("pool", ["max", "mean", "sum"])
@pytest.mark.parametrize("size", [(7, 5), (2, 9)])
def test_gradients(pool, size):
    maps = draw(2, 1, *size, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(SpatialPyramidPooling((1, 2, 3, 6), pool), (maps,))
    assert torch.autograd.gradcheck(
        lambda x: SpatialPyramidPooling((2, 1), pool)(x, [[[0, 0, 2, 2]], [[1, 0, 5, 2]]]), maps
    )


def test_gradients_are_those_of_adaptive_pooling_level_by_level():
    maps, seeds = draw(3, 4, 13, 10), draw(3, 200, seed=1)
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    SpatialPyramidPooling()(ours).backward(seeds)
    levels = [F.adaptive_max_pool2d(theirs, n).permute(0, 2, 3, 1).flatten(1) for n in (1, 2, 3, 6)]
    torch.cat(levels, 1).backward(seeds)
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_ties_send_the_gradient_of_a_cell_to_one_of_its_largest(value):
    maps = torch.full((1, 1, 13, 13), value)
    maps[..., 3:9, 2:] = 2.0
    maps.requires_grad_()
    layer = SpatialPyramidPooling((1, 2, 3, 6))
    for cell in range(layer.n_cells):
        (gradient,) = torch.autograd.grad(layer(maps)[0, cell], maps)
        assert gradient.sum() == 1 and (gradient != 0).sum() == 1
        assert maps[gradient != 0] == layer(maps)[0, cell]


# Precisions, compilation


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("pool", ["max", "mean", "sum"])
def test_precisions(dtype, pool):
    maps = draw(2, 3, 11, 7, dtype=dtype).requires_grad_()
    pooled = SpatialPyramidPooling(pool=pool)(maps)
    assert pooled.dtype == dtype
    pooled.sum().backward()
    assert maps.grad.dtype == dtype
    exact = SpatialPyramidPooling(pool=pool)(maps.detach().double())
    bound = 0 if pool == "max" else {torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(pooled.detach().double(), exact, rtol=bound, atol=bound)


def test_it_has_neither_parameters_nor_buffers_and_pickles():
    import pickle

    layer = SpatialPyramidPooling((1, (2, 3)), "mean")
    assert layer.state_dict() == {}
    assert (
        repr(layer)
        == repr(pickle.loads(pickle.dumps(layer)))
        == "SpatialPyramidPooling(levels=(1, (2, 3)), pool='mean')"
    )
    assert SpatialPyramidPooling().to("meta")(torch.zeros(2, 3, 13, 9, device="meta")).shape == (2, 150)


@pytest.mark.parametrize("pool", ["max", "mean", "sum"])
def test_it_is_one_graph_for_all_sizes(pool):
    """Of dynamo alone: whether inductor has a compiler of C++ is the machine's affair."""
    graphs = []

    def keep(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    layer = SpatialPyramidPooling(pool=pool)
    compiled = torch.compile(layer, dynamic=True, fullgraph=True, backend=keep)
    for size in [(13, 9), (10, 17), (7, 7), (24, 3)]:  # a square first one would count as a case of its own
        maps = draw(2, 4, *size)
        torch.testing.assert_close(compiled(maps), layer(maps))
    assert len(graphs) == 1


# Regions


@pytest.mark.parametrize("pool", ["max", "mean", "sum"])
def test_regions_equal_those_of_numpy(pool):
    random = np.random.default_rng(0)
    maps, boxes = draw(3, 4, 11, 17), []
    for k in (5, 0, 8):
        low = random.uniform(-2, (16.5, 10.5), (k, 2))
        high = np.maximum(low + random.uniform(0.1, (17, 11), (k, 2)), 0.1)
        boxes.append(np.hstack([low, high]))
    layer = SpatialPyramidPooling(pool=pool)
    pooled = layer(maps, boxes)
    np.testing.assert_allclose(pooled, by_numpy(maps, (1, 2, 3, 6), pool, boxes), rtol=1e-5, atol=1e-6)
    assert torch.equal(layer(maps, [torch.from_numpy(given) for given in boxes]), pooled)


def test_the_whole_map_is_a_region():
    maps = draw(2, 3, 9, 14)
    layer = SpatialPyramidPooling()
    assert torch.equal(layer(maps, [[[0, 0, 14, 9]]] * 2), layer(maps))
    assert layer(maps, [[], []]).shape == (0, 150)


def test_refusals():
    with pytest.raises(spm.SpmError, match="pool='median' is not an option"):
        SpatialPyramidPooling(pool="median")
    with pytest.raises(spm.SpmError, match="levels"):
        SpatialPyramidPooling((0,))
    layer = SpatialPyramidPooling()
    with pytest.raises(spm.SpmError, match="3 dimensions"):
        layer(torch.zeros(3, 9, 9))
    with pytest.raises(spm.SpmError, match="one array for each of the 2 maps, got 1"):
        layer(torch.zeros(2, 3, 9, 9), [[[0, 0, 1, 1]]])
    with pytest.raises(spm.SpmError, match="outside the map of 9 x 8 cells"):
        layer(torch.zeros(1, 3, 8, 9), [[[9, 0, 12, 3]]])
    with pytest.raises(spm.SpmError, match="x1 must exceed x0"):
        layer(torch.zeros(1, 3, 8, 9), [[[3, 0, 2, 3]]])


# Exports


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("pool", ["max", "mean", "sum"])
def test_exports_with_free_height_and_width(pool, dynamo):
    runtime = pytest.importorskip("onnxruntime", reason="exports are checked by onnxruntime")
    pytest.importorskip("onnx", reason="exports need onnx")
    if dynamo:
        pytest.importorskip("onnxscript", reason="torch's newer exporter needs onnxscript")
    layer = SpatialPyramidPooling((1, 2, 3, 6, (3, 4)), pool)
    content = to_onnx(layer, ["vectors"], maps=False, size=(13, 13), dynamo=dynamo)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n, height, width in [(1, 13, 17), (3, 10, 25), (2, 5, 4), (2, 64, 1)]:
        maps = draw(n, 3, height, width)
        (pooled,) = session.run(None, {"image": maps.numpy()})
        np.testing.assert_allclose(pooled, layer(maps), rtol=1e-5, atol=1e-5)
