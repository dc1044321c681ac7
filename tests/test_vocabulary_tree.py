"""Vocabulary trees: the descent against a slow twin and brute force, scikit-learn's checks, and codes over a tree."""

import copy

import numpy as np
import pytest
import reference
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import spm
from spm import VLAD, BagOfWords, SpmError, VocabularyTree
from spm.codebooks.kmeans import kmeans

X = np.random.default_rng(0).random((3000, 6)).astype(np.float32)
NEW = np.random.default_rng(1).random((500, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def tree():
    return VocabularyTree(branching=5, depth=3, random_state=0).fit(X)


def descend(x, tree, n_paths):
    """Return the word of one descriptor, slowly: follow the nearest of all children of the nodes followed."""
    n_nodes = len(tree.children_)
    followed = [0]
    while followed[0] < n_nodes:
        found = []
        for node in followed:
            centers = tree.children_[node].T.astype(np.float64)
            for c in range(np.isfinite(centers[:, 0]).sum()):
                found.append((np.square(x - centers[c]).sum(), tree.first_child_[node] + c))
        followed = [node for _, node in sorted(found)[:n_paths]]
    return followed[0] - n_nodes


def agreement(tree, n_paths):
    words = following(tree, n_paths).predict(NEW)
    return np.mean(words == reference.nearest_words(NEW, tree.cluster_centers_))


def following(tree, n_paths):
    """Return the same fitted tree which follows so many paths."""
    return copy.copy(tree).set_params(n_paths=n_paths)


@parametrize_with_checks([VocabularyTree(branching=2, depth=1, random_state=0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# The tree


def test_every_level_splits_the_clusters_of_the_one_above(tree):
    assert tree.cluster_centers_.shape == (125, 6) and tree.cluster_centers_.dtype == np.float32
    assert tree.children_.shape == (1 + 5 + 25, 6, 5) and tree.first_child_.tolist() == list(range(1, 156, 5))
    assert np.array_equal(tree.children_[6:].transpose(0, 2, 1).reshape(125, 6), tree.cluster_centers_)


def test_a_tree_of_one_level_is_kmeans():
    tree = VocabularyTree(branching=7, depth=1, random_state=0).fit(X)
    seed = np.random.RandomState(0).randint(2**31 - 1, size=1)[0]
    assert np.array_equal(tree.cluster_centers_, kmeans(X, 7, random_state=seed).centers)
    assert np.array_equal(tree.predict(NEW), reference.nearest_words(NEW, tree.cluster_centers_))


def test_a_child_is_the_kmeans_of_its_parents_descriptors(tree):
    nearest = reference.nearest_words(X, tree.children_[0].T)
    random = np.random.RandomState(0)
    random.randint(2**31 - 1, size=1)
    seeds = random.randint(2**31 - 1, size=5)
    for c in range(5):
        assert np.array_equal(tree.children_[1 + c].T, kmeans(X[nearest == c], 5, random_state=seeds[c]).centers)


def test_few_different_descriptors_in_a_cluster_make_fewer_words():
    values = np.repeat(np.float32([[0, 0], [0, 1], [9, 9], [9, 8], [9, 7]]), 4, axis=0)
    tree = VocabularyTree(branching=3, depth=2, random_state=0).fit(values)
    assert len(np.unique(tree.cluster_centers_, axis=0)) == 5
    np.testing.assert_array_equal(tree.cluster_centers_[tree.labels_], values)


def test_deterministic_for_every_number_of_threads(tree):
    for n_jobs in (2, 3):
        other = VocabularyTree(branching=5, depth=3, random_state=0, n_jobs=n_jobs).fit(X)
        assert np.array_equal(other.cluster_centers_, tree.cluster_centers_)
        assert np.array_equal(other.labels_, tree.labels_)
    other = VocabularyTree(branching=5, depth=3, random_state=1).fit(X)
    assert not np.array_equal(other.cluster_centers_, tree.cluster_centers_)


# The descent


@pytest.mark.parametrize("n_paths", [1, 2, 3, 10])
def test_the_descent_is_that_of_its_slow_twin(tree, n_paths):
    found = following(tree, n_paths).predict(NEW)
    assert found.dtype == np.int64
    assert found.tolist() == [descend(x, tree, n_paths) for x in NEW.astype(np.float64)]


def test_the_descent_of_an_uneven_tree_is_that_of_its_slow_twin():
    values = np.random.default_rng(0).integers(0, 4, (400, 3)).astype(np.float32)
    tree = VocabularyTree(branching=5, depth=3, random_state=0).fit(values)
    assert len(tree.cluster_centers_) < 125 and np.isinf(tree.children_).any()
    new = NEW[:, :3] * 4
    for n_paths in (1, 4):
        assert following(tree, n_paths).predict(new).tolist() == [descend(x, tree, n_paths) for x in np.float64(new)]


def test_more_paths_find_the_nearest_word_more_often(tree):
    found = [agreement(tree, n_paths) for n_paths in (1, 2, 4, 8)]
    assert found == sorted(found) and 0.4 < found[0] < 0.9 < found[2] < found[3]


def test_all_paths_are_brute_force(tree):
    assert agreement(tree, 125) == agreement(tree, 10**6) == 1


def test_labels_are_the_words_of_what_it_was_fitted_to(tree):
    assert np.array_equal(tree.labels_, tree.predict(X))
    assert np.array_equal(clone(tree).fit_predict(X), tree.labels_)
    assert len(tree.assign(X[:0])) == 0


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (X[:124], {}, r"5 \*\* 3 = 125 words need at least as many descriptors, got n_samples=124"),
        (np.ones((200, 3)), {}, "branching=5 but there are only 1 different descriptors"),
        (np.full((200, 3), np.nan), {}, "NaN"),
        (X, {"branching": 1}, "branching must be .* got 1"),
        (X, {"depth": 0}, "depth must be .* got 0"),
        (X, {"depth": 1.5}, "depth must be .* got 1.5"),
        (X, {"n_paths": 0}, "n_paths must be .* got 0"),
    ],
)
def test_what_gives_no_tree_is_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        VocabularyTree(**{"branching": 5, "depth": 3, "random_state": 0, **options}).fit(values)


def test_paths_set_after_the_fit_are_checked(tree):
    with pytest.raises(SpmError, match=r"n_paths must be .* got 0"):
        following(tree, 0).predict(NEW)


# Codes over a tree


@pytest.mark.parametrize("wrap", [lambda tree: tree, FrozenEstimator], ids=["fitted", "frozen"])
@pytest.mark.parametrize("encoder", [BagOfWords, VLAD])
def test_an_encoder_finds_words_by_the_trees_own_descent(tree, encoder, wrap):
    fitted = encoder(clusterer=wrap(tree)).fit(X)
    words = fitted.encode(NEW).words[:, 0]
    assert np.array_equal(fitted.words_, tree.cluster_centers_)
    assert np.array_equal(words, tree.predict(NEW))
    assert not np.array_equal(words, reference.nearest_words(NEW, tree.cluster_centers_))


def test_other_clusterers_are_not_kept():
    for clusterer in (None, KMeans(4, n_init=1), FrozenEstimator(KMeans(4, n_init=1, random_state=0).fit(X))):
        encoder = BagOfWords(n_words=4, clusterer=clusterer, random_state=0).fit(X)
        assert encoder.assigner_ is None
        assert np.array_equal(encoder.encode(NEW).words[:, 0], reference.nearest_words(NEW, encoder.words_))


def test_the_encoder_seeds_a_tree_without_a_seed():
    given = VocabularyTree(branching=3, depth=2)
    words = BagOfWords(clusterer=given, random_state=4).fit(X).words_
    assert np.array_equal(words, VocabularyTree(branching=3, depth=2, random_state=4).fit(X).cluster_centers_)
    assert given.random_state is None


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pyramid_over_a_tree_comes_back_from_its_file(tmp_path, frozen):
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)
    tree = VocabularyTree(branching=3, depth=3, n_jobs=2)
    if frozen:
        sift = np.concatenate([spm.DenseSIFT().extract(image).values for image in images])
        tree = FrozenEstimator(tree.set_params(random_state=0).fit(sift))
    pyramid = spm.SpatialPyramid(levels=(1, 2))
    vec = spm.PyramidVectorizer(encoder=BagOfWords(clusterer=tree), pyramid=pyramid, random_state=0)
    vectors = vec.fit_transform(images)
    loaded = spm.load(spm.save(vec, tmp_path / "tree.spm"))
    assert vectors.shape == (4, 27 * 5)
    np.testing.assert_array_equal(loaded.transform(images), vectors)
    assert hasattr(loaded.encoder_.assigner_, "assign")
