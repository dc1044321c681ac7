"""Work in threads: results in order and as they come, one BLAS thread each, and everything as it was afterwards."""

import subprocess
import sys
import threading
import time
from functools import partial

import cv2
import joblib
import numpy as np
import pytest
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_info, threadpool_limits

from spm._tools import parallel as _parallel
from spm._tools.libraries import libraries_loaded
from spm._tools.parallel import in_order, in_threads, progress_bar, single_threaded


def blas_threads():
    """The threads of every BLAS library in the process that can have several, and OpenCV's."""
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    several = [library for library in libraries if library["threading_layer"] != "disabled"]
    return [library["num_threads"] for library in several] + [cv2.getNumThreads()]


def openmp_threads():
    """The threads that OpenMP would start from the calling thread, as scikit-learn asks for them."""
    return _openmp_effective_n_threads()


@pytest.fixture(autouse=True)
def two_threads_before_and_after():
    """Give every library two threads, so that a limit of one can be seen, and see that they are left so."""
    found = cv2.getNumThreads()
    with threadpool_limits(2):
        cv2.setNumThreads(2)
        before = blas_threads(), openmp_threads()
        assert set(before[0]) == {2} and len(before[0]) > 1
        yield
        assert (blas_threads(), openmp_threads()) == before
        assert _parallel._depth == 0
    cv2.setNumThreads(found)


def square(x):
    return x * x


def late(x):
    """The first items take longest."""
    time.sleep(0.02 if x % 4 == 0 else 0)
    return x


def fail_at(bad, x):
    if x == bad:
        raise ArithmeticError(f"item {x}")
    return x


def write(into, x):
    into[x] = x


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_results_come_in_order(n_jobs, batch):
    assert list(in_order(late, range(17), n_jobs=n_jobs, batch=batch)) == list(range(17))


def test_nothing_in_nothing_out():
    assert list(in_order(square, [], n_jobs=2)) == []


@pytest.mark.filterwarnings("ignore:.*tasks:UserWarning")  # joblib's, about what is given up
@pytest.mark.parametrize(("n_jobs", "most"), [(1, 1), (2, 8)])
def test_items_are_taken_as_the_work_proceeds(n_jobs, most):
    """Of a million items only those in work are taken; joblib sends out twice as many as there are workers."""
    taken, gate = [], threading.Event()

    def items():
        for x in range(1_000_000):
            taken.append(x)
            yield x

    def wait_behind_the_first(x):
        return x == 0 or gate.wait(10)

    results = in_order(wait_behind_the_first, items(), n_jobs=n_jobs)
    assert taken == []
    next(results)
    in_work = len(taken)
    gate.set()
    results.close()
    assert in_work <= most


# --- threads ----------------------------------------------------------------------------------------------------------


def see(_):
    return blas_threads()


def see_openmp(_):
    return openmp_threads()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_inside_every_library_has_one_thread(n_jobs):
    for inside in in_order(see, range(4), n_jobs=n_jobs):
        assert set(inside) == {1}
    assert list(in_order(see_openmp, range(4), n_jobs=n_jobs)) == [1] * 4


def test_limits_are_counted():
    with single_threaded():
        with single_threaded():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


def test_limits_that_overlap_in_two_threads_are_lifted_by_the_last():
    """First in is first out: with plain nested limits the second would restore the first one's limit, for good."""
    second_in, first_out = threading.Event(), threading.Event()
    seen = {}

    def first():
        with single_threaded():
            second_in.wait(10)
        seen["after the first left"] = blas_threads()
        first_out.set()

    def second():
        with single_threaded():
            second_in.set()
            first_out.wait(10)
            seen["in the second"] = blas_threads()

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen["after the first left"]) == set(seen["in the second"]) == {1}


def test_two_loops_at_once_leave_the_limits_as_they_were():
    loops = [in_order(square, range(5), n_jobs=2), in_order(square, range(5), n_jobs=1)]
    assert [next(loop) for loop in loops] == [0, 0]
    assert [list(loop) for loop in loops] == [[1, 4, 9, 16]] * 2


def idle():
    """Wait until no worker is at work."""
    for _ in range(1000):
        if _parallel._depth == 0:
            return
        time.sleep(0.01)
    pytest.fail("workers do not end")


def test_between_results_the_caller_has_all_threads():
    for inside in in_order(see, range(20), n_jobs=1, batch=2):
        assert set(inside) == {1}
        assert set(blas_threads()) == {2}


def test_libraries_are_looked_at_once_until_another_is_loaded(monkeypatch):
    monkeypatch.setattr(_parallel, "_pools", None)
    seen = []
    for loaded in (1, 1, 2, 2):
        monkeypatch.setattr(_parallel, "libraries_loaded", lambda loaded=loaded: loaded)
        with single_threaded():
            assert set(blas_threads()) == {1}
            seen.append(_parallel._pools)
    assert seen[0] is seen[1] is not seen[2] is seen[3]


def test_a_library_that_is_loaded_is_seen():
    before = libraries_loaded()
    assert libraries_loaded() == before
    code = "from spm._tools.libraries import libraries_loaded as l; a = l(); import numpy.linalg; print(a != l())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_work_inside_work():
    def outer(x):
        return sum(in_order(square, range(x), n_jobs=2))

    assert list(in_order(outer, range(4), n_jobs=2)) == [0, 0, 1, 5]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("bad", [0, 7])
def test_an_error_comes_out_and_lifts_the_limits(n_jobs, bad):
    with pytest.raises(ArithmeticError, match=f"item {bad}"):
        list(in_order(partial(fail_at, bad), range(50), n_jobs=n_jobs))
    assert set(blas_threads()) == {2}


def with_items(items, results):
    return [(item, result, len(items)) for item, result in zip(items, results, strict=True)]


def test_work_that_begins_after_the_end_touches_nothing(monkeypatch):
    """A thread can have taken its batch and not yet begun when another one's error ends the loop."""
    workers = _parallel._Workers()
    assert workers.call(square, None, [1, 2]) == [1, 4]
    workers.stop()
    monkeypatch.setattr(_parallel, "_enter", partial(pytest.fail, "limits were set"))
    assert workers.call(square, None, [1, 2]) == []


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("n", [1, 5, 200])
def test_what_a_task_has_is_finished_together(backend, n):
    with joblib.parallel_config(backend=backend):
        found = list(in_order(square, range(n), n_jobs=2, total=n, finish=with_items))
    assert [(item, result) for item, result, _ in found] == [(k, k * k) for k in range(n)]
    assert max(together for _, _, together in found) == (3 if n == 200 else 1)


def test_an_error_among_the_items_comes_out_too():
    def items():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(in_order(square, items(), n_jobs=1))


@pytest.mark.filterwarnings("ignore:.*tasks:UserWarning")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_loop_left_early_lifts_the_limits_when_its_last_worker_is_done(n_jobs):
    loop = in_order(late, range(50), n_jobs=n_jobs)
    assert next(loop) == 0
    loop.close()
    idle()
    assert set(blas_threads()) == {2}


def test_limits_that_cannot_be_set_are_tried_again(monkeypatch):
    def broken():
        raise ImportError("no OpenCV")

    with monkeypatch.context() as patch:
        patch.setattr(_parallel, "_enter", broken)
        for _ in range(2):
            with pytest.raises(ImportError, match="no OpenCV"), single_threaded():
                pass
    with single_threaded():
        assert set(blas_threads()) == {1}


# --- threads of this process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_threads_share_the_callers_arrays_whatever_the_back_end(n_jobs):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        written = np.zeros(6)
        in_threads(partial(write, written), range(6), n_jobs=n_jobs)
        assert written.tolist() == list(range(6))
    assert in_threads(square, range(6), n_jobs=n_jobs) == [0, 1, 4, 9, 16, 25]
    assert in_threads(square, [], n_jobs=n_jobs) == []
    assert [set(inside) for inside in in_threads(see, range(2), n_jobs=n_jobs)] == [{1}, {1}]


def test_threads_are_as_many_as_asked_and_their_errors_come_through():
    assert len(set(in_threads(who, range(6), n_jobs=2))) == 2
    with joblib.parallel_config(n_jobs=2):
        assert len(set(in_threads(who, range(6), n_jobs=None))) == 2
    assert len(set(in_threads(who, range(6), n_jobs=None))) == 1
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // item, range(3), n_jobs=2)


# --- the caller's configuration ---------------------------------------------------------------------------------------


def who(_):
    time.sleep(0.05)
    return threading.get_ident()


def test_the_callers_number_of_workers_counts():
    """joblib itself forgets it where it is told to prefer threads."""
    with joblib.parallel_config(n_jobs=2):
        assert len(set(in_order(who, range(6), n_jobs=None))) == 2
        assert len(set(in_order(who, range(6), n_jobs=1))) == 1
    assert len(set(in_order(who, range(6), n_jobs=None))) == 1


def test_workers_are_threads_by_default_and_processes_where_asked():
    shared = np.zeros(6)
    list(in_order(partial(write, shared), range(6), n_jobs=2))
    assert shared.tolist() == list(range(6))
    with joblib.parallel_config(backend="loky", n_jobs=2):
        shared[:] = 0
        assert list(in_order(square, range(6), n_jobs=None)) == [0, 1, 4, 9, 16, 25]
        list(in_order(partial(write, shared), range(6), n_jobs=None))
        assert not shared.any()
        assert [set(inside) for inside in in_order(see, range(2), n_jobs=None)] == [{1}, {1}]


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_is_silent_unless_asked_and_at_first(capsys):
    list(in_order(square, range(3), n_jobs=1, label="quiet"))
    list(in_order(square, range(3), n_jobs=1, label="short", total=3, verbose=True))
    assert capsys.readouterr().err == ""


def test_progress_counts_items_on_standard_error(capsys):
    with progress_bar("vectors", total=5, unit="image", verbose=True) as bar:
        bar.start_t -= 10  # as if ten seconds had passed
        bar.last_print_t -= 10
        bar.update(5)
    shown = capsys.readouterr()
    assert "vectors" in shown.err and "5/5" in shown.err and shown.out == ""
