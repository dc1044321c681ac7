"""Evidence: votes add up to decision values, lie where they belong, and go back to the features that they come from."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import AdditiveChi2Sampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC, LinearSVC

import spm
from spm.evidence.decisions import decide
from spm.evidence.voting import LayerVotes, Votes, cells_of_pixels, class_votes, feature_votes, region_of, votes
from spm.kernels import KERNELS
from spm.kernels.maps import HomogeneousMap

GRIDS = np.array([[1, 1], [2, 2]])


@pytest.fixture(scope="module")
def scenes():
    return spm.datasets.make_layouts(6, size=64, n_classes=3)


@pytest.fixture(scope="module")
def labels(scenes):
    return np.array(scenes.target_names)[scenes.target]


def words(pool="sum", levels=(1, 2), norm="l1", n_words=8):
    pyramid = spm.SpatialPyramid(levels=levels, pool=pool)
    return spm.PyramidVectorizer(
        features=spm.DenseSIFT(step=6),
        encoder=spm.BagOfWords(n_words=n_words),
        pyramid=pyramid,
        norm=norm,
        random_state=0,
    )


def maps(**options):
    features = spm.presets.spp2014()[0].features
    pyramid = spm.SpatialPyramid(levels=(1, 3), pool="max")
    return spm.PyramidVectorizer(features=features.set_params(**options), pyramid=pyramid, norm="l2")


def check_sums(model, image):
    """The votes for every class add up to its decision value, and so do those of cells, channels, pixels, features."""
    scores = np.ravel(model.decision_function([image]))
    if len(model.classes_) == 2:
        scores = np.array([-scores[0], scores[0]])
    for label, score in zip(model.classes_, scores, strict=True):
        found = votes(model, image, label)
        scale = 1 + sum(np.abs(layer.values).sum() for layer in found.layers)
        assert abs(found.score - score) < 1e-5 * scale
        total, n_levels = found.score - found.intercept, max(len(layer.grids) for layer in found.layers)
        assert sum(sum(level.sum() for level in layer.levels()) for layer in found.layers) == pytest.approx(total)
        assert sum(vote for _, vote in found.largest(10**6)) == pytest.approx(total)
        assert found.heat().sum() == pytest.approx(total)
        assert sum(found.heat(level).sum() for level in range(n_levels)) == pytest.approx(total)
        yield found


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_votes_add_up_for_every_kernel(kernel, n_classes, scenes, labels):
    n = 6 * n_classes
    model = make_pipeline(words(), spm.KernelSVC(kernel=kernel, C=10)).fit(scenes.data[:n], labels[:n])
    assert len(list(check_sums(model, scenes.data[n - 1]))) == n_classes


@pytest.mark.parametrize("kernel", KERNELS)
def test_terms_are_those_of_the_kernels(kernel):
    rng = np.random.default_rng(0)
    x, s = rng.random((2, 50)) * (rng.random((2, 50)) > 0.3)
    used = x > 0
    known = KERNELS[kernel]
    assert known.term(x[used], s[used]).sum() == pytest.approx(float(known.gram([x], [s])[0, 0]), rel=1e-5)


@pytest.mark.parametrize(
    "classifier", [LinearSVC(), LogisticRegression(), SVC(kernel="linear")], ids=lambda c: type(c).__name__
)
def test_votes_add_up_for_linear_classifiers(classifier, scenes, labels):
    model = make_pipeline(words(), classifier).fit(scenes.data[:12], labels[:12])
    assert len(list(check_sums(model, scenes.data[3]))) == 2


@pytest.mark.parametrize("step", [HomogeneousMap(order=2), AdditiveChi2Sampler()], ids=lambda step: type(step).__name__)
def test_votes_add_up_behind_maps_of_the_values(step, scenes, labels):
    vectorizer = words()
    model = make_pipeline(vectorizer, step, LinearSVC()).fit(scenes.data, labels)
    found = next(check_sums(model, scenes.data[3]))
    assert found.layers[0].values.shape == (5, 8)
    assert (found.layers[0].values.ravel()[vectorizer.transform(scenes.data[3:4])[0] == 0] == 0).all()


@pytest.mark.parametrize("kernels", [["intersection", "linear"], [spm.kernels.chi2, "linear"]])
def test_votes_add_up_for_a_sum_of_kernels(kernels, scenes, labels):
    both = spm.KernelSum([("words", words()), ("maps", maps())], kernels=kernels, weights=[1.0, 0.5])
    model = make_pipeline(both, spm.KernelSVC(kernel="precomputed")).fit(scenes.data, labels)
    for found in check_sums(model, scenes.data[7]):
        assert [layer.name for layer in found.layers] == ["words", "maps"]
        assert {name.partition(" ")[0] for name, _ in found.largest(1000)} == {"words", "maps"}
    shares = feature_votes(model, scenes.data[7], found.label)
    assert [part.sum() for _, part in shares] == pytest.approx([layer.values.sum() for layer in found.layers])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_several_classes_have_the_votes_of_each_by_itself(n_classes, scenes, labels):
    n = 6 * n_classes
    model = make_pipeline(words(), spm.KernelSVC(C=10)).fit(scenes.data[:n], labels[:n])
    found = class_votes(model, scenes.data[0])
    assert [one.label for one in found] == model.classes_.tolist()
    for one in [*found, *class_votes(model, scenes.data[0], [None])]:
        alone = votes(model, scenes.data[0], one.label)
        assert (one.intercept, one.image_size) == (alone.intercept, alone.image_size)
        assert all((a.values == b.values).all() for a, b in zip(one.layers, alone.layers, strict=True))
    assert class_votes(model, scenes.data[0], [None])[0].label == model.predict(scenes.data[:1])[0]
    assert class_votes(model, scenes.data[0], []) == []


def test_votes_of_intersection_are_written_out(scenes, labels):
    """The slow twin: every value and training vector in a loop."""
    model = make_pipeline(words(), spm.KernelSVC(C=10)).fit(scenes.data, labels)
    x, machine = model[0].transform(scenes.data[:1])[0], model[1]
    expected = np.zeros(len(x))
    for d in range(len(x)):
        for alpha, s in zip(machine.dual_coef_[1], machine.X_fit_[:, d], strict=True):
            expected[d] += alpha * min(x[d], s)
    found = votes(model, scenes.data[0], machine.classes_[1])
    np.testing.assert_allclose(found.layers[0].values.ravel(), expected, atol=1e-12)


def test_layers_and_views(scenes, labels):
    features = spm.presets.spp2014()[0].features
    names = [layer.name for layer in spm.networks.layers(features.model)][-2:]
    vectorizer = maps(layers=names, size=(64, 96), flip=True)
    model = make_pipeline(vectorizer, LinearSVC()).fit(scenes.data[:12], labels[:12])
    for found in check_sums(model, scenes.data[3]):
        assert [layer.name for layer in found.layers] == ["layer0", "layer1"]
        assert [layer.values.shape for layer in found.layers] == [
            (10, layer.n_channels) for layer in vectorizer.layers_
        ]
    with pytest.raises(spm.SpmError, match="one view"):
        feature_votes(model, scenes.data[3])


def test_the_label_is_by_default_the_one_predicted(scenes, labels):
    for n in (12, 18):
        model = make_pipeline(words(), spm.KernelSVC(C=10)).fit(scenes.data[:n], labels[:n])
        for image in scenes.data[:n:5]:
            assert votes(model, image).label == model.predict([image])[0]


def test_the_two_classes_of_two_have_opposite_votes(scenes, labels):
    model = make_pipeline(words(), spm.KernelSVC()).fit(scenes.data[:12], labels[:12])
    first, second = (votes(model, scenes.data[0], label) for label in model.classes_)
    assert first.intercept == -second.intercept
    np.testing.assert_array_equal(first.layers[0].values, -second.layers[0].values)


def test_numbers_and_searches_do_too(scenes):
    model = make_pipeline(words(), spm.KernelSVC())
    search = GridSearchCV(model, {"kernelsvc__C": [1.0]}, cv=2).fit(scenes.data, scenes.target)
    assert votes(search, scenes.data[0], 2).label == 2
    assert votes(search, scenes.data[0], np.int64(2)).score == pytest.approx(
        search.decision_function(scenes.data[:1])[0, 2], abs=1e-5
    )


def preset(name):
    small = {"n_words": 6, "random_state": 0}
    if name in ("fisher2010", "llc2010"):
        return getattr(spm.presets, name)(**small).set_params(vectorizer__features__patch_size=16)
    return spm.presets.spp2014() if name == "spp2014" else getattr(spm.presets, name)(**small)


@pytest.mark.parametrize("name", ["lazebnik2006", "fisher2010", "llc2010", "spp2014", "hybrid"])
def test_votes_add_up_for_presets(name, scenes, labels):
    model = preset(name).fit(scenes.data, labels)
    assert len(list(check_sums(model, scenes.data[4]))) == 3
    assert votes(model, scenes.data[4]).label == model.predict(scenes.data[4:5])[0]


def test_votes_of_a_linear_model_by_hand(scenes, labels):
    vectorizer = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1, 2), weights=None), norm="l2")
    model = make_pipeline(vectorizer, spm.KernelSVC(kernel="linear")).fit(scenes.data, labels)
    expected = (vectorizer.transform(scenes.data[:1])[0] * model[1].coef_[2]).reshape(5, 128)
    found = votes(model, scenes.data[0], model.classes_[2])
    np.testing.assert_allclose(found.layers[0].values, expected, atol=1e-12)
    np.testing.assert_allclose(found.layers[0].levels()[1].ravel(), expected[1:].sum(axis=1), atol=1e-12)
    name, vote = found.largest(1)[0]
    sums = expected.sum(axis=0)
    assert name == f"x{np.abs(sums).argmax()}" and vote == pytest.approx(sums[np.abs(sums).argmax()])


# Features


@pytest.mark.parametrize("pool", ["sum", "mean", "max"])
@pytest.mark.parametrize("make", [words, maps])
def test_features_share_the_votes_of_their_cells(pool, make, scenes, labels):
    vectorizer = make()
    vectorizer.pyramid.set_params(pool=pool)
    model = make_pipeline(vectorizer, LinearSVC(C=10)).fit(scenes.data, labels)
    found = votes(model, scenes.data[5])
    [(local, shares)] = feature_votes(model, scenes.data[5])
    assert shares.shape == (len(local),)
    assert shares.sum() == pytest.approx(found.layers[0].values.sum())


def test_a_patch_has_its_part_of_its_words_votes_in_each_of_its_cells(scenes, labels):
    """The slow twin for counted words: a vote over how often the word occurs in the cell, of each level."""
    model = make_pipeline(words(), spm.KernelSVC(C=10)).fit(scenes.data, labels)
    found = votes(model, scenes.data[8]).layers[0].values
    [(local, shares)] = feature_votes(model, scenes.data[8])
    word = model[0].encoder_.encode(local.values).words[:, 0]
    x, y = local.extents[:, 0], local.extents[:, 1]
    cells = np.stack([np.zeros(len(x), int), 1 + 2 * (y >= 32) + (x >= 32)])
    expected = np.zeros(len(x))
    for f in range(len(x)):
        for level in (0, 1):
            alike = (cells[level] == cells[level, f]) & (word == word[f])
            expected[f] += found[cells[level, f], word[f]] / alike.sum()
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_under_max_pooling_the_largest_has_it_all(scenes, labels):
    model = make_pipeline(maps(), LinearSVC(C=10)).fit(scenes.data, labels)
    found = votes(model, scenes.data[5]).layers[0].values
    [(local, shares)] = feature_votes(model, scenes.data[5])
    rows, columns = local.grid
    expected = np.zeros(len(local))
    for cell in range(10):
        level, k = (1, 0) if cell == 0 else (3, cell - 1)
        inside = np.zeros((rows, columns), bool)
        i, j = divmod(k, level)
        inside[
            i * rows // level : -(-(i + 1) * rows // level), j * columns // level : -(-(j + 1) * columns // level)
        ] = True
        members = np.flatnonzero(inside.ravel())
        for d in range(found.shape[1]):
            winners = members[local.values[members, d] == local.values[members, d].max()]
            expected[winners] += found[cell, d] / len(winners)
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_features_of_encoders_that_finish_their_cells_have_no_votes(scenes, labels):
    class Halving(spm.BagOfWords):
        def finish(self, statistics):
            return statistics / 2

    vectorizer = words().set_params(encoder=Halving(n_words=8))
    model = make_pipeline(vectorizer, spm.KernelSVC()).fit(scenes.data, labels)
    assert votes(model, scenes.data[0]).layers[0].values.any()
    with pytest.raises(spm.SpmError, match="Halving: show the votes of cells"):
        feature_votes(model, scenes.data[0])


def test_features_with_their_places_have_votes_too(scenes, labels):
    """The road is the vectorizer's own, with all that stands on it: the places behind the reduced descriptors."""
    vectorizer = words().set_params(append_xy=True, reduce=PCA(5, random_state=0))
    model = make_pipeline(vectorizer, spm.KernelSVC()).fit(scenes.data, labels)
    found = votes(model, scenes.data[0])
    [(local, shares)] = feature_votes(model, scenes.data[0])
    assert model[0].encoder_.words_.shape == (8, 7)
    assert found.score == pytest.approx(model.decision_function(scenes.data[:1]).max(), abs=1e-4)
    assert shares.sum() == pytest.approx(found.score - found.intercept) and len(shares) == len(local)
    plots = pytest.importorskip("matplotlib") and spm.plots
    assert len(plots.words(model, scenes.data[:2], words=2, n_nearest=2).images) == 6
    assert len(plots.word_map(scenes.data[0], model).collections[0].get_paths()) == len(local)
    result = spm.evaluate(model, scenes.data, labels, cv=[(scenes.train, scenes.test)])
    page = spm.report.evaluation_page(result, scenes.data, labels, model=model, n_evidence=1)
    assert "There are none" not in page


def test_a_product_of_kernels_is_no_sum_over_values(scenes, labels):
    product = spm.KernelProduct([("words", words())], kernels=["intersection"])
    model = make_pipeline(product, spm.KernelSVC(kernel="precomputed")).fit(scenes.data, labels)
    with pytest.raises(spm.SpmError, match="a KernelProduct is no sum over the values of its roads"):
        votes(model, scenes.data[0])


# Places


def test_heat_lies_in_the_cells():
    cells = np.array([[1.0], [0.0], [0.0], [0.0], [2.0]])
    layer = LayerVotes("", cells, np.array(["x0"], object), GRIDS, (0.0, 0.0, 6.0, 4.0))
    found = Votes("a", 0.5, (layer,), (4, 6))
    assert found.score == 3.5
    np.testing.assert_allclose(found.heat(0), 1 / 24)
    expected = np.zeros((4, 6))
    expected[2:, 3:] = 2 / 6
    np.testing.assert_allclose(found.heat(1), expected)
    np.testing.assert_allclose(found.heat(), expected + 1 / 24)
    for level in (-1, 2, 0.5):
        with pytest.raises(spm.SpmError, match="level must"):
            found.heat(level)
    with pytest.raises(spm.SpmError, match="n must"):
        found.largest(0)


def test_cells_that_end_inside_a_pixel_share_it():
    shares = cells_of_pixels(3, (0.0, 0.0, 3.0, 3.0), 1, 2)
    np.testing.assert_allclose(shares, np.array([[2, 1, 0], [0, 1, 2]]) / 3)
    np.testing.assert_allclose(cells_of_pixels(4, (1.0, 2.0, 3.0, 4.0), 0, 1), [[0, 0, 0.5, 0.5]])  # down


def test_the_part_that_a_network_saw():
    points = spm.LocalFeatures(np.ones((1, 2), np.float32), np.full((1, 4), 8, np.float32), grid=(16, 32))
    assert region_of(points) == (0, 0, 32, 16)
    cells = np.array([[0, 0, 1, 1]], np.float32)
    seen = {"grid": (4, 4), "stride": (25.0, 25.0), "image_size": (100, 200)}
    whole = spm.LocalFeatures(np.ones((1, 2), np.float32), cells, (4, 8), (24.0, 24.0), (3.0, -2.0), (100, 200))
    part = spm.LocalFeatures(np.ones((1, 2), np.float32), cells, offset=(1.0, 50.0), **seen)
    assert region_of(whole) == (0, 0, 200, 100)
    assert region_of(part) == (50, 0, 150, 100)


def test_a_crop_votes_for_what_it_saw(scenes, labels):
    wide = np.pad(scenes.data, ((0, 0), (0, 0), (64, 64), (0, 0)))
    model = make_pipeline(maps(policy="crop", size=64), LinearSVC()).fit(wide, labels)
    heat = votes(model, wide[0]).heat()
    assert heat.shape == (64, 192)
    assert not heat[:, :56].any() and not heat[:, 136:].any() and heat[:, 72:120].all()


# Errors


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (make_pipeline(words(), spm.KernelSVC()), "not fitted"),
        (words(), "needs a Pipeline"),
        (Pipeline([("vectorizer", words())]), "needs a Pipeline"),
        (make_pipeline(LogisticRegression(), spm.KernelSVC()), "LogisticRegression \\+ KernelSVC"),
        ("model.spm", "got str"),
    ],
)
def test_models_of_other_parts_are_refused(model, match, scenes):
    with pytest.raises(spm.SpmError, match=match):
        votes(model, scenes.data[0])


def test_decisions_that_are_no_sums_are_refused(scenes, labels):
    def closeness(A, B):
        return np.exp(-np.square(A[:, None] - B).sum(axis=2))

    for classifier in (
        spm.KernelSVC(kernel=closeness),
        spm.KernelSVC(multi_class="ovo"),
        SVC(kernel="linear"),  # of pairs
        SVC(),
        GaussianNB(),
    ):
        model = make_pipeline(words(), classifier).fit(scenes.data, labels)
        with pytest.raises(spm.SpmError, match="does not decide by a sum"):
            votes(model, scenes.data[0])


def test_unknown_classes_and_images_are_refused(scenes, labels):
    model = make_pipeline(words(), spm.KernelSVC()).fit(scenes.data, labels)
    with pytest.raises(spm.SpmError, match="no class of this model: choose one of 'eaves"):
        votes(model, scenes.data[0], "zebra")
    with pytest.raises(spm.ImageError, match="no such file"):
        votes(model, "nothing.jpg")


def test_a_part_of_a_sum_that_is_a_pipeline_is_refused(scenes, labels):
    model = make_pipeline(
        spm.KernelSum([("words", words())], kernels=["linear"]), spm.KernelSVC(kernel="precomputed")
    ).fit(scenes.data, labels)
    assert decide(model, scenes.data[0]).terms[0].shape == (40,)
    model[0].vectorizers_[0] = make_pipeline(model[0].vectorizers_[0])
    with pytest.raises(spm.SpmError, match="'words' in this KernelSum"):
        votes(model, scenes.data[0])
