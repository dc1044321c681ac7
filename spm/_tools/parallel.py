"""Work by several: a function and an iterable in, the results in order out, with progress and one BLAS thread each."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from .cluster import from_cluster, is_cluster, items_per_task
from .libraries import libraries_loaded
from .settings import usual_settings

T = TypeVar("T")
Finish = Callable[[list[Any], list[Any]], Sequence[Any]]

MOST_PER_TASK, TASKS = 8, 64  # items in one task at most, and tasks at least where there are so many items
PATIENCE = 10.0  # seconds to wait, after an error, for work under way

_lock = threading.Lock()
_depth = 0
_restore: list[Callable[[], None]] = []
_pools: Any = None  # threadpoolctl's view of the libraries
_pools_of: Any = None  # what was loaded when it was taken


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS and OpenCV to one thread each while any caller is inside.

    The limit is set by the first to enter and lifted by the last to leave, whichever thread that is: limits that
    overlap without a count would leave BLAS at one thread for good.
    """
    global _depth
    with _lock:
        if _depth == 0:
            _enter()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                while _restore:
                    _restore.pop()()


def _enter() -> None:
    global _pools, _pools_of
    from threadpoolctl import ThreadpoolController

    from .opencv import cv2

    loaded = libraries_loaded()
    if _pools is None or loaded != _pools_of:  # looking at all of them takes ten milliseconds where torch is loaded
        _pools, _pools_of = ThreadpoolController(), loaded
    _restore.append(partial(cv2.setNumThreads, cv2.getNumThreads()))
    cv2.setNumThreads(1)
    for library in _pools.select(user_api="blas").lib_controllers:
        # Since 3.8 threadpoolctl lets one thread alone set OpenBLAS, but the last to leave may be another.
        set_threads = getattr(library, "_real_set_num_threads", library.set_num_threads)
        _restore.append(partial(set_threads, library.num_threads))
        set_threads(1)


def _one_openmp_thread() -> Any:
    return _pools.limit(limits=1, user_api="openmp")  # this thread's alone


class _Workers:
    """The calls of one `in_order` under way in this process, which can be stopped and waited for.

    After an error the other threads are still at work, and one that is inside OpenCV when the interpreter
    ends aborts the process.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = 0
        self._stopped = False

    def __reduce__(self) -> tuple[type[_Workers], tuple[()]]:
        return _Workers, ()  # another process is not waited for

    def call(self, function: Callable[[Any], Any], finish: Finish | None, items: list[Any]) -> Sequence[Any]:
        """Return the function's results, finished, fewer when stopped."""
        results: list[Any] = []
        with self._changed:
            if self._stopped:  # a thread that woke late would set limits that nobody waits for
                return results
            self._busy += 1
        try:
            with single_threaded(), _one_openmp_thread(), usual_settings():
                for item in items:
                    if self._stopped:
                        break
                    results.append(function(item))
                return finish(items[: len(results)], results) if finish is not None and results else results
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def stop(self) -> None:
        """Let every call end after the item it is at, and wait for them, for so long as is bearable."""
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: self._busy == 0, timeout=PATIENCE)


def in_order(
    function: Callable[[Any], T],
    items: Iterable[Any],
    *,
    n_jobs: int | None,
    batch: int | None = None,
    finish: Finish | None = None,
    label: str = "",
    total: int | None = None,
    verbose: bool = False,
) -> Iterator[T]:
    """Yield ``function(item)`` for every item, in order, from workers.

    Workers are threads unless the caller's ``joblib.parallel_config`` says otherwise. Each has one BLAS thread; between
    two results, when none is at work, the caller has all of his. On a Dask cluster `n_jobs` does not count: it has as
    many workers as it has.

    Parameters
    ----------
    function : callable
        Takes one item. It must be picklable for back-ends of processes.
    items : iterable
        Taken as the work proceeds, never all at once.
    n_jobs : int or None
        As joblib means it.
    batch : int, optional
        Items per task. By default more than one where there are many, but never so many that a worker waits long for
        the last of a few slow ones.
    finish : callable, optional
        Takes the items of a task and what the function returned for each; returns what is yielded for each. Short
        steps are best done here, for several items at once: every call that lets go of Python's lock may have to wait
        until the other threads do.
    label, total, verbose
        A progress bar with that label appears on standard error after two seconds when `verbose`.
    """
    import joblib

    backend = joblib.parallel.get_active_backend(prefer="threads")[0]
    uses_threads = getattr(backend, "uses_threads", False)
    if batch is None and is_cluster(backend):
        batch = items_per_task(total or 1, backend)
    elif batch is None:
        batch = min(max((total or 1) // TASKS, 1), MOST_PER_TASK)
    batches = _batched(items, batch)
    if total == 1 and uses_threads:  # a pool and a bar take longer than the stages around a small image
        yield from _Workers().call(function, finish, list(items))
        return
    with progress_bar(label, total=total, unit="image", verbose=verbose) as bar:
        n_jobs = joblib.Parallel(n_jobs=n_jobs).n_jobs  # asked here: preferring threads forgets the caller's config
        workers = _Workers()
        work = partial(workers.call, function, finish)
        if uses_threads:
            done = _from_threads(work, batches, backend.effective_n_jobs(n_jobs))
        elif is_cluster(backend):
            done = from_cluster(work, batches, backend)
        else:
            done = _from_backend(work, batches, n_jobs)
        try:
            for results in done:
                yield from results
                bar.update(len(results))
        finally:
            workers.stop()


def _from_threads(work: Callable[[Any], T], batches: Iterable[Any], n_threads: int) -> Iterator[T]:
    """Yield what comes of the batches, in order. joblib's threads take a millisecond of every batch for themselves."""
    if n_threads == 1:
        yield from map(work, batches)
        return
    pool = ThreadPoolExecutor(n_threads)
    waiting: deque[Future[T]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(work, batch))
            if len(waiting) == 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _from_backend(work: Callable[[list[Any]], T], batches: Iterable[list[Any]], n_jobs: int) -> Iterator[T]:
    """Yield what comes of the batches, in order, from the back-end that the caller has chosen."""
    import joblib

    try:
        pool = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    except ValueError:  # a back-end that returns all at once only, such as "multiprocessing"
        pool = joblib.Parallel(n_jobs=n_jobs, prefer="threads")
    yield from pool(joblib.delayed(work)(batch) for batch in batches)


def in_threads(function: Callable[[Any], T], items: Iterable[Any], *, n_jobs: int | None) -> list[T]:
    """Return ``function(item)`` for every item, in order, from threads of this process, whatever the back-end.

    For short work on the caller's arrays, which no other process has: it starts at once where joblib polls.
    """
    return list(each_in_threads(function, items, n_jobs=n_jobs))


def each_in_threads(function: Callable[[Any], T], items: Iterable[Any], *, n_jobs: int | None) -> Iterator[T]:
    """Yield what `in_threads` returns, one by one, so that results that are folded are never all held."""
    items = list(items)
    n_threads = 1 if len(items) < 2 else min(_own_threads(n_jobs), len(items))
    if n_threads > 1:
        n_threads = min(n_threads, os.cpu_count() or 1)  # the question takes longer than a kernel of one small image
    with single_threaded():
        yield from _from_threads(function, items, max(n_threads, 1))


def _own_threads(n_jobs: int | None) -> int:
    """Return how many threads of this process `n_jobs` means; a cluster would tell the number of its own workers."""
    import joblib

    if not is_cluster(joblib.parallel.get_active_backend()[0]):
        return joblib.effective_n_jobs(n_jobs)
    with joblib.parallel_config(backend="threading"):
        return joblib.effective_n_jobs(-1 if n_jobs is None else n_jobs)


def progress_bar(label: str, *, total: int | None, unit: str, verbose: bool) -> Any:
    """Return a tqdm bar on standard error that appears after two seconds, and only when `verbose`."""
    from tqdm import tqdm

    return tqdm(desc=label, total=total, unit=unit, disable=not verbose, delay=2.0, leave=False)


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    part: list[Any] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
