"""Soft, locality-constrained, VLAD and Fisher codes: each against its slow twin, and the identities of its paper."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

import spm
from spm.codebooks.mixture import Mixture, gaussian_mixture

ENCODERS = [
    spm.SoftAssignment(n_words=3),
    spm.SoftAssignment(n_words=3, n_neighbors=2),
    spm.LLC(n_words=3, n_neighbors=2),
    spm.VLAD(n_words=3),
    spm.VLAD(n_words=3, local_pca=True),
    spm.FisherVector(n_words=1),  # more lie so far apart on the checks' data that float32 cancels to 4 digits
]


@pytest.fixture(scope="module")
def descriptors():
    random = np.random.default_rng(0)
    centres = random.normal(size=(12, 8)) * 2
    return (centres[random.integers(0, 12, 600)] + random.normal(size=(600, 8))).astype(np.float32)


@parametrize_with_checks(ENCODERS)
def test_conventions_of_scikit_learn(estimator, check):
    check(estimator)


# Soft assignment


def soft_twin(x, words, sigma, k):
    distances = ((words - x) ** 2).sum(axis=1)
    shares = np.exp(-distances / (2 * sigma**2))
    shares[np.argsort(distances, kind="stable")[k:]] = 0
    return shares / shares.sum()


@pytest.mark.parametrize("k", [None, 1, 3])
def test_soft_assignment_against_its_formula(descriptors, k):
    soft = spm.SoftAssignment(n_words=10, sigma=1.5, n_neighbors=k, random_state=0).fit(descriptors)
    expected = [soft_twin(x, soft.words_.astype(float), 1.5, k or 10) for x in descriptors[:50].astype(float)]
    np.testing.assert_allclose(soft.transform(descriptors[:50]), expected, atol=3e-5)


def test_shares_sum_to_one_and_one_neighbour_is_hard_assignment(descriptors):
    soft = spm.SoftAssignment(n_words=10, random_state=0).fit(descriptors)
    np.testing.assert_allclose(soft.transform(descriptors).sum(axis=1), 1, rtol=1e-5)
    hard = spm.BagOfWords(n_words=10, random_state=0).fit(descriptors)
    one = spm.SoftAssignment(n_words=10, n_neighbors=1, random_state=0).fit(descriptors)
    np.testing.assert_array_equal(one.transform(descriptors), hard.transform(descriptors))
    sharp = clone(soft).set_params(sigma=0.05).fit(descriptors)
    np.testing.assert_allclose(sharp.transform(descriptors), hard.transform(descriptors), atol=0.02, rtol=0.1)


def test_sigma_is_learned(descriptors):
    soft = spm.SoftAssignment(n_words=10, random_state=0).fit(descriptors)
    distances = ((descriptors[:, None] - soft.words_) ** 2).sum(axis=2).min(axis=1)
    assert soft.sigma_ == pytest.approx(np.sqrt(distances.mean()), rel=1e-4)


# LLC


def llc_twin(x, words, k, beta):
    few = np.argsort(((words - x) ** 2).sum(axis=1), kind="stable")[:k]
    apart = words[few] - x
    S = apart @ apart.T
    c = np.linalg.solve(S + beta * np.trace(S) * np.eye(k), np.ones(k))
    code = np.zeros(len(words))
    code[few] = c / c.sum()
    return code


@pytest.mark.parametrize("k", [1, 2, 5])
def test_llc_against_its_formula(descriptors, k):
    llc = spm.LLC(n_words=12, n_neighbors=k, beta=1e-2, random_state=0).fit(descriptors)
    expected = [llc_twin(x, llc.words_.astype(float), k, 1e-2) for x in descriptors[:60].astype(float)]
    codes = llc.transform(descriptors[:60])
    np.testing.assert_allclose(codes, expected, atol=2e-4)
    np.testing.assert_allclose(codes.sum(axis=1), 1, rtol=1e-5)
    assert ((codes != 0).sum(axis=1) <= k).all()


def test_llc_of_a_word_is_that_word(descriptors):
    llc = spm.LLC(n_words=12, random_state=0).fit(descriptors)
    np.testing.assert_allclose(llc.transform(llc.words_), np.eye(12), atol=5e-3)


# VLAD


def pooled(encoder, values):
    codes = encoder.encode(values)
    return encoder.finish(codes.toarray().sum(axis=0, dtype=np.float64).astype(np.float32)[None, None])[0, 0]


def test_vlad_against_its_formula(descriptors):
    vlad = spm.VLAD(n_words=6, intra=False, random_state=0).fit(descriptors)
    words, others = vlad.words_.astype(float), descriptors[:200] + np.float32(0.3)  # of all together the sum is zero
    expected = np.zeros_like(words)
    for x in others.astype(float):
        k = ((words - x) ** 2).sum(axis=1).argmin()
        expected[k] += x - words[k]
    np.testing.assert_allclose(pooled(vlad, others), expected.ravel(), atol=2e-3)
    vlad.set_params(intra=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(pooled(vlad, others), expected.ravel(), atol=1e-4)


def test_vlad_of_the_words_is_zero(descriptors):
    vlad = spm.VLAD(n_words=6, intra=False, random_state=0).fit(descriptors)
    np.testing.assert_allclose(pooled(vlad, vlad.words_), 0, atol=1e-6)


def test_vlad_over_each_words_own_axes(descriptors):
    """A turn leaves lengths and angles alone; along the axes the differences vary less and less, and independently."""
    plain = spm.VLAD(n_words=6, intra=False, random_state=0).fit(descriptors)
    turned = spm.VLAD(n_words=6, intra=False, local_pca=True, random_state=0).fit(descriptors)
    n_values = descriptors.shape[1]
    parts = [
        [pooled(vlad, part).reshape(6, n_values) for part in np.split(descriptors[:300], 3)] for vlad in (plain, turned)
    ]
    for k in range(6):
        of_word = [np.stack([part[k] for part in each]) for each in parts]
        np.testing.assert_allclose(of_word[0] @ of_word[0].T, of_word[1] @ of_word[1].T, atol=1e-2)
        mine = descriptors[plain._assign(descriptors) == k]
        spread = np.cov((mine - plain.words_[k]) @ turned.axes_[k].T, rowvar=False, bias=True)
        np.testing.assert_allclose(spread, np.diag(spread.diagonal()), atol=1e-3 * spread.max())
        assert (np.diff(spread.diagonal()) < 1e-3 * spread.max()).all()
    assert plain.axes_ is None and turned.axes_.shape == (6, n_values, n_values)


# Fisher vectors


def shares(x, mixture):
    densities = mixture.weights * np.exp(-0.5 * ((x - mixture.means) ** 2 / mixture.variances).sum(axis=1))
    densities /= np.sqrt(np.prod(2 * np.pi * mixture.variances, axis=1))
    return densities / densities.sum(), np.log(densities.sum())


def fisher_twin(X, mixture):
    """Equations 16 to 18 of Sanchez 2013, one descriptor at a time."""
    weights, means, deviations = mixture.weights, mixture.means, np.sqrt(mixture.variances)
    by_weight, by_mean, by_variance = np.zeros(len(weights)), np.zeros_like(means), np.zeros_like(means)
    for x in X.astype(float):
        g, _ = shares(x, mixture)
        by_weight += (g - weights) / np.sqrt(weights)
        by_mean += (g / np.sqrt(weights))[:, None] * (x - means) / deviations
        by_variance += (g / np.sqrt(2 * weights))[:, None] * (((x - means) / deviations) ** 2 - 1)
    return np.concatenate([part.ravel() / len(X) for part in (by_weight, by_mean, by_variance)])


@pytest.fixture(scope="module")
def fisher(descriptors):
    return spm.FisherVector(n_words=5, gradients=("weights", "means", "variances"), random_state=0).fit(descriptors)


def mixture_of(fisher):
    return Mixture(fisher.mixture_weights_, fisher.means_, fisher.variances_)


def test_fisher_vector_against_its_formula(descriptors, fisher):
    expected = fisher_twin(descriptors[:200], mixture_of(fisher))
    found = pooled(fisher, descriptors[:200])
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)
    some = clone(fisher).set_params(gradients=("variances",)).fit(descriptors)
    np.testing.assert_array_equal(pooled(some, descriptors[:200]), found[-5 * 8 :])
    assert fisher.get_feature_names_out()[[0, 5, 45]].tolist() == ["word0_weight", "word0_mean0", "word0_variance0"]


def test_fisher_vector_is_the_gradient_of_the_log_likelihood(descriptors, fisher):
    X, mixture, step = descriptors[:40].astype(float), mixture_of(fisher), 1e-5

    def likelihood(means, deviations):
        moved = Mixture(mixture.weights, means, deviations**2)
        return np.mean([shares(x, moved)[1] for x in X])

    found = pooled(fisher, descriptors[:40])
    deviations = np.sqrt(mixture.variances)
    for k, d in ((0, 0), (3, 5)):
        bump = np.zeros_like(deviations)
        bump[k, d] = step
        slope = (likelihood(mixture.means + bump, deviations) - likelihood(mixture.means - bump, deviations)) / 2 / step
        scale = deviations[k, d] / np.sqrt(mixture.weights[k])
        assert found[5 + 8 * k + d] == pytest.approx(slope * scale, rel=1e-3, abs=1e-4)
        slope = (likelihood(mixture.means, deviations + bump) - likelihood(mixture.means, deviations - bump)) / 2 / step
        scale = deviations[k, d] / np.sqrt(2 * mixture.weights[k])
        assert found[45 + 8 * k + d] == pytest.approx(slope * scale, rel=1e-3, abs=1e-4)


def test_fisher_vector_of_the_mixtures_own_data_is_near_zero(fisher):
    random, mixture = np.random.default_rng(0), mixture_of(fisher)
    k = random.choice(5, 100_000, p=mixture.weights)
    own = mixture.means[k] + random.normal(size=(len(k), 8)) * np.sqrt(mixture.variances[k])
    assert np.abs(pooled(fisher, own.astype(np.float32))).max() < 0.02
    assert np.abs(pooled(fisher, own[:300].astype(np.float32) + 1)).max() > 0.3  # other data are not


def test_fisher_vector_of_nothing_is_zero_and_an_empty_gaussian_has_no_gradient(descriptors):
    fisher = spm.FisherVector(n_words=3, random_state=0).fit(descriptors)
    assert not fisher.finish(np.zeros((1, 2, 3 * 17), np.float32)).any()
    fisher.mixture_weights_ = np.array([0.5, 0.5, 0.0])
    vector = pooled(fisher, descriptors)
    assert np.isfinite(vector).all() and not vector.reshape(2, 3, 8)[:, 2].any()


def test_fisher_vector_against_scikit_image(descriptors):
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    from sklearn.mixture import GaussianMixture

    fisher = spm.FisherVector(n_words=5, random_state=0).fit(descriptors)
    theirs = GaussianMixture(5, covariance_type="diag")
    theirs.weights_, theirs.means_, theirs.covariances_ = fisher.mixture_weights_, fisher.means_, fisher.variances_
    theirs.precisions_cholesky_ = 1 / np.sqrt(fisher.variances_)
    expected = feature.fisher_vector(descriptors[:200].astype(float), theirs)[5:]
    found = pooled(fisher, descriptors[:200])
    found = np.concatenate([found[: 5 * 8], -found[5 * 8 :]])  # theirs has the gradients of the variances negated
    error = min(np.linalg.norm(found - expected), np.linalg.norm(np.abs(found) - np.abs(expected)))
    assert error < 1e-4 * np.linalg.norm(expected)


def test_the_mixture_is_scikit_learns_from_the_same_start(descriptors):
    from sklearn.mixture import GaussianMixture

    start = gaussian_mixture(descriptors, 4, max_iter=1, random_state=0)
    ours = gaussian_mixture(descriptors, 4, start=start, max_iter=15, tol=0, reg_covar=1e-9)
    theirs = GaussianMixture(
        4,
        covariance_type="diag",
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=1 / start.variances,
        max_iter=15,
        tol=0,
        reg_covar=1e-9,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, as asked
        theirs.fit(descriptors.astype(float))
    np.testing.assert_allclose(ours.weights, theirs.weights_, rtol=1e-3)
    np.testing.assert_allclose(ours.means, theirs.means_, rtol=1e-2, atol=1e-3)


# On the road


@pytest.mark.parametrize(
    ("encoder", "pool", "width"),
    [
        (spm.SoftAssignment(n_words=6), "mean", 6),
        (spm.LLC(n_words=6), "max", 6),
        (spm.VLAD(n_words=6), "sum", 6 * 5),
        (spm.VLAD(n_words=6, local_pca=True), "sum", 6 * 5),
        (spm.FisherVector(n_words=6), "sum", 6 * 10),
    ],
)
def test_every_encoder_on_the_road(tmp_path, encoder, pool, width):
    images = spm.datasets.make_layouts(3, size=64, n_classes=2, random_state=0).data
    vec = spm.PyramidVectorizer(
        encoder=encoder,
        reduce=PCA(5),
        pyramid=spm.SpatialPyramid(levels=(1, 2), pool=pool, weights=None),
        norm=("power", "l2"),
        random_state=0,
    ).fit(images)
    vectors = vec.transform(images)
    assert vectors.shape == (6, 5 * width) and len(vec.get_feature_names_out()) == 5 * width
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vec.set_params(n_jobs=2).transform(images), vectors)
    model = spm.load(spm.save(vec, tmp_path / "m.spm"))
    np.testing.assert_array_equal(model.transform(images), vectors)


@pytest.mark.parametrize("encoder", [spm.VLAD(n_words=2), spm.FisherVector(n_words=2)])
def test_several_moments_have_no_maximum(encoder):
    images = spm.datasets.make_layouts(2, size=64, n_classes=2).data
    vec = spm.PyramidVectorizer(encoder=encoder, pyramid=spm.SpatialPyramid(pool="max"), random_state=0).fit(images)
    with pytest.raises(spm.SpmError, match='use pool="sum"'):
        vec.transform(images)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (spm.SoftAssignment(sigma=0), "sigma must be"),
        (spm.SoftAssignment(n_neighbors=0), "n_neighbors must be"),
        (spm.LLC(beta=0), "beta must be"),
        (spm.LLC(n_neighbors=0), "n_neighbors must be"),
        (spm.FisherVector(gradients="means"), "gradients must be a sequence"),
        (spm.FisherVector(gradients=("mean",)), "each of gradients"),
        (spm.FisherVector(n_words=0), "n_words must be"),
        (spm.VLAD(n_words=700), "700"),
        (spm.FisherVector(n_words=700), "700"),
    ],
)
def test_wrong_options(descriptors, encoder, message):
    with pytest.raises(spm.SpmError, match=message):
        encoder.fit(descriptors)
