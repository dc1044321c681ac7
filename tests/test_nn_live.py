"""Torch modules in memory as feature maps: the same as their ONNX exports, and never touched."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

import spm

torch = pytest.importorskip("torch", reason="the modules are torch's")
pytest.importorskip("onnx", reason="where their cells lie is computed from an export")
pytest.importorskip("onnxruntime", reason="results are compared with onnxruntime's")

from spm.nn import LiveNetwork, spp_net, trunk  # noqa: E402
from spm.nn.export import to_onnx  # noqa: E402
from spm.nn.trunks.architectures import ARCHITECTURES  # noqa: E402

nn = torch.nn


class Network(nn.Module):
    """A user's: work in place, a module called twice, dropout, batch norm, a head that takes one value a channel."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.layer2 = nn.Sequential(nn.Conv2d(8, 12, 3, stride=2), nn.Dropout(0.5), nn.ReLU(inplace=True))
        self.conv3 = nn.Conv2d(12, 12, 1)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer2(x)
        return self.fc(self.relu(self.conv3(x)).mean((2, 3)))


@pytest.fixture
def module():
    torch.manual_seed(0)
    network = Network()
    network(torch.randn(4, 3, 32, 32))  # running means that are not zero
    return network


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((60, 80, 3), (75, 50, 3), (64, 64, 3))]


def assert_same(ours, theirs, bound=1e-4):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=bound)
        assert np.array_equal(one.extents, other.extents)
        assert (one.grid, one.stride, one.offset, one.image_size) == (
            other.grid, other.stride, other.offset, other.image_size,
        )  # fmt: skip


def test_it_equals_its_export(module, images):
    layers = ["conv1", "bn1", "layer2", "conv3", "relu"]
    live = spm.FeatureMap(module, layers=layers, size=(48, 64), flip=True)
    filed = spm.FeatureMap(spm.networks.cut(module, layers), layers=layers, size=(48, 64), flip=True)
    for image in images:
        for ours, theirs in zip(live.views(image), filed.views(image), strict=True):
            assert_same(ours, theirs)
    local = live.views(images[0])[0]
    assert local[1].values.min() < 0  # as bn1 gives it, though what follows works in place
    assert local[3].values.min() < 0 <= local[4].values.min()


@pytest.mark.parametrize(
    ("name", "layer"), [("resnet18", "layer3"), ("googlenet", "inception4a"), ("alexnet", "features")]
)
def test_networks_of_the_papers(name, layer, images):
    """Held to an export of the part alone, by the trunk that ends there."""
    torch.manual_seed(1)
    network = ARCHITECTURES[name].make()
    (ours,) = spm.FeatureMap(network, layers=[layer], size=96).views(images[0])[0]
    export = to_onnx(trunk(network, cut=layer).body)
    assert_same([ours], spm.FeatureMap(export, size=96).views(images[0])[0])


def test_the_module_is_left_as_it_was(module, images):
    module.conv3.eval()
    before = {name: (value.clone(), value._version) for name, value in module.state_dict().items()}
    flags = [part.training for part in module.modules()]
    features = spm.FeatureMap(module, layers="conv3", size=48)
    features.extract(images[0])
    spm.networks.layers(module)
    with pytest.raises(spm.ImageError):
        features.extract(np.zeros((0, 5, 3), np.uint8))
    with pytest.raises(spm.SpmError, match="'conv9' is not in the network: did you mean 'conv3' or 'conv1'"):
        spm.FeatureMap(module, layers="conv9").extract(images[0])
    assert [part.training for part in module.modules()] == flags
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name][0]) and value._version == before[name][1]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())


def test_a_module_that_fails_is_left_as_it_was(images):
    class Failing(Network):
        def forward(self, x):
            raise RuntimeError("out of order")

    failing = Failing()
    with pytest.raises(spm.SpmError, match=r"does not take an image of shape.*out of order"):
        spm.FeatureMap(failing, layers="conv1").extract(images[0])
    assert failing.training and not any(part._forward_hooks for part in failing.modules())


def test_new_weights_are_seen_and_have_another_fingerprint(module, images):
    features = spm.FeatureMap(module, layers="layer2", size=48)
    first, key = features.extract(images[0]).values, features.fingerprint()
    assert (
        features.fingerprint() == key == spm.FeatureMap(copy.deepcopy(module), layers="layer2", size=48).fingerprint()
    )
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    assert features.fingerprint() != key
    assert np.abs(features.extract(images[0]).values - first).max() > 1e-3
    assert LiveNetwork(module) == LiveNetwork(module) != LiveNetwork(Network())


def test_clones_share_it_and_pickles_hold_it(module, images):
    features = spm.FeatureMap(module, layers="conv3", size=48)
    assert clone(features).model is features.model and clone(features).model.module is module
    assert features.set_params(model=module).model.module is module
    restored = pickle.loads(pickle.dumps(features))
    assert_same(restored.views(images[0])[0], features.views(images[0])[0], bound=0)
    assert repr(features.model) == "<live Network of 1,324 weights>"


def test_a_model_is_fitted_saved_and_loaded_without_the_module(module, images, tmp_path):
    """In a process that does not see the module: the file holds an export."""
    labels = ["a", "b", "a"]
    model = spm.presets.spp2014(module, layers="conv3", size=48, levels=(1, 2), n_jobs=2).fit(images, labels)
    vectors = model[0].transform(images)
    for n_jobs in (1, 4):
        assert np.array_equal(model[0].set_params(n_jobs=n_jobs).transform(images * 8), np.tile(vectors, (8, 1)))
    path = spm.save(model, tmp_path / "live.spm")
    assert model[0].features.model.module is module
    np.save(tmp_path / "image.npy", images[1])
    code = f"""
import sys, numpy as np, spm
model = spm.load({str(path)!r})
np.save({str(tmp_path / "vector.npy")!r}, model[0].transform([np.load({str(tmp_path / "image.npy")!r})]))
assert "spm.nn.live" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "vector.npy")[0], vectors[1], rtol=0, atol=1e-4)


def test_layers_are_listed_by_the_modules_names(module):
    listed = [layer.name for layer in spm.networks.layers(module)]
    assert {"conv1", "bn1", "layer2.0", "layer2", "conv3", "relu"} <= set(listed)
    internal = next(name for name in listed if name not in dict(module.named_modules()))
    with pytest.raises(spm.SpmError, match="is no module of the network that makes maps: give one such as"):
        spm.FeatureMap(module, layers=internal, size=48).extract(np.zeros((50, 50, 3), np.uint8))


def test_devices_and_precisions(module, images):
    features = spm.FeatureMap(module, layers="conv3", size=48)
    (wanted,) = features.views(images[0])[0]
    (moved,) = spm.FeatureMap(LiveNetwork(module, device="cpu"), layers="conv3", size=48).views(images[0])[0]
    assert_same([moved], [wanted], bound=0)
    half = copy.deepcopy(module).bfloat16()
    (rough,) = spm.FeatureMap(half, layers="conv3", size=48).views(images[0])[0]
    assert rough.values.dtype == np.float32
    np.testing.assert_allclose(rough.values, wanted.values, atol=0.1)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    with pytest.raises(spm.SpmError, match="device='nowhere' is none that torch knows"):
        LiveNetwork(module, device="nowhere")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_no_module():
    with pytest.raises(spm.SpmError, match=r"must be a torch\.nn.Module that is not scripted, got Tensor"):
        spm.networks.Network.of(torch.zeros(3))
    with pytest.raises(spm.SpmError, match="got RecursiveScriptModule"):
        spm.networks.Network.of(torch.jit.script(nn.ReLU()))


def test_networks_of_spm_are_live_too(images):
    network = spp_net("small", n_classes=3, levels=(2, 1), head=())
    (ours,) = spm.FeatureMap(network, layers=["trunk"], size=64).views(images[0])[0]
    assert_same([ours], spm.FeatureMap(to_onnx(network.trunk), size=64).views(images[0])[0])


def test_a_compiled_module_is_what_it_was_before(module):
    assert LiveNetwork(torch.compile(module)).module is module
