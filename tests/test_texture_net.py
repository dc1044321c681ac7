"""The network that ships: its size, its maps, what its card says, and that it was trained on no pixel of a scene."""

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from spm.datasets import MATERIALS, RESERVED_BOXES

FOLDER = Path(__file__).parents[1] / "data"
if not FOLDER.is_dir():
    pytest.skip("the network's script is in the clone alone", allow_module_level=True)

spec = importlib.util.spec_from_file_location("train_texture_net", FOLDER / "train_texture_net.py")
training = importlib.util.module_from_spec(spec)
spec.loader.exec_module(training)
NETWORK = FOLDER / "texture_net.onnx"
CARD = " ".join((FOLDER / "texture_net.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def session():
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra cnn: onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(NETWORK), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def model():
    return pytest.importorskip("onnx", reason="needs the extra cnn: onnx").load(NETWORK)


def noise(*shape):
    return np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)


def overlap(a, b):
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def inside(box, around):
    return around[0] <= box[0] < box[2] <= around[2] and around[1] <= box[1] < box[3] <= around[3]


def test_ships_small():
    assert NETWORK.stat().st_size <= 500_000
    assert f"{NETWORK.stat().st_size:,} bytes" in CARD


@pytest.mark.parametrize("batch, height, width", [(1, 128, 128), (3, 67, 45), (2, 8, 8)])
def test_takes_every_size_and_batch(session, batch, height, width):
    (result,) = session.run(None, {"data": noise(batch, 3, height, width)})
    assert result.shape == (batch, 64, height // 8, width // 8)
    assert result.min() >= 0
    assert result.max() > 0


def test_images_of_a_batch_do_not_mix(session):
    images = noise(2, 3, 40, 48)
    together, alone = (session.run(None, {"data": some})[0] for some in (images, images[1:]))
    np.testing.assert_allclose(together[1:], alone, atol=1e-4)


def test_a_shift_by_the_stride_is_a_shift_by_a_cell(session):
    image = noise(1, 3, 136, 136)
    here, there = (session.run(None, {"data": some})[0] for some in (image[..., :-8, :-8], image[..., 8:, 8:]))
    np.testing.assert_allclose(here[..., 4:-3, 4:-3], there[..., 3:-4, 3:-4], atol=1e-4)


def test_a_cell_lies_over_its_pixels(session):
    image = noise(1, 3, 96, 96)
    before = session.run(None, {"data": image})[0]
    changed = image.copy()
    changed[..., 48:56, 40:48] = 1  # the pixels of the cell in row 6, column 5
    rows, columns = np.nonzero((session.run(None, {"data": changed})[0] != before).any(axis=(0, 1)))
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (12, 10)


def test_layers_are_those_of_the_script_and_of_the_card(model):
    weights = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    stride = 1
    for name, inputs, outputs, kernel, step, _ in training.LAYERS:
        stride *= step
        assert weights.pop(f"{name}/weight") == (outputs, inputs, kernel, kernel)
        assert weights.pop(f"{name}/bias") == (outputs,)
        assert f"| `{name}/relu` | {outputs} | {kernel}x{kernel} | {step} | {stride} |" in CARD
    assert not weights
    names = [name for name, *_ in training.LAYERS]
    assert [node.output[0] for node in model.graph.node] == [f"{name}{end}" for name in names for end in ("", "/relu")]
    sizes = [np.prod(weight.dims) for weight in model.graph.initializer]
    assert f"{sum(sizes):,} parameters" in CARD


def test_old_runtimes_read_it(model):
    assert model.ir_version <= 9  # onnxruntime 1.17 reads no later one
    assert [(entry.domain, entry.version <= 17) for entry in model.opset_import] == [("", True)]
    free = [side.dim_param != "" for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert (model.graph.input[0].name, free) == ("data", [True, False, True, True])


def test_trained_on_reserved_pixels_which_no_scene_shows():
    patches = training.patches()
    assert len(patches) == training.N_CLASSES
    for patch in patches:
        for box in (*patch.train, *patch.held_out):
            assert inside(box, RESERVED_BOXES[patch.source])
            assert not any(source == patch.source and overlap(box, shown) for source, shown in MATERIALS.values())


def test_held_out_pixels_are_no_training_pixels():
    patches = training.patches()
    for held_out, train in ((a, b) for a in patches for b in patches if a.source == b.source):
        assert not any(overlap(a, b) for a in held_out.held_out for b in train.train)


@pytest.mark.parametrize("part", ["train", "held_out"])
def test_crops_show_their_own_boxes_alone(monkeypatch, part):
    patches = training.patches()
    photographs = {source: np.full((427, 640, 3), 255, np.uint8) for source in RESERVED_BOXES}
    for patch in patches:
        for x0, y0, x1, y1 in getattr(patch, part):
            photographs[patch.source][y0:y1, x0:x1] = 0
    monkeypatch.setattr(training, "load_sample_image", photographs.get)
    monkeypatch.setattr(training, "jitter", lambda images, rng: images)
    crops = training.crops(patches, part, np.arange(200) % len(patches), np.random.RandomState(0))
    assert crops.shape == (200, training.CROP, training.CROP, 3)
    assert not crops.any()


def test_crops_depend_on_the_seed_alone():
    patches, labels = training.patches(), np.arange(training.N_CLASSES)
    first, again, other = (training.crops(patches, "train", labels, np.random.RandomState(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.dtype == np.float32
    assert (first.min(), first.max()) == (0, 255)


def test_torch_and_onnx_are_imported_inside_functions_only():
    tree = ast.parse(Path(training.__file__).read_text(encoding="utf-8"))
    names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not {name.split(".")[0] for name in names} & {"torch", "onnx", "onnxruntime"}
