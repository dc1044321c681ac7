"""A cluster on this machine: its speed beside one worker's, what a task costs and moves, and workers that are killed.

    python benchmarks/cluster.py [N_IMAGES] [RUNS]        400 and 3 by default

Speeds are CPU-bound: with other work on the machine they say little. The loads are told beside them.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cloudpickle
import dask
import joblib
import numpy as np
from _common import keep, scene15, table
from distributed import Client, LocalCluster

import spm
from spm._tools.cluster import Parcel
from spm._tools.parallel import in_order
from spm.codebooks.kmeans import BLOCK, _accumulate
from spm.codebooks.source import GROUP, Filed, add
from spm.features.stream import DescriptorFiles

TASKS, MEGABYTES, IMAGES = 200, 60, 256


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begin = clock()
    work()
    return clock() - begin


def under(config: dict[str, object], vec: spm.PyramidVectorizer, paths: list[str]) -> np.ndarray:
    with joblib.parallel_config(**config):
        return vec.transform(paths)


def speeds(vec: spm.PyramidVectorizer, paths: list[str], runs: int, clients: dict[int, Client]) -> list[list[object]]:
    """Return the seconds of one and of two workers, the least of several runs in turn."""
    rows: list[list[object]] = []
    for name in ("dask", "loky"):
        own = {n: {"backend": name, **({"client": clients[n]} if name == "dask" else {"n_jobs": n})} for n in (1, 2)}
        for n in (1, 2):
            under(own[n], vec, paths[:16])  # what is imported and compiled once
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(runs):
            for n in (1, 2):
                seconds[n].append(timed(partial(under, own[n], vec, paths)))
        one, two = min(seconds[1]), min(seconds[2])
        rows.append([name, f"{one:.2f}", f"{two:.2f}", f"{one / two:.2f}"])
    return rows


def nothing(_: object) -> None:
    return None


def a_megabyte(_: object) -> np.ndarray:
    return np.ones(2**18, dtype=np.float32)


def constants(vec: spm.PyramidVectorizer, paths: list[str], client: Client) -> list[list[object]]:
    """Return what a task takes and moves."""
    with joblib.parallel_config(backend="dask", client=client):
        list(in_order(nothing, range(20), n_jobs=None, batch=1))
        clock = time.process_time  # of the caller and the scheduler, which here are one process
        seconds = timed(lambda: list(in_order(nothing, range(TASKS), n_jobs=None, batch=1)), clock) / TASKS
        back = timed(lambda: [None for _ in in_order(a_megabyte, range(MEGABYTES), n_jobs=None, batch=1)], clock)
        back = back / MEGABYTES - seconds
    batch = (paths * IMAGES)[:IMAGES]
    vectors = vec.transform(paths[:1]).nbytes
    processor = timed(partial(vec.transform, paths), time.process_time)
    random = np.random.default_rng(0)
    values = random.random((GROUP, 128), dtype=np.float32)
    centers = values[:200].copy()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "0.npy"), values)
        files = Filed(DescriptorFiles([Path(folder, "0.npy")]), 1)
        fold = partial(files.fold, partial(_accumulate, centers=centers), add, BLOCK)
        fold()
        group = min(timed(fold, time.process_time) for _ in range(3))
        sums = sum(np.asarray(part).nbytes for part in fold())
    return [
        ["CPU ms an image, file to vector, one worker", f"{1000 * processor / len(paths):.2f}"],
        ["CPU ms of caller and scheduler for a task that does nothing", f"{1000 * seconds:.1f}"],
        ["CPU ms of caller and scheduler for a result of 1 MB, beside that", f"{1000 * back:.1f}"],
        ["bytes of the function, once a pass", f"{len(Parcel.of(vec.transform).content):,}"],
        [f"bytes out with {IMAGES} paths", f"{len(cloudpickle.dumps(batch)):,}"],
        [f"bytes back with {IMAGES} vectors", f"{IMAGES * vectors:,}"],
        [
            f"CPU seconds of a pass of k-means over {GROUP:,} descriptors of 128 values in a file, 200 words",
            f"{group:.2f}",
        ],
        ["bytes read for it", f"{values.nbytes:,}"],
        ["bytes back of it", f"{sums:,}"],
    ]


def killed(vec: spm.PyramidVectorizer, paths: list[str], client: Client) -> list[object]:
    """Kill one of two workers in the middle of a pass, and then the other, and compare the vectors."""
    expected = under({"backend": "threading", "n_jobs": 2}, vec, paths)
    kills: list[int] = []

    def kill() -> None:
        for pause in (0.4, 1.2):
            time.sleep(pause)
            pid = client.run(os.getpid, workers=[next(iter(client.scheduler_info(-1)["workers"]))])
            kills.append(next(iter(pid.values())))
            os.kill(kills[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    many = paths * 3
    vectors = under({"backend": "dask", "client": client}, vec, many)
    thread.join()
    return [len(many), len(set(kills)), "yes" if np.array_equal(vectors, np.tile(expected, (3, 1))) else "NO"]


def main() -> None:
    n_images, runs = (int(given) for given in (*sys.argv[1:], *("400", "3")[len(sys.argv) - 1 :]))
    paths = scene15()[0][:: 4485 // n_images][:n_images]
    vec = spm.presets.lazebnik2006(random_state=0)[0].fit(paths[:100])
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 60, "memory_limit": 0}
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"}),  # a busy machine takes long to start one
        LocalCluster(n_workers=1, **options) as small,
        LocalCluster(n_workers=2, **options) as large,
        Client(small) as one,
        Client(large) as two,
    ):
        load = os.getloadavg()[0]
        rows = speeds(vec, paths, runs, {1: one, 2: two})
        costs = constants(vec, paths, two)
        lost = killed(vec, paths, two)
    keep(
        "cluster",
        "A cluster on one machine",
        f"{len(paths)} photographs of 15-Scene through `lazebnik2006`, files to vectors; the least of {runs} runs in "
        f"turn. Load of the machine before: {load:.1f}, on {os.cpu_count()} processors.",
        table(["back-end", "1 worker, s", "2 workers, s", "speed-up"], rows),
        table(["what", "measured"], costs),
        table(["images, of which workers are killed in the middle", "workers killed", "equal vectors"], [lost]),
    )


if __name__ == "__main__":
    main()
