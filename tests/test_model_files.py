"""Model files of strangers: none runs code, fills the memory or leads outside; each is loaded as saved, or refused."""

import io
import json
import os
import pickle
import tracemalloc
import warnings
import zipfile

import numpy as np
import PIL
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import spm
from spm._tools.files import read_shipped
from spm._tools.opencv import cv2
from spm.errors import SpmError
from spm.storage import FORMAT
from spm.storage._archive import SPARE, TIMES, seal

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 40, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a small fitted model."""
    model = spm.presets.lazebnik2006(n_words=5, levels=(1, 2), random_state=0).fit(IMAGES, [0, 1] * 3)
    return spm.save(model, tmp_path_factory.mktemp("models") / "scene.spm").read_bytes()


def parts_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts, compression=zipfile.ZIP_STORED):
    """Return an archive of parts, with a seal that is right: a stranger can make one, too."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return seal(file.getvalue())


def changed(data, change):
    """Return a model's file with another schema, or other parts, sealed anew."""
    parts = parts_of(data)
    schema = json.loads(parts["schema.json"])
    change(schema, parts)
    parts["schema.json"] = json.dumps(schema)
    return packed(parts)


def written(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def model_of(schema):
    return schema["content"]["model"]


def nodes(value, loader):
    """Yield the nodes of a schema that a loader is for."""
    if isinstance(value, dict):
        if value.get("__loader__") == loader:
            yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from nodes(item, loader)


def refused(content, tmp_path, message):
    """Load a file that must be refused, and return the most memory that this took."""
    path = tmp_path / "model.spm"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(SpmError, match=message) as caught:
            spm.load(path)
        assert str(caught.value).startswith(str(path))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_that_is_made_anew_here_loads(saved, tmp_path):
    """What is refused below is so for what was changed, not for how this file is put together."""
    path = tmp_path / "model.spm"
    path.write_bytes(changed(saved, lambda schema, parts: None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert spm.load(path).predict(IMAGES).shape == (6,)


# Bombs


def test_a_bomb_of_zeros_is_refused_before_it_is_unpacked(saved, tmp_path):
    parts = parts_of(saved)
    name = next(name for name in parts if name.endswith(".npy"))
    parts[name] = written(np.zeros(2 * SPARE, np.uint8))
    content = packed(parts, zipfile.ZIP_DEFLATED)
    assert len(content) < 10**5
    assert refused(content, tmp_path, r"would unpack to 3\d,\d+,\d+ bytes, where a file of") < SPARE / 8


def test_one_part_that_stands_for_many_is_refused(tmp_path):
    """An array of a megabyte, named twenty times: no object is there twice, and each would be read by itself."""

    def many(schema, parts):
        items = model_of(schema)["content"]["content"]
        [array] = nodes(items["kept"], "NdArrayNode")
        items["more"] = {**items["kept"], "__id__": 1, "content": [{**array, "__id__": 2 + k} for k in range(20)]}

    model = spm.BagOfWords()
    model.kept = [np.zeros(2**20, np.uint8)]
    content = spm.save(model, tmp_path / "a").read_bytes()
    assert refused(changed(content, many), tmp_path, "would unpack to 22,0") < 2**23


def test_objects_that_hold_the_one_before_twice_are_refused(saved, tmp_path):
    """Thirty lines that stand for 2^30 lists: going through them would never end."""

    def laugh(schema, parts):
        node = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 1}
        for k in range(2, 31):
            node = {**node, "content": [node, {"__id__": k - 1}], "__id__": k}
        model_of(schema)["content"]["content"]["extra"] = node

    refused(changed(saved, laugh), tmp_path, "two objects of one number")


@pytest.mark.parametrize("shape", [(10**12,), (-4,), (2**40, 2**40), (0, 7)])
def test_an_array_that_is_not_as_long_as_it_says_is_refused(saved, tmp_path, shape):
    def lie(schema, parts):
        name = next(node["file"] for node in nodes(schema, "NdArrayNode"))
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
        parts[name] = head.getvalue() + bytes(16)

    refused(changed(saved, lie), tmp_path, "says .* but has 16 bytes")


def test_nothing_times_a_trillion_is_refused(saved, tmp_path):
    def lie(schema, parts):
        name = next(node["file"] for node in nodes(schema, "NdArrayNode"))
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|V0", "fortran_order": False, "shape": (10**12,)})
        parts[name] = head.getvalue()

    refused(changed(saved, lie), tmp_path, "but has 0 bytes")


def test_random_numbers_of_a_giant_pool_are_refused(tmp_path):
    model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=1).fit(np.eye(8), [0, 1] * 4)
    content = spm.save(model, tmp_path / "a").read_bytes()

    def grow(schema, parts):
        [generator] = nodes(schema, "RandomGeneratorNode")
        generator["content"]["seed_seq"]["content"]["pool_size"]["content"] = str(10**11)

    refused(changed(content, grow), tmp_path, "source of random numbers")


def test_a_schema_that_is_nested_without_end_is_refused(saved, tmp_path):
    parts = parts_of(saved)
    for schema in ("[" * 10**6, '{"protocol": 2, "content": ' * 10**5 + "1" + "}" * 10**5):
        refused(packed({**parts, "schema.json": schema}), tmp_path, "damaged")


def test_what_is_saved_is_never_packed_so_that_any_size_of_it_loads(tmp_path):
    model = spm.BagOfWords()
    model.words_ = np.zeros((2**13, 2**11), np.float32)  # 64 MiB of zeros
    path = spm.save(model, tmp_path / "model.spm")
    assert path.stat().st_size > model.words_.nbytes > SPARE
    assert spm.load(path).words_.shape == model.words_.shape
    parts = parts_of(path.read_bytes())
    refused(packed(parts, zipfile.ZIP_DEFLATED), tmp_path, f"may hold {SPARE:,}")
    assert TIMES * 0.2 < 1  # what is packed by half may be


# Code


def test_a_pickle_inside_is_refused(saved, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    def hide(schema, parts):
        name = next(node["file"] for node in nodes(schema, "NdArrayNode"))
        parts[name] = written(np.array([Evil()], dtype=object), allow_pickle=True)

    refused(changed(saved, hide), tmp_path, "pickled objects, which are never read")

    def bare(schema, parts):
        parts[next(node["file"] for node in nodes(schema, "NdArrayNode"))] = pickle.dumps(Evil())

    refused(changed(saved, bare), tmp_path, "damaged")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("loader", ["MethodNode", "PartialNode", "OperatorFuncNode", "SparseMatrixNode", "X"])
def test_what_would_call_something_is_refused(saved, tmp_path, loader):
    def call(schema, parts):
        model_of(schema)["content"]["content"]["extra"] = {
            "__class__": "system",
            "__module__": "os",
            "__loader__": loader,
            "content": {"func": "system", "obj": {}, "args": []},
        }

    refused(changed(saved, call), tmp_path, f"skops' {loader}, which models never hold")


def test_what_would_be_called_later_is_not_saved_either(tmp_path):
    model = make_pipeline(FunctionTransformer("abc".upper), StandardScaler())
    with pytest.raises(SpmError, match="cannot be saved"):
        spm.save(model, tmp_path / "model.spm")
    assert os.listdir(tmp_path) == ["model.spm"] * 0


def test_a_folder_of_pickles_that_a_file_names_as_memory_is_forgotten(saved, tmp_path):
    """joblib would take what lies there for what was made before, and load it."""
    plain = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}

    def name(schema, parts):
        for node in nodes(schema, "ObjectNode"):
            options = node["content"]["content"]
            if "memory" in options:
                options["memory"] = {**plain, "content": json.dumps(str(tmp_path / "pickles"))}
                options["verbose"] = {**plain, "content": "3"}

    path = tmp_path / "model.spm"
    path.write_bytes(changed(saved, name))
    model = spm.load(path)
    model.predict(IMAGES)
    assert model.memory is None and model[0].memory is None and not model[0].verbose
    assert not (tmp_path / "pickles").exists()


# What is outside


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "C:\\x", "inner/part.npy"])
def test_names_that_lead_elsewhere_are_refused(saved, tmp_path, name):
    refused(packed({**parts_of(saved), name: b"x"}), tmp_path, "leads elsewhere or is there twice")
    assert os.listdir(tmp_path) == ["model.spm"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(saved, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in [*parts_of(saved).items(), ("schema.json", b"{}")]:
            archive.writestr(name, content)
    refused(seal(file.getvalue()), tmp_path, "leads elsewhere or is there twice")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(saved, tmp_path, compression):
    """Their readers unpack whole blocks, whatever length is asked for."""
    refused(packed(parts_of(saved), compression), tmp_path, "packed in a way that models never are")


def test_a_network_outside_the_file_is_not_followed(tmp_path):
    pytest.importorskip("onnxruntime")
    network = spm.networks.Network(read_shipped("texture_net.onnx"))
    for model, message in (
        (spm.FeatureMap(network), "a network outside the file"),
        (spm.FeatureMap("net.onnx"), "a path of a network"),
    ):
        model.embed_network = lambda: None  # as a stranger's save would do
        del model.__dict__["embed_network"]
        document = {"format": FORMAT, "spm": spm.__version__, "model": model}
        content = seal(skops.io.dumps(document))
        if message.startswith("a network"):

            def lead(schema, parts):
                [state] = [node for node in nodes(schema, "DictNode") if set(node["content"]) == {"path", "content"}]
                state["content"]["path"] = {
                    "__class__": "str",
                    "__module__": "builtins",
                    "__loader__": "JsonNode",
                    "content": '"/dev/zero"',
                    "is_json": True,
                }

            content = changed(content, lead)
        refused(content, tmp_path, message)


def test_pipes_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.spm")
    for path in (tmp_path / "pipe.spm", "/dev/zero"):
        with pytest.raises(SpmError, match="no regular file"):
            spm.load(path)


# Damage


def test_no_flipped_bit_is_missed(saved, tmp_path):
    """Anywhere: also in what the zip format does not check, such as times, and in the seal itself."""
    path = tmp_path / "model.spm"
    random = np.random.default_rng(0)
    ends = [*range(200), *range(len(saved) - 400, len(saved))]
    for at in [*ends, *random.integers(0, len(saved), 300)]:
        content = bytearray(saved)
        content[at] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        with pytest.raises(SpmError):
            spm.load(path)


def test_no_truncated_file_is_taken(saved, tmp_path):
    path = tmp_path / "model.spm"
    for length in [*range(0, len(saved), len(saved) // 60), *range(len(saved) - 100, len(saved))]:
        path.write_bytes(saved[:length])
        with pytest.raises(SpmError):
            spm.load(path)


def test_a_swapped_part_is_seen(saved, tmp_path):
    """Two arrays change places, by a tool that writes whole archives: every check sum of theirs is right."""
    parts = parts_of(saved)
    one, other = [name for name in parts if name.endswith(".npy")][:2]
    parts[one], parts[other] = parts[other], parts[one]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    refused(file.getvalue(), tmp_path, "packed anew, or its end is missing")
    whole = saved[: -len(zipfile.ZipFile(io.BytesIO(saved)).comment)]
    refused(file.getvalue() + saved[len(whole) :], tmp_path, "has changed since it was saved")


@pytest.mark.parametrize("protocol", [0, 1, 3, 10**9, True, None, "2"])
def test_a_wrong_protocol_is_refused(saved, tmp_path, protocol):
    def renumber(schema, parts):
        schema["protocol"] = protocol

    refused(changed(saved, renumber), tmp_path, "protocol|damaged")


# How the features were made


def said_by_load(path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = spm.load(path)
    return model, [str(warning.message) for warning in told]


def test_other_versions_are_said_by_name(saved, tmp_path, monkeypatch):
    path = tmp_path / "model.spm"
    path.write_bytes(saved)
    assert said_by_load(path)[1] == []
    monkeypatch.setattr(spm, "__version__", "9.8")
    monkeypatch.setattr(PIL, "__version__", "77.0")
    monkeypatch.setattr(cv2, "__version__", "66.0")
    model, [message] = said_by_load(path)
    assert message.startswith(f"{path}: features are not made as they were for this model")
    for name, version in (("spm", "9.8"), ("Pillow", "77.0"), ("OpenCV", "66.0")):
        assert f"{name} was" in message and f"and is {version}" in message
    assert model.predict(IMAGES).shape == (6,)


def test_another_option_and_another_network_are_said_by_name(tmp_path):
    pytest.importorskip("onnxruntime")
    network = read_shipped("texture_net.onnx")
    both = spm.KernelSum(
        [
            ("sift", spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=3), random_state=0)),
            ("maps", spm.PyramidVectorizer(features=spm.FeatureMap(network, size=32))),
        ],
        kernels=["linear"] * 2,
    ).fit(IMAGES)
    content = spm.save(both, tmp_path / "a.spm").read_bytes()
    assert said_by_load(tmp_path / "a.spm")[1] == []

    def otherwise(schema, parts):
        origin = schema["content"]["origin"]["content"]["features"]["content"]
        [sift] = [name for name in origin if name.startswith("DenseSIFT")]
        origin[sift]["content"]["step"]["content"] = '"99"'
        for name in [name for name in origin if name.startswith("FeatureMap")]:
            origin[name]["content"]["model"]["content"] = '"network of another digest"'

    path = tmp_path / "b.spm"
    path.write_bytes(changed(content, otherwise))
    _, [message] = said_by_load(path)
    assert "'s step was 99 and is 8" in message
    assert message.count("'s model was network of another digest and is network ") == 1  # as given, as cut when saved


def test_a_file_of_format_2_is_compared_by_what_it_tells(saved, tmp_path):
    plain = skops.io.dumps({"format": 2, "spm": spm.__version__, "opencv": "4.0", "model": spm.DenseSIFT()})
    path = tmp_path / "old.spm"
    path.write_bytes(plain)
    model, [message] = said_by_load(path)
    assert model.step == 8 and message.endswith(f"OpenCV was 4.0 and is {cv2.__version__}")
