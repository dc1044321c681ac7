"""The estimator: what is trained, that a seed says it all, and that scikit-learn's tools take it."""

import copy
import pickle

import joblib
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from torch import nn  # noqa: E402

import spm  # noqa: E402
from spm import ImageError, SpmError  # noqa: E402
from spm.nn import SPPNetClassifier  # noqa: E402
from spm.nn.training import loop  # noqa: E402
from spm.nn.training.frozen import Remembered, freeze_below  # noqa: E402

GENERATOR = np.random.default_rng(0)


def picture(label, k):
    """Stripes across or down, of one width, in images of several shapes, grey and in colour."""
    height, width = [(40, 56), (56, 40), (44, 44)][k % 3]
    wave = np.sin(np.arange(max(height, width)) * 1.5 + k) * 100 + 128
    image = np.broadcast_to(wave[:height, None] if label == "down" else wave[None, :width], (height, width))
    image = (image + GENERATOR.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)
    return np.repeat(image[:, :, None], 3, axis=2) if k % 2 else image


Y = np.array(["across", "down"] * 12)
X = [picture(label, k) for k, label in enumerate(Y)]


def body(seed=5):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(inplace=True),
        nn.Conv2d(12, 12, 3, 2, 1), nn.ReLU(inplace=True),
    )  # fmt: skip


SMALL = {"sizes": (32,), "levels": (1, 2), "epochs": 3, "batch_size": 8, "device": "cpu", "random_state": 0, "lr": 1e-2}


def model(**options):
    return SPPNetClassifier(**{**SMALL, **options, "trunk": options["trunk"] if "trunk" in options else body()})


def same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


WAYS = {
    "fixed": {"schedule": "fixed"},
    "alternate": {"sizes": (32, 24)},
    "range": {"schedule": "range", "sizes": (16, 32), "step": 8},
    "free": {"schedule": "free", "sizes": (None,), "step": 8},
    "free at two sizes": {"schedule": "free", "sizes": (24, 40), "step": 8},
    "warp": {"policy": "warp", "test_size": 32, "test_policy": "warp"},
    "plain": {"pool": "plain", "policy": "warp", "test_size": 32, "test_policy": "warp"},
    "head": {"freeze": "head", "lr": 0.1},
    "last block": {"freeze": "6", "sizes": (32, 24)},
    "last block, maps made anew": {"freeze": "6", "keep_maps": False},
    "free, frozen": {"freeze": "3", "schedule": "free", "sizes": (None,), "step": 8},
    "sgd": {"optimizer": "sgd", "rate": "step", "lr": 3e-3},
    "options": {"label_smoothing": 0.1, "class_weight": "balanced", "average": 0.9, "trunk_lr": 1e-3, "head": (16,)},
    "renorm": {"renorm": True, "test_size": 48},
    "one by one": {"batch_size": 1, "sizes": (8,), "epochs": 1, "levels": (1,)},
    "several": {"test_size": (24, 40), "views": 10},
    "many": {"test_size": (32, 40), "views": "many"},
    "bfloat16": {"precision": "bfloat16", "channels_last": False},
    "mean, no norm": {"pool": "mean", "norm": None, "rate": "constant"},
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_learns(name):
    options = {"epochs": 12, **WAYS[name]}
    fitted = model(**options).fit(X, Y)
    assert [found["epoch"] for found in fitted.history_] == list(range(options["epochs"]))
    assert all(np.isfinite(list(filter(None, found.values()))).all() for found in fitted.history_)
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (24, 2) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert fitted.predict(X).tolist() == fitted.classes_[probabilities.argmax(axis=1)].tolist()
    if options["epochs"] > 1:
        assert fitted.history_[-1]["loss"] < fitted.history_[0]["loss"]
        assert fitted.score(X, Y) >= (0.6 if name == "head" else 0.8)  # a head over random maps has less to go by


def test_sizes_alternate_by_epoch_and_history_says_what_happened():
    history = model(sizes=(32, 24), epochs=4).fit(X, Y).history_
    assert [found["size"] for found in history] == [32, 24, 32, 24]
    assert set(history[0]) == {
        "epoch", "size", "lr", "loss", "accuracy", "seconds", "validation_loss", "validation_accuracy"
    }  # fmt: skip
    assert history[0]["lr"] > history[-1]["lr"]
    assert "validation_loss" not in model(validation=None, epochs=1).fit(X, Y).history_[0]


def test_a_seed_says_it_all_and_the_global_generators_are_left_alone():
    options = {"dropout": 0.5, "head": (8,), "trunk": body()}
    torch.manual_seed(3)
    before, state = torch.random.get_rng_state(), np.random.mtrand._rand.get_state()[1].copy()
    first = model(**options).fit(X, Y)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.mtrand._rand.get_state()[1] == state).all()
    torch.rand(10)
    same(first.state_, model(**options).fit(X, Y).state_)
    other = model(**{**options, "random_state": 1})
    assert any((value != first.state_[name]).any() for name, value in other.fit(X, Y).state_.items())


class Killed(Exception):
    pass


RUNS = {
    "from scratch": {"head": (8,), "dropout": 0.5, "sizes": (32, 24), "average": 0.9},
    "patience": {"patience": 3, "validation": 0.25, "average": 0.9, "optimizer": "sgd", "lr": 3e-2},
    "free": {"schedule": "free", "sizes": (None,), "step": 8},
    "frozen": {"freeze": "6"},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("killed_at", [(1, 1), (3, 2)])
def test_a_run_taken_up_again_is_one_that_was_not_broken_off(name, killed_at, tmp_path, monkeypatch):
    options = {"epochs": 5, "batch_size": 4, **RUNS[name]}
    whole = model(**options).fit(X, Y)
    steps, one_step = [], loop._step

    def step(run, *args):
        if (run.epoch, len(steps)) == killed_at:
            raise Killed
        steps.append(1)
        return one_step(run, *args)

    def count(run, *args):
        steps.clear()
        return one_epoch(run, *args)

    one_epoch = loop._epoch
    broken = model(**options, checkpoint=tmp_path / "run.pt")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", step)
        patch.setattr(loop, "_epoch", count)
        with pytest.raises(Killed):
            broken.fit(X, Y)
    assert not hasattr(broken, "state_")
    torch.rand(7)
    again = clone(broken).fit(X, Y)
    same(whole.state_, again.state_)
    without = [{key: value for key, value in found.items() if key != "seconds"} for found in whole.history_]
    assert without == [{key: value for key, value in found.items() if key != "seconds"} for found in again.history_]
    np.testing.assert_array_equal(whole.predict_proba(X), again.predict_proba(X))
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    first = model(checkpoint=path).fit(X, Y)
    same(first.state_, model(checkpoint=path, verbose=True, views=10).fit(X, Y).state_)
    same(first.state_, model(checkpoint=path, random_state=None).fit(X, Y).state_)  # its seed is in the checkpoint
    with pytest.raises(SpmError, match="of another run, which differs in lr:"):
        model(checkpoint=path, lr=0.5).fit(X, Y)
    with pytest.raises(SpmError, match=r"differs in images, .*labels"):
        model(checkpoint=path).fit(X[:-2], Y[:-2])
    with pytest.raises(SpmError, match="differs in trunk:"):
        model(checkpoint=path, trunk=nn.Sequential(nn.Conv2d(3, 4, 3))).fit(X, Y)
    path.write_bytes(pickle.dumps({"format": 1}))
    with pytest.raises(SpmError, match="no checkpoint"):
        model(checkpoint=path).fit(X, Y)
    with pytest.raises(SpmError, match="cannot be saved"):
        model(checkpoint=tmp_path / "nowhere" / "run.pt").fit(X, Y)


def test_below_the_frozen_layer_nothing_learns_and_the_rest_does():
    given = body()
    before = copy.deepcopy(given).state_dict()
    fitted = model(trunk=given, freeze="3", keep_norms=False, lr=0.05).fit(X, Y)
    same({k: v.numpy() for k, v in before.items()}, {k: v.numpy() for k, v in given.state_dict().items()})  # a copy
    for name, value in before.items():
        learned = fitted.state_[f"trunk.body.{name}"]
        if int(name.split(".")[0]) < 3:
            np.testing.assert_array_equal(learned, value.numpy())  # batch norm's statistics as well
        else:
            assert (learned != value.numpy()).any(), name
    with pytest.raises(SpmError, match="no such layer: did you mean"):
        model(freeze="13").fit(X, Y)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 3, 1, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, 1, 1))
        self.last = nn.Conv2d(6, 8, 3, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.last(x + self.inner(x))


@pytest.mark.parametrize("name", ["stem", "inner", "inner.1", "inner.2", "last"])
def test_a_cut_may_cross_several_maps(name):
    from spm.nn.training.frozen import split_below

    module, image = Residual(), torch.rand(2, 3, 16, 20)
    lower, upper = split_below(module, name)
    maps = lower(image)
    torch.testing.assert_close(upper(*maps), module(image))
    assert len(maps) == (2 if name in ("inner.1", "inner.2") else 1)
    learns = {id(parameter) for parameter in upper.parameters()}
    assert {id(p) for p in dict(module.named_modules())[name].parameters()} <= learns
    assert learns.isdisjoint({id(p) for p in lower.parameters()})


def test_of_a_frozen_trunk_pooled_vectors_are_kept_where_the_head_alone_learns():
    network = model().fit(X, Y).module_
    images = torch.rand(2, 3, 40, 56)
    lower, learned = freeze_below(network, "head")
    (kept,) = lower(images)
    assert kept.shape == (2, 12 * 5)
    assert torch.equal(learned(kept), network(images))
    assert {name for name, weights in network.named_parameters() if weights.requires_grad} == {
        f"head.{name}" for name, _ in network.head.named_parameters()
    }


def test_kept_maps_give_what_maps_made_anew_give():
    """With nothing left to chance but the order: the same batches, the same maps, the same weights."""
    options = {"freeze": "6", "augment": ("mirror",), "sizes": (32, 24)}
    kept, anew = (model(**options, keep_maps=keep).fit(X, Y) for keep in (True, False))
    for name, value in kept.state_.items():
        np.testing.assert_allclose(value, anew.state_[name], atol=1e-5, err_msg=name)


@pytest.fixture
def rows(monkeypatch):
    """How many images go through the layers that do not learn, batch by batch."""
    from spm.nn.training import fitting

    rows = []

    def counting(*args):
        lower, learned = freeze_below(*args)
        return lambda images: rows.append(len(images)) or lower(images), learned

    monkeypatch.setattr(fitting, "freeze_below", counting)
    return rows


@pytest.mark.parametrize("as_joblib", [False, True])
@pytest.mark.parametrize("freeze", ["6", "head"])
def test_maps_kept_in_a_folder_serve_the_next_fit_and_no_other_network(tmp_path, rows, freeze, as_joblib):
    def fit(**options):
        rows.clear()
        return model(freeze=freeze, validation=0.3, **options).fit(X, Y)

    memory = joblib.Memory(tmp_path, verbose=0) if as_joblib else tmp_path
    expected, n_made = fit().state_, sum(rows)
    same(expected, fit(memory=memory).state_)
    n_noise = sum(rows) - n_made
    assert 0 < n_noise <= 8
    same(expected, fit(memory=memory).state_)
    assert sum(rows) == n_noise  # of each shape the layers see noise, by which they are known
    again = fit(memory=memory, lr=0.02)
    assert sum(rows) == n_noise
    other = fit(memory=memory, trunk=body(seed=1)).state_
    assert sum(rows) == n_made + n_noise
    same(other, fit(trunk=body(seed=1)).state_)
    for path in tmp_path.rglob("spm/*/*"):
        path.write_bytes(path.read_bytes()[:-100])  # what is broken is made anew
    same(expected, fit(memory=memory).state_)
    assert sum(rows) == n_made + n_noise
    assert spm.load(spm.save(again, tmp_path / "m.spm")).memory is None


def test_maps_in_a_folder_serve_other_seeds_which_hold_other_images_out(tmp_path, rows):
    options = {"freeze": "6", "augment": False, "schedule": "free", "sizes": (None,), "step": 8, "test_size": "full"}
    expected = [model(**options, random_state=seed).fit(X, Y).state_ for seed in range(4)]
    for random_state, state in enumerate(expected):
        rows.clear()
        same(state, model(**options, memory=tmp_path, random_state=random_state).fit(X, Y).state_)
    assert sum(rows) <= 8 + 4  # noise, and an image that was never among several


def test_remembered_maps_have_the_bits_of_their_batch(tmp_path):
    lower, _ = freeze_below(spm.nn.spp_net("small", n_classes=2).eval(), "head")
    kept, images = Remembered(lower, tmp_path), torch.rand(9, 3, 40, 56)
    for some in ([3], [0, 1, 2], [0, 1, 2, 3], range(9), [8], [7, 2]):  # alone, all new, one new, some new, alone, none
        assert torch.equal(kept(images[some])[0], lower(images[some])[0])


def test_a_checkpoint_does_not_depend_on_where_maps_are_kept(tmp_path):
    options = {"freeze": "6", "checkpoint": tmp_path / "run.pt"}
    first = model(**options, memory=tmp_path / "maps").fit(X, Y)
    same(first.state_, model(**options).fit(X, Y).state_)


def test_maps_beyond_the_bound_go_to_files(monkeypatch):
    from spm.nn.training import fitting, frozen

    expected = model(freeze="6").fit(X, Y).state_
    monkeypatch.setattr(fitting, "KEPT_BYTES", 10_000)
    files = []
    monkeypatch.setattr(frozen.np, "memmap", lambda *a, _memmap=np.memmap, **k: files.append(a) or _memmap(*a, **k))
    same(expected, model(freeze="6").fit(X, Y).state_)
    assert files


def test_patience_stops_and_takes_the_best():
    fitted = model(patience=2, validation=0.3, epochs=40, lr=0.1, optimizer="sgd", rate="constant").fit(X, Y)
    losses = [found["validation_loss"] for found in fitted.history_]
    assert len(losses) < 40 and int(np.argmin(losses)) == len(losses) - 3
    with pytest.raises(SpmError, match="patience looks at images that are held out"):
        model(patience=2, validation=None).fit(X, Y)


def test_validation_is_drawn_inside_each_class():
    from spm.nn.training.fitting import held_out

    labels = np.repeat([0, 1, 2, 3], [40, 20, 1, 2])
    held = held_out(labels, 0.1, 0)
    assert np.bincount(labels[held], minlength=4).tolist() == [4, 2, 0, 0]
    assert not held_out(labels, 0.0, 0).any()
    assert held_out(np.repeat([0, 1], 3), 0.01, 0).sum() == 1


def test_validation_may_be_given():
    fitted = model(validation=(X[:6], Y[:6]), epochs=2).fit(X[6:], Y[6:])
    np.testing.assert_allclose(fitted.history_[-1]["validation_accuracy"], fitted.score(X[:6], Y[:6]))
    same(fitted.state_, model(validation=None, epochs=2).fit(X[6:], Y[6:]).state_)
    with pytest.raises(SpmError, match="labels that y has not, such as"):
        model(validation=(X[:2], ["across", "up"])).fit(X, Y)


def test_class_weights_count():
    few = [i for i in range(24) if Y[i] == "across" or i < 6]
    images, labels = [X[i] for i in few], Y[few]
    plain = model(epochs=1, lr=1e-5, validation=None).fit(images, labels).history_[0]["loss"]
    only = model(epochs=1, lr=1e-5, validation=None, class_weight={"across": 0.0, "down": 0.0}).fit(images, labels)
    assert only.history_[0]["loss"] == 0 < plain
    with pytest.raises(SpmError, match="class_weight="):
        model(class_weight="heavy").fit(X, Y)


def test_batch_norm_bears_one_value():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2), nn.BatchNorm1d(2))
    with loop.norms_that_bear_one_value(layers.train()):
        assert layers(torch.rand(1, 3, 3, 3)).shape == (1, 2)
        layers(torch.rand(2, 3, 3, 3))
    assert all(part.training for part in layers.modules())
    with pytest.raises(ValueError, match="more than 1 value"):
        layers(torch.rand(1, 3, 3, 3))


def test_norms_estimated_anew_are_those_of_all_images():
    from spm.nn.training.build import estimate_norms

    network = nn.Sequential(nn.BatchNorm2d(3))
    images = [torch.rand(2, 3, 5, 7) * 4 + 1, torch.rand(1, 3, 9, 2), torch.rand(1, 3, 1, 1)]
    estimate_norms(network, [network[0]], images)
    values = torch.cat([image.transpose(0, 1).reshape(3, -1) for image in images], dim=1)
    torch.testing.assert_close(network[0].running_mean, values.mean(1))
    torch.testing.assert_close(network[0].running_var, values.var(1, correction=0))
    assert not network[0].training and network[0].momentum == 0.1


def test_the_average_of_weights_is_theirs():
    linear = nn.Linear(2, 1)
    average = loop.Average(linear, 0.5)
    start = {name: value.clone() for name, value in linear.state_dict().items()}
    with torch.no_grad():
        linear.weight += 1
    average.take(linear, 1000)
    torch.testing.assert_close(average.state["weight"], start["weight"] + 0.5)
    average.take(linear, 0)  # early on it is nearly the weights themselves
    torch.testing.assert_close(average.state["weight"], start["weight"] + 0.5 + 0.9 * 0.5)


# As scikit-learn has it


def test_scikit_learns_tools_take_it():
    estimator = model(epochs=8)
    assert repr(clone(estimator)) == repr(estimator)
    assert cross_val_score(estimator, X, Y, cv=2).mean() >= 0.7
    search = GridSearchCV(estimator, {"lr": [1e-7, 1e-2]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"lr": 1e-2}
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    with pytest.raises(NotFittedError):
        estimator.module_  # noqa: B018
    fitted = estimator.fit(X, Y)
    travelled = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(travelled.predict_proba(X), fitted.predict_proba(X))
    assert "_module" not in fitted.__getstate__()


def test_a_failed_fit_leaves_what_was_learned():
    fitted = model().fit(X, Y)
    expected = fitted.predict_proba(X)
    with pytest.raises(SpmError):
        fitted.set_params(epochs=0).fit(X, Y)
    np.testing.assert_array_equal(fitted.set_params(epochs=3).predict_proba(X), expected)
    fitted.fit(X, Y[::-1])
    assert (fitted.predict_proba(X) != expected).any()


def test_files_and_arrays_give_the_same(tmp_path):
    from PIL import Image

    paths = []
    for k, image in enumerate(X):
        paths.append(str(tmp_path / f"{k}.png"))
        Image.fromarray(image).save(paths[-1])
    fitted = model(n_jobs=2).fit(paths, Y)
    same(fitted.state_, model().fit(X, Y).state_)
    np.testing.assert_array_equal(fitted.predict_proba(paths), fitted.predict_proba(X))
    (tmp_path / "5.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"5\.png"):
        fitted.predict(paths)
    with pytest.raises(ImageError, match=r"5\.png"):
        fitted.fit(paths, Y)
    with pytest.raises(ImageError, match=r"5\.png"):
        fitted.check(paths[5])


def test_images_that_are_too_small_are_named():
    deep = nn.Sequential(nn.Conv2d(3, 4, 15, 2), nn.ReLU())
    fitted = model(trunk=deep).fit(X, Y)
    with pytest.raises(ImageError, match=r"array of shape \(6, 50, 3\): the network cannot take 50 x 6 pixels"):
        fitted.predict([X[1], np.zeros((6, 50, 3), np.uint8)])
    with pytest.raises(ImageError, match="too few for the trunk"):
        model(trunk=deep, sizes=(8,)).fit(X, Y)


def test_only_norms_that_estimate_in_training_are_estimated_anew():
    """What has learned with given means and variances needs these: below a frozen layer, and where they are kept."""
    first, second = body()[1], body()[4]
    fitted = model(freeze="3", keep_norms=False, renorm=True, test_size=48).fit(X, Y).module_.trunk.body
    once = model(freeze="3", keep_norms=False, test_size=48).fit(X, Y).module_.trunk.body
    assert torch.equal(first.running_mean, fitted[1].running_mean)
    assert not torch.equal(second.running_mean, fitted[4].running_mean)
    assert not torch.equal(once[4].running_mean, fitted[4].running_mean)
    assert torch.equal(once[4].weight, fitted[4].weight)


@pytest.mark.parametrize(
    ("options", "learned"),
    [({"freeze": "3"}, False), ({"freeze": "3", "keep_norms": False}, True), ({}, True), ({"keep_norms": True}, False)],
)
def test_above_frozen_layers_norms_keep_their_statistics_and_learn_their_scales(options, learned):
    """What a trunk was trained on tells means and variances better than a few photographs."""
    before, norm = body()[4], model(**options).fit(X, Y).module_.trunk.body[4]
    assert torch.equal(before.running_mean, norm.running_mean) != learned
    assert torch.equal(before.running_var, norm.running_var) != learned
    assert not torch.equal(before.weight, norm.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "random"}, "schedule='random' is not an option"),
        ({"sizes": ()}, "sizes must be a sequence"),
        ({"sizes": (None,)}, "goes with schedule='free'"),
        ({"schedule": "fixed", "sizes": (32, 24)}, "takes 1 of sizes"),
        ({"schedule": "range"}, "takes 2 of sizes"),
        ({"schedule": "range", "sizes": (32, 24)}, "from the smaller to the larger"),
        ({"pool": "plain"}, "all images must come at one size"),
        ({"test_policy": "warp"}, "test_size='full' goes with test_policy='full'"),
        ({"test_size": "whole"}, "test_size must be"),
        ({"views": 2}, "views=2 is not an option"),
        ({"views": True}, "views=True is not an option"),
        ({"augment": ("turn",)}, "'turn' is not an option"),
        ({"validation": 1.5}, "validation must be below 1"),
        ({"levels": (0,)}, "level"),
        ({"head": (0,)}, "each of head must be"),
        ({"trunk": "alexnat"}, "alexnet"),
        ({"precision": "int8"}, "precision='int8'"),
        ({"device": "gpu"}, "device must be"),
        ({"lr": 0}, "lr must be"),
        ({"average": 1.0}, "average must be below 1"),
        ({"preprocess": "keras"}, "preprocess='keras'"),
        ({"trunk": nn.Sequential(nn.Conv2d(3, 8, 3, 2)), "renorm": True}, "no batch norm estimates anything here"),
        ({"freeze": "3", "renorm": True}, "with freeze they are kept"),
        ({"random_state": "x"}, "random_state must be"),
        ({"lr": 1e30, "optimizer": "sgd", "norm": None}, "the loss is"),
    ],
)
def test_what_is_not_valid_is_refused(options, message):
    with pytest.raises(SpmError, match=message):
        model(**options).fit(X, Y)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(SpmError, match="one label for each of the 24 images, got 3"):
        model().fit(X, Y[:3])
    with pytest.raises(SpmError, match="one class only"):
        model().fit(X, ["a"] * 24)
    with pytest.raises(ValueError, match="Unknown label type"):
        model().fit(X, np.linspace(0, 1, 24))


# The rest of the library


def test_transform_is_what_a_vectorizer_gives_over_the_exported_trunk(tmp_path):
    pytest.importorskip("onnxruntime")
    fitted = model(test_size=(32, 48), preprocess="tf").fit(X, Y)
    pyramid = spm.SpatialPyramid(levels=(1, 2), pool="max", weights=None)
    for network in (fitted.export_onnx(tmp_path / "trunk.onnx"), fitted.module_.trunk):  # a file, and live
        features = spm.FeatureMap(network, size=(32, 48), preprocess="tf")
        vectors = spm.PyramidVectorizer(features=features, pyramid=pyramid, norm=None).fit_transform(X)
        np.testing.assert_allclose(fitted.transform(X), vectors, atol=1e-4)


def test_the_whole_network_is_exported_with_free_sizes(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    fitted = model().fit(X, Y)
    session = runtime.InferenceSession(str(fitted.export_onnx(tmp_path / "whole.onnx", part="whole")))
    for shape in [(2, 3, 32, 32), (1, 3, 44, 57), (3, 3, 21, 80)]:
        image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        (scores,) = session.run(None, {"image": image})
        with torch.no_grad():
            np.testing.assert_allclose(scores, fitted.module_(torch.from_numpy(image)).numpy(), atol=1e-4)


@pytest.mark.parametrize("trunk", ["small", "module"])
def test_saved_and_loaded_without_code(trunk, tmp_path):
    pytest.importorskip("onnxruntime")
    fitted = model(trunk=body() if trunk == "module" else trunk, checkpoint=tmp_path / "run.pt", epochs=1).fit(X, Y)
    loaded = spm.load(spm.save(fitted, tmp_path / "model.spm"))
    np.testing.assert_allclose(loaded.predict_proba(X), fitted.predict_proba(X), atol=1e-5)
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()
    assert loaded.history_ == fitted.history_ and loaded.checkpoint is None and fitted.checkpoint is not None
    again = spm.load(spm.save(loaded, tmp_path / "again.spm"))
    np.testing.assert_array_equal(again.predict_proba(X), loaded.predict_proba(X))
    assert clone(loaded).fit(X, Y).score(X, Y) > 0.4
