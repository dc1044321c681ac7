"""One seed, one result: whatever the number of BLAS threads, of workers, of their kind; and after save and load."""

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import spm

X = np.random.default_rng(0).random((3000, 128), dtype=np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, (12, 72, 80), dtype=np.uint8)
Y = ["a", "b"] * 6
DIRECT = {
    "BagOfWords": spm.BagOfWords(n_words=32, random_state=0),
    "FisherVector": spm.FisherVector(n_words=16, random_state=0),
    "LLC": spm.LLC(n_words=32, random_state=0),
    "SoftAssignment": spm.SoftAssignment(n_words=32, random_state=0),
    "SparseCoding": spm.SparseCoding(n_words=64, n_iter=2, random_state=0),
    "VLAD": spm.VLAD(n_words=16, random_state=0),
    "VocabularyTree": spm.VocabularyTree(branching=4, depth=2, random_state=0),
}


def learned(estimator):
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and isinstance(value, np.ndarray | float | int)
    }


@pytest.mark.parametrize("name", DIRECT)
def test_a_direct_fit_is_the_same_with_one_and_two_blas_threads(name):
    results = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
            assert n_threads in blas  # it is set
            results.append(learned(DIRECT[name].__class__(**DIRECT[name].get_params()).fit(X)))
    assert results[0].keys() == results[1].keys() and results[0]
    for key in results[0]:
        np.testing.assert_array_equal(results[0][key], results[1][key])


ROADS = {
    "words": lambda **o: spm.presets.lazebnik2006(n_words=8, levels=(1, 2), random_state=0, **o),
    "fisher": lambda **o: spm.presets.fisher2010(n_words=2, levels=(1,), random_state=0, **o),
    "sparse": lambda **o: spm.presets.scspm2009(n_words=8, levels=(1, 2), random_state=0, **o),
}


@pytest.mark.parametrize("road", ROADS)
def test_vectors_and_scores_are_the_same_for_all_workers_and_after_loading(road, tmp_path):
    first = ROADS[road]().fit(IMAGES, Y)
    vectors, scores = first[0].transform(IMAGES), first.decision_function(IMAGES)

    def same(model):
        np.testing.assert_array_equal(model[0].transform(IMAGES), vectors)
        np.testing.assert_array_equal(model.decision_function(IMAGES), scores)

    same(spm.load(spm.save(first, tmp_path / "model.spm")))
    with threadpool_limits(2):
        same(ROADS[road](n_jobs=2).fit(IMAGES, Y))
    with joblib.parallel_config(backend="loky", n_jobs=2):
        other = ROADS[road]().fit(list(IMAGES), Y)
        if road != "fisher":
            same(other)
        # with old versions of numpy, products in other processes have other last bits
        np.testing.assert_allclose(other[0].transform(IMAGES), vectors, atol=1e-5)
