"""Mirror images: one vector for an image and its mirror image, whichever way the features are made."""

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.decomposition import PCA

import spm
from spm._tools.files import read_shipped
from spm.boxes import mirror_boxes
from spm.evidence.voting import feature_votes


@pytest.fixture(scope="module")
def images():
    """Grey and colour, of odd and even sides, smooth enough for key points."""
    random = np.random.default_rng(0)
    sizes = [(60, 81, 3), (48, 64, 3), (51, 50, 3)]
    small = [random.integers(0, 256, (h // 4, w // 4, 3), dtype=np.uint8) for h, w, _ in sizes]
    return [np.asarray(Image.fromarray(each).resize((w, h))) for each, (h, w, _) in zip(small, sizes, strict=True)]


def network_map(**options):
    pytest.importorskip("onnxruntime")
    return spm.FeatureMap(read_shipped("texture_net.onnx"), preprocess="tf", **options)


FEATURES = {
    "one size": spm.DenseSIFT,
    "two sizes, step 5, colour": lambda: spm.DenseSIFT(patch_size=(12, 17), step=5, color="opponent"),
    "key points": spm.KeypointFeatures,
    "edge points": spm.EdgePoints,
    "census, two layers": lambda: spm.CensusTransform(shrink=(1, 2)),
    "a network at two sizes": lambda: network_map(size=(48, 64)),
}


def vectorizer(features, **options):
    inner = getattr(features, "features", features)
    fixed = {spm.CensusTransform: 256, spm.EdgePoints: 16}.get(type(inner))
    mapped = isinstance(inner, spm.FeatureMap)
    words = spm.BagOfWords(n_words=6) if fixed is None else spm.FixedVocabulary(n_words=fixed)
    encoder = None if mapped else words
    pyramid = spm.SpatialPyramid(levels=(1, (2, 3)), pool="max" if mapped else "sum")
    return spm.PyramidVectorizer(features=features, encoder=encoder, pyramid=pyramid, random_state=0, **options)


@pytest.mark.parametrize("name", FEATURES)
def test_an_image_and_its_mirror_image_have_one_vector(images, name):
    vec = vectorizer(spm.Mirrored(FEATURES[name]())).fit(images)
    seen, mirrored = vec.transform(images), vec.transform([image[:, ::-1] for image in images])
    np.testing.assert_allclose(seen, mirrored, atol=1e-6)
    plain = vectorizer(FEATURES[name]()).fit(images)
    assert seen.shape == plain.transform(images).shape
    assert np.abs(plain.transform(images) - plain.transform([image[:, ::-1] for image in images])).max() > 1e-3


@pytest.mark.parametrize("name", FEATURES)
def test_the_vector_is_the_mean_over_both(images, name):
    features = FEATURES[name]()
    views = spm.Mirrored(features).views(images[0])
    own, other = features.views(images[0]), features.views(np.ascontiguousarray(images[0][:, ::-1]))
    assert len(views) == 2 * len(own)
    for view, expected in zip(views, own + other, strict=True):
        for local, wanted in zip(view, expected, strict=True):
            assert (local.values == wanted.values).all() and (local.extents == wanted.extents).all()
    assert [local.mirrored for view in views for local in view] == [False] * sum(map(len, own)) + [True] * sum(
        map(len, other)
    )


@pytest.mark.parametrize("name", FEATURES)
def test_a_box_is_where_it_lies_in_the_mirror_image(images, name):
    vec = vectorizer(spm.Mirrored(FEATURES[name]()), norm=None).fit(images)
    boxes = np.array([[3, 5, 40, 44], [20.5, 0, 50, 30], [0, 0, 50, 51], [49, 50, 60, 60]])
    there = mirror_boxes(boxes, images[2].shape[1])
    np.testing.assert_allclose(
        vec.transform_regions(images[2], boxes), vec.transform_regions(images[2][:, ::-1], there), atol=1e-4
    )
    whole = vec.transform_regions(images[2], [[0, 0, 50, 51]])
    np.testing.assert_allclose(whole, vec.transform(images[2:]), rtol=1e-6)


def test_codebooks_learn_from_both(images):
    once = vectorizer(spm.Mirrored(spm.DenseSIFT()), reduce=PCA(4)).fit(images)
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    both = vectorizer(spm.DenseSIFT(), reduce=PCA(4)).fit([*images, *mirrored])
    np.testing.assert_allclose(once.reduce_.mean_, both.reduce_.mean_, atol=1e-6)


def test_options_are_nested_and_a_model_survives_saving(images, tmp_path):
    features = spm.Mirrored(network_map(size=48))
    vec = vectorizer(spm.Mirrored(spm.DenseSIFT())).set_params(features__features__step=4)
    assert clone(vec).features.features.step == 4 and spm.Mirrored().get_params() == {"features": None}
    model = spm.presets.lazebnik2006(n_words=4, random_state=0).set_params(vectorizer=vec)
    for road in (vec, clone(vec).set_params(features=features, encoder=None)):
        model.set_params(vectorizer=road).fit(images, ["a", "b", "b"])
        loaded = spm.load(spm.save(model, tmp_path / "mirrored.spm"))
        np.testing.assert_array_equal(loaded.decision_function(images), model.decision_function(images))


def test_features_are_found_again_by_all_that_they_depend_on(images, tmp_path, monkeypatch):
    vectors = {}
    for step in (8, 4):
        vec = vectorizer(spm.Mirrored(spm.DenseSIFT(step=step)), memory=tmp_path)
        vectors[step] = vec.fit_transform(images)
    monkeypatch.setattr(spm.DenseSIFT, "extract", lambda self, image: pytest.fail("described again"))
    for step, kept in vectors.items():
        vec = vectorizer(spm.Mirrored(spm.DenseSIFT(step=step)), memory=tmp_path)
        np.testing.assert_array_equal(vec.fit_transform(images), kept)


def test_the_kind_of_features_is_part_of_what_they_depend_on():
    class Other(spm.DenseSIFT):
        pass

    assert spm.Mirrored(Other()).fingerprint() != spm.Mirrored(spm.DenseSIFT()).fingerprint()


def test_an_image_that_cannot_be_used_is_named(images, tmp_path):
    Image.fromarray(images[0][:8, :8]).save(tmp_path / "small.png")
    for act in (spm.Mirrored().views, spm.Mirrored().check, spm.Mirrored().extract):
        with pytest.raises(spm.ImageError, match=r"small\.png.*8 x 8 pixels"):
            act(tmp_path / "small.png")


@pytest.mark.parametrize("features", ["sift", spm.DenseSIFT, spm.BagOfWords()])
def test_what_is_no_extractor_is_refused(images, features):
    with pytest.raises(spm.SpmError, match=r"features=.* cannot be used .* such as DenseSIFT\(\)"):
        vectorizer(spm.Mirrored(features)).fit(images)


def test_votes_of_single_features_are_refused(images):
    model = spm.presets.lazebnik2006(n_words=4, random_state=0)
    model.set_params(vectorizer__features=spm.Mirrored()).fit(images, ["a", "b", "b"])
    with pytest.raises(spm.SpmError, match="no mirror image"):
        feature_votes(model, images[0])
