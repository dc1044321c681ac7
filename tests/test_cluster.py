"""A cluster of several worker processes: equal results, lost and slow workers, and those that lack something."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.model_selection import cross_val_score

import spm
from spm._tools import cluster as _cluster
from spm._tools.parallel import in_order, in_threads
from spm.codebooks import source as _source
from spm.detection import Objects, RegionDetector, SlidingWindows

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 64, 72), dtype=np.uint8)
Y = ["a", "b"] * 5


@pytest.fixture(scope="module")
def workers():
    """Two worker processes, each with one thread, that come back when they are lost."""
    import dask

    settings = {"distributed.deploy.lost-worker-timeout": "120s"}  # a busy machine takes long to start one again
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(**options, processes=True, silence_logs=60) as own,
        distributed.Client(own) as client,
    ):
        yield client


@pytest.fixture
def on_cluster(workers):
    """Work within goes to the cluster."""
    workers.wait_for_workers(2, timeout=60)
    with joblib.parallel_config(backend="dask"):
        yield workers


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Images as files: only their paths travel."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    for i, pixels in enumerate(IMAGES):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(len(IMAGES))]


def words(**options):
    return spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=6), random_state=0, **options)


@pytest.fixture(scope="module")
def alone(paths):
    """What one worker of this process makes."""
    return words(n_jobs=1).fit_transform(paths)


def square(x):
    return x * x


def process_of(_):
    time.sleep(0.05)
    return os.getpid()


# --- equal results ----------------------------------------------------------------------------------------------------


def test_results_come_in_order_from_several_processes(on_cluster):
    assert list(in_order(square, range(40), n_jobs=None, batch=3)) == [x * x for x in range(40)]
    seen = set(in_order(process_of, range(12), n_jobs=1, batch=1))
    assert len(seen) == 2 and os.getpid() not in seen
    assert list(in_order(square, [], n_jobs=None)) == []


def test_vectors_are_those_of_one_worker(on_cluster, paths, alone, tmp_path):
    vec = words().fit(paths)
    np.testing.assert_array_equal(vec.transform(paths), alone)
    np.testing.assert_array_equal(vec.transform(list(IMAGES)), alone)
    np.testing.assert_array_equal(vec.transform(paths, out=tmp_path / "v.npy"), alone)
    batches = spm.stream_descriptors(paths, spm.DenseSIFT(), batch_size=50, random_state=0)
    here = spm.stream_descriptors(paths, spm.DenseSIFT(), batch_size=50, random_state=0)
    made = list(batches)
    with joblib.parallel_config(backend="threading", n_jobs=1):
        for mine, theirs in zip(here, made, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_sums_of_kernels_are_those_of_one_worker(on_cluster, paths):
    means = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1,), pool="mean"), norm="l2")
    both = spm.KernelSum([("words", words()), ("means", means)], kernels=["intersection", "linear"])
    there = both.fit_transform(paths), both.transform(paths[:3])
    with joblib.parallel_config(backend="threading", n_jobs=1):
        np.testing.assert_array_equal(there[0], both.fit_transform(paths))
        np.testing.assert_array_equal(there[1], both.transform(paths[:3]))


def test_comparisons_are_those_of_one_worker(on_cluster, paths):
    splits = [(np.arange(0, 6), np.arange(6, 10))]
    model = spm.presets.lazebnik2006(n_words=6, levels=(1, 2), random_state=0)
    data = {"folder": "photos", "data": paths, "target": np.array([0, 1] * 5), "target_names": ["a", "b"]}

    def both():
        measured = spm.evaluate(model, paths, Y, cv=splits, on_error="skip")
        rows = spm.compare(data, presets=(), models={"mine": model}, cv=splits)
        return [found.tolist() for _, found in measured.predictions], [row["accuracy"] for row in rows.rows]

    there = both()
    with joblib.parallel_config(backend="threading", n_jobs=1):
        assert both() == there


def test_detectors_learn_the_same(on_cluster, paths):
    y = [Objects([[4 + i, 4, 36 + i, 36]], [k]) for i, k in enumerate(Y)]
    windows = SlidingWindows(scales=(0.4,), aspects=(1.0,), stride=0.3)
    detector = RegionDetector(vectorizer=words(), proposals=windows, random_state=0)
    there = detector.fit(paths, y)
    found = there.predict(paths[:2])
    with joblib.parallel_config(backend="threading", n_jobs=1):
        here = RegionDetector(**detector.get_params(deep=False)).fit(paths, y)
        np.testing.assert_array_equal(here.coef_, there.coef_)
        for mine, theirs in zip(here.predict(paths[:2]), found, strict=True):
            np.testing.assert_array_equal(mine.boxes, theirs.boxes)
            np.testing.assert_array_equal(mine.scores, theirs.scores)


def test_codebooks_of_files_are_those_of_one_worker(on_cluster, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(_source, "GROUP", 8192)
    values = np.random.default_rng(0).random((20_000, 5), dtype=np.float32)
    for i, part in enumerate(np.split(values, [9000])):
        np.save(tmp_path / f"{i}.npy", part)
    files = spm.DescriptorFiles([tmp_path / "0.npy", tmp_path / "1.npy"])
    for encoder in (spm.BagOfWords(n_words=4, random_state=0), spm.FisherVector(n_words=2, max_iter=3, random_state=0)):
        there = encoder.fit(files).transform(values[:50])
        np.testing.assert_array_equal(encoder.fit(values).transform(values[:50]), there)
    written = spm.write_descriptors(paths, spm.DenseSIFT(), tmp_path / "new", per_image=5, random_state=0)
    with joblib.parallel_config(backend="threading", n_jobs=1):
        here = spm.write_descriptors(paths, spm.DenseSIFT(), tmp_path / "here", per_image=5, random_state=0)
    rows = [files.read(files.pieces(0, len(files))) for files in (written, here)]
    np.testing.assert_array_equal(*rows)


def test_a_search_on_the_cluster_has_its_inner_work_there_too(on_cluster, paths):
    model = spm.presets.lazebnik2006(n_words=6, levels=(1,), random_state=0)
    there = cross_val_score(model, paths, Y, cv=2)
    with joblib.parallel_config(backend="threading", n_jobs=1):
        assert cross_val_score(model, paths, Y, cv=2).tolist() == there.tolist()


def test_threads_of_this_process_are_not_counted_by_the_cluster(on_cluster):
    assert len(set(in_threads(lambda _: threading.get_ident(), range(6), n_jobs=1))) == 1


# --- what travels -----------------------------------------------------------------------------------------------------


def test_paths_and_results_travel_and_the_function_once(on_cluster, monkeypatch):
    """A function of a megabyte goes to the scheduler once; a task takes hardly more than its items."""
    sizes = []
    submit = on_cluster.submit
    monkeypatch.setattr(on_cluster, "submit", lambda f, *a, **o: sizes.append([f, *a]) or submit(f, *a, **o))
    table = np.random.default_rng(0).random(2**17)
    done = list(in_order(partial(np.take, table), list(range(30)), n_jobs=None, batch=3))
    assert done == table[:30].tolist()
    sent, *tasks = sizes
    assert sent[0] is tuple and len(sent[1][1]) > table.nbytes
    assert len(tasks) == 10 and all(len(task[2]) < 200 for task in tasks)


def test_a_detectors_task_has_one_image(paths):
    from spm.detection.learning.training import Training

    rest = (2, None, None, None, np.random.RandomState(0))
    training = Training(None, paths, [Objects.none()] * 10, *rest)
    away = pickle.loads(pickle.dumps(training))
    assert not away.X and not away.y
    with away._at_hand(3, paths[3], Objects.none()):
        assert away.X[3] == paths[3]
    assert not away.X


# --- faults -----------------------------------------------------------------------------------------------------------


def slowly(x, where=None):
    """Take long in one process, or in all."""
    time.sleep(0.3 if where in (None, os.getpid()) else 0.001)
    return x


def die_once(x, mark):
    """End the process, as the system does when memory is short, the first time that an item comes."""
    if x == 5 and not os.path.exists(mark):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def die(x):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_killed_in_the_middle_changes_nothing(on_cluster, paths, alone, tmp_path):
    items = list(range(24))
    assert list(in_order(partial(die_once, mark=str(tmp_path / "dead")), items, n_jobs=None, batch=2)) == items
    assert (tmp_path / "dead").exists()
    on_cluster.wait_for_workers(2, timeout=60)
    vec = words(n_jobs=1).fit(paths)
    many, victims = paths * 30, []
    pids = list(on_cluster.run(os.getpid).values())

    def kill(_):
        if not victims:
            victims.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    made = in_order(vec.transform, [[path] for path in many], n_jobs=None, batch=2)
    vectors = [vector for i, vector in enumerate(made) if i != 20 or kill(i) is None]
    assert victims
    np.testing.assert_array_equal(np.concatenate(vectors), np.tile(alone, (30, 1)))


def test_a_slow_worker_holds_up_none_and_changes_nothing(on_cluster):
    slow = next(iter(on_cluster.run(os.getpid).values()))
    assert list(in_order(partial(slowly, where=slow), range(40), n_jobs=None, batch=1)) == list(range(40))


def test_a_task_that_kills_every_worker_is_an_error(on_cluster, monkeypatch):
    on_cluster.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    with pytest.raises(spm.SpmError, match="every worker that tried this task was lost"):
        list(in_order(die, [1], n_jobs=None))
    on_cluster.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 3))


def test_a_bad_image_is_named_and_the_rest_is_given_up(on_cluster, paths):
    with pytest.raises(spm.ImageError, match=r"missing\.png"):
        words().fit(paths).transform([*paths, "missing.png"])


def test_what_cannot_be_sent_is_said_before_any_work(on_cluster):
    lock = threading.Lock()
    with pytest.raises(spm.SpmError, match="cannot be sent to the workers"):
        list(in_order(lambda x: lock and x, [1], n_jobs=None))


def without(name):
    """Let a worker lack a package, and all that was imported of it."""

    def take_away():
        import sys

        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]
        sys.modules[name] = None

    return take_away


def needs_a_package(x):
    import colorsys  # a module of Python's that nobody else asks for

    return colorsys.rgb_to_hsv(x, x, x)


def test_a_worker_that_lacks_a_package_says_so(on_cluster):
    on_cluster.run(without("colorsys"))
    with pytest.raises(spm.errors.MissingDependencyError, match=r"on the worker .*colorsys.*every machine needs"):
        list(in_order(needs_a_package, [1], n_jobs=None))


def test_a_worker_that_lacks_spm_says_so(on_cluster):
    on_cluster.run(without("spm"))
    try:
        with pytest.raises(spm.errors.MissingDependencyError, match="a worker cannot import spm"):
            list(in_order(square, [1, 2], n_jobs=None))
    finally:
        on_cluster.restart()


def test_another_spm_is_refused_and_other_versions_are_named(on_cluster, monkeypatch, caplog):
    ours = _cluster.made_with()
    monkeypatch.setattr(_cluster, "made_with", lambda: {**ours, "numpy": "1.0"})
    assert list(in_order(square, range(4), n_jobs=None, batch=1)) == [0, 1, 4, 9]
    (line,) = [record.getMessage() for record in caplog.records if "numpy" in record.getMessage()]
    assert "(here it is 1.0)" in line
    monkeypatch.setattr(_cluster, "made_with", lambda: {**ours, "spm": "99"})
    with pytest.raises(spm.SpmError, match="the caller 99: install one version everywhere"):
        list(in_order(square, [1], n_jobs=None))


def until(true, seconds=60):
    """Wait until something is so, or for a minute."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)


def test_without_a_worker_left_it_waits_and_says_so_and_without_a_scheduler_it_ends(monkeypatch, caplog):
    def said():
        return any("no worker left" in record.getMessage() for record in caplog.records)

    monkeypatch.setattr(_cluster, "SILENCE", 0.3)
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(**options, silence_logs=60) as own,
        distributed.Client(own) as client,
        joblib.parallel_config(backend="dask", client=client),
    ):
        made = in_order(slowly, range(12), n_jobs=None, batch=1)
        assert next(made) == 0
        own.scale(0)
        until(lambda: not client.ncores())  # what is not sent yet finds no worker
        back = threading.Thread(target=lambda: (until(said), own.scale(1)))
        back.start()
        assert list(made) == list(range(1, 12))
        assert said()
        made = in_order(slowly, range(12), n_jobs=None, batch=1)
        assert next(made) == 0
        own.close()
        with pytest.raises(spm.SpmError, match="the cluster is lost"):
            list(made)


def test_a_cluster_without_workers_is_an_error():
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=60) as empty,
        distributed.Client(empty),
        joblib.parallel_config(backend="dask", wait_for_workers_timeout=0.1),
        pytest.raises(spm.SpmError, match="the cluster has no worker: start one"),
    ):
        list(in_order(square, [1], n_jobs=None))


def test_without_the_extra_nothing_of_it_is_loaded():
    code = "import sys, spm, joblib; spm.PyramidVectorizer; print({'dask', 'distributed'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
