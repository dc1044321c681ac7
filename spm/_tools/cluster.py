"""A cluster of Dask's: a function and batches of items in, what its workers make of each batch, in order, out.

The function travels once, as a parcel that the scheduler keeps, so that a worker which takes over from a lost one gets
it too. A batch travels with its task, and what comes of it travels back. Both are bytes on their way: a worker that
cannot read a message of Dask's loses its connection, and is never heard of again. For the same reason joblib's own way
to Dask is not taken: it waits forever for a task that could not be read, or whose workers were all lost.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from ..errors import MissingDependencyError, SpmError
from .libraries import made_with

T = TypeVar("T")

AHEAD = 8  # tasks under way for each worker: one that is so many times slower than the others holds up none of them
MOST_PER_TASK, TASKS_EACH = 256, 4  # items in a task at most, and tasks of a worker at least, where there are many
SILENCE = 60.0  # seconds without a result until it is looked whether any worker is left
OPEN = 4  # functions that a worker holds ready
EVERYWHERE = "(every machine needs what is installed on the caller's)"

log = logging.getLogger(__name__)
_open: OrderedDict[str, Callable[[Any], Any]] = OrderedDict()
_lock = threading.Lock()


class Parcel(NamedTuple):
    """A function as bytes, what tells it from others, and the versions of what it was made with."""

    digest: str
    content: bytes
    versions: dict[str, str]

    @classmethod
    def of(cls, work: Callable[[list[Any]], Any]) -> Parcel:
        """Return a function as a parcel."""
        content = _bytes_of(work)
        return cls(hashlib.blake2b(content, digest_size=16).hexdigest(), content, made_with())


def is_cluster(backend: Any) -> bool:
    """Return whether a back-end of joblib's is a Dask cluster."""
    return hasattr(backend, "client") and hasattr(backend, "submit_kwargs")


def items_per_task(total: int, backend: Any) -> int:
    """Return how many items go into one task."""
    return min(max(total // (TASKS_EACH * _workers(backend)), 1), MOST_PER_TASK)


def from_cluster(work: Callable[[list[Any]], T], batches: Iterable[list[Any]], backend: Any) -> Iterator[T]:
    """Yield what `work` makes of each batch, in order.

    Raises
    ------
    SpmError
        Where a function or an item cannot be sent, a worker lacks a package or has another version of spm, no worker
        is there, or all that tried one task were lost.
    """
    client, options = backend.client, backend.submit_kwargs
    ahead = AHEAD * _workers(backend)
    parcel, task = Parcel.of(work), _task()
    waiting: deque[Any] = deque()
    told: set[str] = set()
    with backend.retrieval_context(), _lost(client):  # a task that waits for others leaves its place to them
        sent = client.submit(tuple, list(parcel), key=f"spm-{parcel.digest}", **options)
        for batch in batches:
            waiting.append(client.submit(task, sent, _bytes_of(batch), pure=False, **options))
            if len(waiting) == ahead:
                yield _result(waiting.popleft(), client, told)
        while waiting:
            yield _result(waiting.popleft(), client, told)


def _bytes_of(thing: Any) -> bytes:
    import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(thing)
    except Exception as error:
        raise SpmError(
            f"this cannot be sent to the workers ({type(error).__name__}: {error}): an option holds something of this "
            "process alone, such as an open file; give a path in its place, or work without a cluster"
        ) from error
    return content


def _task() -> Callable[[tuple[Any, ...], bytes], Any]:
    """Return what a worker is to call. Not a function of a module, it travels as code: the worker may lack spm."""

    def spm_task(parcel: tuple[Any, ...], batch: bytes) -> Any:
        try:
            from spm._tools.cluster import work_there
        except ImportError as error:
            return str(error)
        return work_there(parcel, batch)

    return spm_task


# on the worker


def work_there(told: tuple[Any, ...], batch: bytes) -> tuple[str, Any]:
    """Return how this worker differs from the caller, if it does, and what the function makes of a batch."""
    import joblib

    parcel = Parcel(*told)
    try:
        differs = _differences(parcel.versions, made_with())
        with joblib.parallel_config(backend="threading", n_jobs=1):  # what is inside is this worker's own
            return differs, _opened(parcel)(pickle.loads(batch))
    except ImportError as error:
        raise MissingDependencyError(f"on the worker {socket.gethostname()}: {error} {EVERYWHERE}") from error


def _opened(parcel: Parcel) -> Callable[[Any], Any]:
    """Return the function of a parcel, which is opened once."""
    with _lock:
        work = _open.pop(parcel.digest, None)
        if work is None:
            work = pickle.loads(parcel.content)
        _open[parcel.digest] = work
        while len(_open) > OPEN:
            _open.popitem(last=False)
    return work


def _differences(there: dict[str, str], here: dict[str, str]) -> str:
    """Return what of a worker's versions differs from the caller's; another spm is none to work with.

    Examples
    --------
    >>> _differences({"spm": "1", "cv2": "5.0"}, {"spm": "1", "cv2": "4.9"})[-28:]
    'has cv2 4.9 (here it is 5.0)'
    """
    host = socket.gethostname()
    if there["spm"] != here["spm"]:
        raise SpmError(
            f"the worker {host} has spm {here['spm']}, the caller {there['spm']}: install one version everywhere"
        )
    names = sorted(name for name in there if here.get(name) not in (None, there[name]))
    differ = ", ".join(f"{name} {here[name]} (here it is {there[name]})" for name in names)
    return f"the worker {host} has {differ}" if differ else ""


# at the caller


def _workers(backend: Any) -> int:
    """Return how many tasks the cluster works on at once; the first worker is waited for."""
    try:
        return max(int(backend.effective_n_jobs(-1)), 1)
    except TimeoutError as error:
        raise SpmError(f"the cluster has no worker: start one, or give wait_for_workers_timeout ({error})") from error


@contextmanager
def _lost(client: Any) -> Iterator[None]:
    """Tell what befalls the cluster itself in spm's words."""
    from distributed import CancelledError

    try:
        yield
    except SpmError:
        raise
    except Exception as error:
        of_the_cluster = isinstance(error, CancelledError) or type(error).__module__.startswith("distributed")
        if not of_the_cluster and client.status == "running":  # one that has ended raises what it likes
            raise
        raise SpmError(
            f"the cluster is lost ({type(error).__name__}: {error}): are its scheduler and this client still there?"
        ) from error


def _result(future: Any, client: Any, told: set[str]) -> Any:
    """Return what a task gave; what can befall it on its way is told in spm's words."""
    from distributed import KilledWorker, TimeoutError, wait

    while not future.done():
        try:
            wait([future], timeout=SILENCE)
        except TimeoutError:
            if not client.ncores():
                log.warning("the cluster has no worker left: the work goes on as soon as there is one")
    try:
        answer = future.result()
    except KilledWorker as error:
        raise SpmError(
            f"{error}: every worker that tried this task was lost. Is the memory of a worker too small for its "
            "images? The workers' logs say more"
        ) from error
    if isinstance(answer, str):
        raise MissingDependencyError(f"a worker cannot import spm: {answer} {EVERYWHERE}")
    differs, result = answer
    if differs and differs not in told:
        told.add(differs)
        log.warning("%s: its results may differ in their last bits, and where it reads images in more", differs)
    return result
