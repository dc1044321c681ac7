"""Sparse coding: the optimum, against slow twins and its conditions; the words; and the road with the maximum."""

import numpy as np
import pytest
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode
from sklearn.utils.estimator_checks import parametrize_with_checks

import spm
from spm.encoders.sparse_coding import learn_words, sparse_codes


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


RANDOM = np.random.default_rng(0)
X = unit(RANDOM.random((300, 12)) ** 2)
WORDS = unit(RANDOM.random((40, 12)) ** 2)  # more words than values, all much alike: as hard as SIFT's
IMAGES = RANDOM.integers(0, 256, (4, 48, 64), dtype=np.uint8)


def solve(x, words, alpha):
    return sparse_codes(x @ words.T, words @ words.T, alpha)


def objective(x, words, codes, alpha):
    return (np.square(x - codes @ words).sum(axis=1) / 2 + alpha * np.abs(codes).sum(axis=1)).astype(float)


def slow_code(x, words, alpha, sweeps=4000):
    """One code by plain coordinate descent, in float64."""
    code, words = np.zeros(len(words)), words.astype(float)
    for _ in range(sweeps):
        for k, word in enumerate(words):
            pull = word @ (x - code @ words + code[k] * word)
            code[k] = np.sign(pull) * max(abs(pull) - alpha, 0) / (word @ word)
    return code


@parametrize_with_checks([spm.SparseCoding(n_words=2, n_iter=2, random_state=0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_a_code_is_that_of_plain_coordinate_descent():
    few = WORDS[:8]  # fewer words than values: the optimum is unique, and soon reached
    np.testing.assert_allclose(solve(X[:5], few, 0.1), [slow_code(x, few, 0.1) for x in X[:5]], atol=2e-4)


@pytest.mark.parametrize("alpha", [0.02, 0.15, 0.4])
def test_codes_are_as_good_as_scikit_learns(alpha):
    ours = solve(X, WORDS, alpha)
    theirs = sparse_encode(X.astype(float), WORDS.astype(float), algorithm="lasso_cd", alpha=alpha, max_iter=100000)
    assert np.all(objective(X, WORDS, ours, alpha) < objective(X, WORDS, theirs, alpha) + 2e-6)  # theirs stops earlier


@pytest.mark.parametrize("alpha", [0.02, 0.15, 0.4])
def test_codes_meet_the_conditions_of_the_optimum(alpha):
    signed = X - X.mean(axis=0)
    codes = solve(signed, WORDS, alpha).astype(float)
    left = (signed - codes @ WORDS) @ WORDS.T
    slack = 2e-4 * alpha + 1e-6
    assert np.abs(left).max() <= alpha + slack
    assert np.abs(left - alpha * np.sign(codes))[codes != 0].max() <= slack
    assert alpha == 0.4 or (codes < 0).any()


def test_words_that_are_the_same_do_not_matter():
    twice = np.concatenate([WORDS, WORDS])
    codes = solve(X, twice, 0.1)
    expected = objective(X, WORDS, solve(X, WORDS, 0.1), 0.1)
    np.testing.assert_allclose(objective(X, twice, codes, 0.1), expected, atol=2e-6)


def test_nothing_is_coded_where_alpha_is_above_every_correlation():
    assert not solve(X, WORDS, 1.01).any() and not solve(0 * X, WORDS, 0.1).any()


def test_encoding_gives_the_weights_or_their_absolute_values():
    signed = X - X.mean(axis=0)
    encoder = spm.SparseCoding(n_words=20, alpha=0.05, absolute=False, n_iter=2, random_state=0).fit(signed)
    codes = encoder.encode(signed)
    np.testing.assert_allclose(codes.toarray(), solve(signed, encoder.words_, 0.05), atol=1e-5)  # cut into other blocks
    assert codes.words.shape[1] < 20 and codes.n_words == 20 and (codes.moments == 1).all()
    assert (codes.toarray() < 0).any()
    np.testing.assert_allclose(encoder.set_params(absolute=True).transform(signed), np.abs(codes.toarray()), atol=1e-6)
    assert encoder.encode(X[:0]).toarray().shape == (0, 20)


def test_words_are_of_length_one_and_better_than_descriptors():
    words = learn_words(X, 20, 0.1, random_state=0)
    drawn = learn_words(X, 20, 0.1, n_iter=1, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, rtol=1e-5)
    costs = [objective(X, w, solve(X, w, 0.1), 0.1).mean() for w in (words, drawn, X[:20])]
    assert costs[0] < costs[1] < 0.97 * costs[2]


def test_words_are_as_good_as_scikit_learns():
    theirs = MiniBatchDictionaryLearning(20, alpha=0.1, max_iter=8, batch_size=50, fit_algorithm="cd", random_state=0)
    words = unit(theirs.fit(X).components_)
    ours = learn_words(X, 20, 0.1, n_iter=8, random_state=0)
    costs = [objective(X, w, solve(X, w, 0.1), 0.1).mean() for w in (ours, words)]
    assert costs[0] < 1.02 * costs[1]


def test_words_depend_on_the_seed_and_not_on_the_threads():
    many = np.tile(X, (4, 1))  # several blocks
    one, two, other = (
        learn_words(many, 10, 0.1, n_iter=2, random_state=s, n_jobs=j) for s, j in ((0, 1), (0, 2), (1, 1))
    )
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_the_maximum_of_the_codes_and_a_saved_model(tmp_path):
    encoder = spm.SparseCoding(n_words=16, n_iter=2)
    pyramid = spm.SpatialPyramid(levels=(1, 2), pool="max")
    vec = spm.PyramidVectorizer(encoder=encoder, pyramid=pyramid, norm=None, random_state=0).fit(IMAGES)
    vectors = vec.transform(IMAGES)
    expected = vec.encoder_.transform(spm.DenseSIFT().extract(IMAGES[0]).values).max(axis=0)
    weights = vec.value_weights_[:16]
    np.testing.assert_allclose(vectors[0, :16], expected * weights, rtol=1e-6)
    assert vec.get_feature_names_out()[0].endswith("word0")
    loaded = spm.load(spm.save(vec, tmp_path / "sparse.spm"))
    np.testing.assert_array_equal(loaded.transform(IMAGES), vectors)


@pytest.mark.parametrize(
    ("encoder", "values", "message"),
    [
        (spm.SparseCoding(alpha=0), X, "alpha must be"),
        (spm.SparseCoding(n_words=0), X, "n_words must be"),
        (spm.SparseCoding(n_iter=0), X, "n_iter must be"),
        (spm.SparseCoding(n_words=301), X, "n_words=301 needs at least as many .* got n_samples=300"),
        (spm.SparseCoding(n_words=2), 0 * X, "that are not zero, got n_samples=0"),
    ],
)
def test_what_cannot_be_learned_is_refused(encoder, values, message):
    with pytest.raises(spm.SpmError, match=message):
        encoder.fit(values)
