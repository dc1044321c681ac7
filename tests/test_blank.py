"""Images without local features: they are vectors of zeros by every road, and nothing to learn from."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import Normalizer

import spm
from spm.encoders import Layer

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)
BLANK = np.full((64, 64), 128, np.uint8)
TREE = spm.VocabularyTree(branching=2, depth=2)
ENCODERS = [
    None,
    spm.BagOfWords(n_words=3),
    spm.BagOfWords(clusterer=TREE),
    spm.SoftAssignment(n_words=3),
    spm.LLC(n_words=3),
    spm.VLAD(n_words=3),
    spm.FisherVector(n_words=3),
    spm.SparseCoding(n_words=3),
]
REDUCERS = [None, PCA(4), Normalizer()]


def vectorizer(encoder, reduce, **options):
    return spm.PyramidVectorizer(
        features=spm.KeypointFeatures(), encoder=encoder, reduce=reduce, random_state=0, **options
    )


@pytest.mark.parametrize("append_xy", [False, True])
@pytest.mark.parametrize("reduce", REDUCERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_blank_image_among_others_is_zeros(encoder, reduce, append_xy):
    made = vectorizer(encoder, reduce, append_xy=append_xy).fit([BLANK, *IMAGES])
    vectors = made.transform([BLANK, IMAGES[0]])
    assert not vectors[0].any()
    assert vectors[1].any()
    assert not made.transform_regions(BLANK, [[0, 0, 9, 9]]).any()
    [(local, codes)] = made.encode(BLANK)
    assert (len(local), len(codes.words)) == (0, 0)


@pytest.mark.parametrize("reduce", REDUCERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_blank_images_alone_are_nothing_to_learn_from(encoder, reduce):
    if encoder is None and not isinstance(reduce, PCA):
        pytest.skip("learns nothing")
    with pytest.raises(spm.SpmError, match="the images have no local features: are they blank\\? Give images"):
        vectorizer(encoder, reduce).fit([BLANK] * 5)


def test_a_fixed_vocabulary_needs_nothing_to_learn_from():
    made = spm.PyramidVectorizer(features=spm.EdgePoints(), encoder=spm.FixedVocabulary(n_words=16))
    assert not made.fit_transform([BLANK] * 3).any()


class Choosy(spm.BagOfWords):
    """An encoder that does not take nothing."""

    def encode(self, values):
        assert len(values)
        return super().encode(values)


def test_an_encoder_of_somebody_elses_need_not_take_nothing():
    assert not vectorizer(Choosy(n_words=3), None).fit(IMAGES).transform([BLANK]).any()


def test_a_part_that_cannot_learn_is_named():
    with pytest.raises(
        spm.SpmError, match="reduce: PCA cannot learn from 3 local features of 128 values: n_components"
    ):
        Layer.learn(
            np.ones((3, 128)), np.ones((3, 2)), reduce=PCA(64), encoder=None, append_xy=False, fit=lambda p, v: p.fit(v)
        )
