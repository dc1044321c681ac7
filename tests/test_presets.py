"""Presets: the paper's values, scikit-learn Pipelines, and options that every preset takes."""

from inspect import Parameter, getdoc, signature

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from spm import KernelSVC, SpmError, presets
from spm.kernels.functions import histogram_intersection
from spm.presets.registry import TRAINED


def picture(kind, seed, size=(40, 48)):
    rng = np.random.default_rng(seed)
    stripes = np.tile(np.uint8([0, 0, 0, 0, 160, 160, 160, 160]), (48, 6))
    stripes = (stripes.T if kind == "across" else stripes)[: size[0], : size[1]]
    return stripes + rng.integers(0, 90, size, dtype=np.uint8)


X = [picture(kind, seed) for seed in range(6) for kind in ("across", "down")]
Y = ["across", "down"] * 6


def test_lazebnik2006_has_the_papers_values():
    options = presets.lazebnik2006().get_params()
    paper = {
        "vectorizer__features__patch_size": 16,
        "vectorizer__features__step": 8,
        "vectorizer__encoder__n_words": 200,
        "vectorizer__pyramid__levels": (1, 2, 4),
        "vectorizer__pyramid__pool": "sum",
        "vectorizer__pyramid__weights": "lazebnik",
        "vectorizer__norm": "l1",
        "classifier__kernel": "intersection",
        "classifier__multi_class": "ovr",
    }
    assert {name: options[name] for name in paper} == paper
    assert options["vectorizer__random_state"] is None and options["vectorizer__n_jobs"] is None


def test_its_kernel_is_the_weighted_sum_of_the_levels_intersections():
    model = presets.lazebnik2006(n_words=6, random_state=0)
    images = [X[0], X[2], X[1]]
    vectors = model[0].fit_transform(images)
    unweighted = clone(model[0]).set_params(pyramid__weights=None, norm=None).fit(images).transform(images)
    histograms = unweighted / unweighted[:, :6].sum(axis=1, keepdims=True)  # by the number of features
    matches = [
        np.minimum(histograms[0, part], histograms[1, part]).sum() for part in (slice(6), slice(6, 30), slice(30, None))
    ]
    expected = matches[0] / 4 + matches[1] / 4 + matches[2] / 2  # equation 3 for L = 2
    np.testing.assert_allclose(histogram_intersection(vectors[:1], vectors[1:2]), [[expected]], rtol=1e-5)
    assert 0.1 < expected < 0.99


def test_options_reach_the_parts(tmp_path):
    options = {"n_words": 7, "levels": (1, (3, 1)), "C": 3.0, "probability": True, "memory": tmp_path}
    model = presets.lazebnik2006(**options, n_jobs=2, verbose=True, random_state=5)
    vec, svm = model
    assert (vec.encoder.n_words, vec.pyramid.levels, vec.memory) == (7, (1, (3, 1)), tmp_path)
    assert (svm.C, svm.probability) == (3.0, True)
    assert (vec.n_jobs, svm.n_jobs, vec.random_state, svm.random_state, vec.verbose) == (2, 2, 5, 5, True)


def test_spp2014_has_the_papers_values():
    options = presets.spp2014("net.onnx").get_params()
    paper = {
        "vectorizer__features__model": "net.onnx",
        "vectorizer__features__policy": "full",
        "vectorizer__encoder": None,
        "vectorizer__pyramid__levels": (1, 2, 3, 6),
        "vectorizer__pyramid__pool": "max",
        "vectorizer__pyramid__weights": None,
        "vectorizer__norm": "l2",
        "classifier__kernel": "linear",
        "classifier__multi_class": "ovr",
    }
    assert {name: options[name] for name in paper} == paper


def test_hybrid_is_the_sum_of_both():
    both = presets.hybrid("net.onnx", weight=2.0, n_words=7, memory="m", n_jobs=2, random_state=3)
    words, maps = (vec for _, vec in both[0].vectorizers)
    alone = {"memory": "m", "n_jobs": 2, "random_state": 3}
    assert repr(words) == repr(presets.lazebnik2006(n_words=7, **alone)[0])
    assert repr(maps) == repr(presets.spp2014("net.onnx", **alone)[0])
    assert both[0].weights == [1.0, 2.0] and both[1].kernel == "precomputed"


ROADS = [name for name in presets.PRESETS if name not in TRAINED]  # of a vectorizer and a classifier


@pytest.mark.parametrize("name", ROADS)
def test_every_preset_is_a_pipeline_that_learns(name):
    if name in ("spp2014", "hybrid"):
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    model = presets.make(name, levels=(1, 2), n_jobs=1, verbose=False, random_state=0)  # what compare gives to each
    assert isinstance(model, Pipeline) and list(model.named_steps) == ["vectorizer", "classifier"]
    with pytest.raises(NotFittedError):
        model[0].transform(X)
    assert repr(clone(model)) == repr(model)
    model.set_params(
        **{option: 5 for option in model.get_params() if option.endswith("n_words") and "census" not in option}
    )
    before = repr(model)
    model.fit(X, Y)
    assert model.predict([picture("across", 50), picture("down", 51)]).tolist() == ["across", "down"]
    assert repr(model) == before


def test_presets_share_no_parts():
    first, second = presets.lazebnik2006(), presets.lazebnik2006()
    first.set_params(vectorizer__encoder__n_words=3, classifier__C=99)
    assert second[0].encoder.n_words == 200 and second[1].C != 99
    assert isinstance(second[1], KernelSVC)


def test_make_finds_presets_by_name():
    assert presets.make("lazebnik2006", n_words=9)[0].encoder.n_words == 9
    with pytest.raises(
        SpmError,
        match=r"preset='lazebnik' is not an option: did you mean 'lazebnik2006'\? Choose one of 'lazebnik2006'",
    ):
        presets.make("lazebnik")
    with pytest.raises(SpmError, match=r"no option 'n_wrods': did you mean n_words\? It has n_words, levels"):
        presets.make("lazebnik2006", n_wrods=9)


# One way to write them


def test_presets_show_their_options_and_take_no_others():
    shared = {"probability": False, "memory": None, "n_jobs": None, "verbose": False, "random_state": None}
    for name, preset in presets.PRESETS.items():
        parameters = signature(preset).parameters
        assert set(preset.__code__.co_varnames) >= set(parameters)  # they are the function's own
        assert Parameter.VAR_KEYWORD not in {parameter.kind for parameter in parameters.values()}
        assert {key: parameters[key].default for key in shared} == shared
        assert (preset.__module__, preset.__name__, getattr(presets, name)) == ("spm.presets", name, preset)
        for option in parameters:
            assert option in getdoc(preset), f"{name} does not say what {option} is"


@pytest.mark.parametrize("name", ROADS)
def test_the_shared_options_of_every_preset_reach_its_parts(name):
    model = presets.make(name, probability=True, memory="m", n_jobs=2, verbose=True, random_state=5, levels=(1, 3))
    vectorizers = [vec for _, vec in getattr(model[0], "vectorizers", [("", model[0])])]
    for vec in vectorizers:
        assert (vec.memory, vec.n_jobs, vec.verbose, vec.random_state) == ("m", 2, True, 5)
        assert vec.pyramid.levels == (1, 3)
    assert (model[1].probability, model[1].n_jobs, model[1].random_state, model[0].n_jobs) == (True, 2, 5, 2)


@pytest.mark.parametrize("name", ["spp2014", "hybrid"])
@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"model": "net.onnx"}, 224),
        ({"model": "net.onnx", "size": "auto"}, 224),
        ({"model": "net.onnx", "size": None}, None),  # the image as it is
        ({"model": "net.onnx", "size": 320}, 320),
        ({"model": "net.onnx", "size": (None, 64)}, (None, 64)),
        ({}, None),
        ({"size": None}, None),
        ({"size": 64}, 64),
    ],
)
def test_a_size_of_none_is_the_image_as_it_is(name, options, size):
    vec = presets.make(name, **options)[0]
    features = vec.features if name == "spp2014" else dict(vec.vectorizers)["maps"].features
    assert features.size == size


ROOT_SIFT = "DenseSIFT(patch_size=(16,24,32,44),root=True,step=4)"
FISHER = "PyramidVectorizer(encoder=FisherVector(n_words=256),features={},norm=('power','l2'),pyramid={},reduce={})"
FISHER = FISHER.format("{}", "SpatialPyramid(levels=(1,2,(3,1)),weights=None)", "PCA(n_components=64)")
WORDS = "PyramidVectorizer(encoder=BagOfWords(),features=DenseSIFT(),pyramid=SpatialPyramid())"
MAX = "SpatialPyramid(pool='max',weights=None)"
MAPS = "PyramidVectorizer(features=FeatureMap(model='net.onnx'),norm='l2',pyramid={})".format(
    "SpatialPyramid(levels=(1,2,3,6),pool='max',weights=None)"
)
VALUES = {  # all that differs from the parts' own defaults: figures that were published stand on it
    "lazebnik2006": (WORDS, ""),
    "phow2008": (
        "PyramidVectorizer(encoder=BagOfWords(n_words=600),features=DenseSIFT(contrast_threshold=0.005,dtype='uint8',"
        "patch_size=(16,24,32,40),smoothing=0.16666666666666666,step=3,window='flat'),"
        "pyramid=SpatialPyramid(levels=(2,4),weights=None))",
        "chi2",
    ),
    "scspm2009": (
        f"PyramidVectorizer(encoder=SparseCoding(),features=DenseSIFT(),norm='l2',pyramid={MAX})",
        "linear",
    ),
    "llc2010": (
        f"PyramidVectorizer(encoder=LLC(),features=DenseSIFT(patch_size=(16,24,32),step=6),norm='l2',pyramid={MAX})",
        "linear",
    ),
    "vlad2010": (FISHER.replace("FisherVector(n_words=256)", "VLAD()").format(ROOT_SIFT), "linear"),
    "fisher2010": (FISHER.format(ROOT_SIFT), "linear"),
    "best_handcrafted": (
        "KernelSum(kernels=['linear','intersection','intersection'],vectorizers=["
        f"('fisher',{FISHER.format(f'Mirrored(features={ROOT_SIFT})')}),"
        "('words',PyramidVectorizer(encoder=BagOfWords(n_words=1000),features=Mirrored(features=DenseSIFT(step=4)),"
        "pyramid=SpatialPyramid())),"
        "('census',PyramidVectorizer(encoder=FixedVocabulary(),features=Mirrored(features=CensusTransform()),"
        "pyramid=SpatialPyramid()))],weights=[1.0,0.25,0.25])",
        "precomputed",
    ),
    "spp2014": (MAPS, "linear"),
    "hybrid": (
        "KernelSum(kernels=['intersection','linear'],"
        f"vectorizers=[('words',{WORDS}),('maps',{MAPS})],weights=[1.0,1.0])",
        "precomputed",
    ),
}


@pytest.mark.parametrize("name", ROADS)
def test_the_values_of_every_preset_are_these(name):
    vectorizer, kernel = VALUES[name]
    model = presets.make(name, **({"model": "net.onnx"} if name in ("spp2014", "hybrid") else {}))
    assert "".join(model[0].__repr__(N_CHAR_MAX=10**6).split()) == vectorizer
    assert repr(model[1]) == f"KernelSVC(C=10.0{f', kernel={kernel!r}' if kernel else ''})"


def test_detectors_presets_are_where_their_names_say():
    for preset in (presets.rcnn2014, presets.sppnet2014_detection):
        assert preset.__module__ == "spm.presets" and preset.__name__ in presets.__all__


def test_sppnet2014_has_the_papers_recipe():
    pytest.importorskip("torch")
    model = presets.sppnet2014(n_jobs=2, verbose=True, random_state=5, levels=(1, 2), device="cpu")
    assert isinstance(model, Pipeline) and list(model.named_steps) == ["classifier"]
    given = model[0].get_params()
    paper = {"sizes": (224, 180), "schedule": "alternate", "policy": "crop", "test_size": 256, "dropout": 0.5}
    paper |= {"optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "rate": "step", "pool": "max"}
    paper |= {"n_jobs": 2, "verbose": True, "random_state": 5, "levels": (1, 2)}
    assert {name: given[name] for name in paper} == paper
    assert presets.sppnet2014(device="cpu")[0].levels == (6, 3, 2, 1)
    assert "sppnet2014" not in presets.expand("all") and presets.expand("sppnet2014") == ["sppnet2014"]
