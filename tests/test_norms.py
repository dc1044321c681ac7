"""Normalisation: held to its twin, and to what a norm must leave alone."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm import SpmError
from spm.pyramid.norms import check_norm, l1, l2, normalise, power

value = st.floats(-1e6, 1e6, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6)
names = st.lists(st.sampled_from(["l1", "l2", "power"]), max_size=3).map(tuple)


@given(vectors=arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=value), names=names)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_is_the_definition(vectors, names):
    slow = np.array([reference.normalise(vector, names, n_levels=3) for vector in vectors])
    np.testing.assert_allclose(normalise(vectors, names, n_levels=3), slow, rtol=2e-5, atol=1e-30)


def test_l1_divides_by_the_feature_count_of_a_pyramid_of_words():
    """7 features counted on each of 3 levels: the sum over all is 21, and each level is left with a sum of 1."""
    counts = np.random.default_rng(0).multinomial(7, [1 / 4] * 4, size=3)
    normed = normalise(counts.reshape(1, -1), "l1", n_levels=3).reshape(3, 4)
    np.testing.assert_allclose(normed, counts / 7)
    np.testing.assert_allclose(normed.sum(axis=1), 1)


def test_by_hand():
    vectors = np.array([[3.0, -4.0, 0.0]])
    assert l1(vectors).tolist() == [[3 / 7, -4 / 7, 0]]
    assert l2(vectors).tolist() == [[0.6, -0.8, 0]]
    np.testing.assert_allclose(power(vectors), [[3**0.5, -2, 0]])
    np.testing.assert_allclose(normalise(vectors, ("power", "l2")), [[(3 / 7) ** 0.5, -((4 / 7) ** 0.5), 0]])
    np.testing.assert_allclose(normalise(vectors, ("l2", "power")), [[0.6**0.5, -(0.8**0.5), 0]])


@pytest.mark.parametrize("norm", ["l1", "l2", "power", ("power", "l2"), ["l1", "power", "l2"], (), None])
def test_zeros_stay_zeros_without_a_warning(norm):
    with np.errstate(all="raise"):
        assert normalise(np.zeros((2, 3), np.float32), norm).tolist() == [[0] * 3] * 2
        assert normalise(np.zeros((0, 3), np.float32), norm).shape == (0, 3)


@pytest.mark.parametrize("norm", ["l1", "l2", "power", ("power", "l2")])
def test_float32_stays_and_the_input_is_left_alone(norm):
    vectors = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    before = vectors.copy()
    normed = normalise(vectors, norm, n_levels=2)
    assert normed.dtype == np.float32 and normed.shape == (2, 2, 3)
    assert np.array_equal(vectors, before)
    np.testing.assert_allclose(normed[1, 1], normalise(vectors[1, 1][None], norm, n_levels=2)[0], rtol=1e-6)


def test_names_in_the_order_of_their_work():
    assert check_norm("l1") == ("l1",)
    assert check_norm(["power", "l2"]) == ("power", "l2")
    assert check_norm(None) == check_norm(()) == ()


@pytest.mark.parametrize("norm", ["l3", ("l1", "max"), ("l1", None), [None]])
def test_an_unknown_name_is_refused_with_the_choices(norm):
    with pytest.raises(SpmError, match="choose one of 'l1', 'l2', 'power'"):
        normalise(np.ones((1, 2)), norm)


@pytest.mark.parametrize("norm", [2, {"l1"}, np.array(["l1"])])
def test_what_is_no_name_is_refused(norm):
    with pytest.raises(SpmError, match="a name, a tuple of names or None"):
        check_norm(norm)
