"""Fisher vectors: 10,000 descriptors of 64 values, 256 Gaussians, one cell, one thread, beside scikit-image."""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
from _common import keep, scene15, table
from skimage.feature import fisher_vector
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import spm
from spm._tools.parallel import single_threaded


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    sift = spm.DenseSIFT(patch_size=(16, 24, 32, 44), step=4, root=True)
    images = scene15()[0]
    sample = np.concatenate([sift.extract(path).values[::20] for path in images[::45]])
    pca = PCA(64, random_state=0).fit(sample)
    fisher = spm.FisherVector(n_words=256, random_state=0, n_jobs=-1).fit(pca.transform(sample))
    theirs = GaussianMixture(256, covariance_type="diag")
    theirs.weights_, theirs.means_, theirs.covariances_ = fisher.mixture_weights_, fisher.means_, fisher.variances_
    theirs.precisions_cholesky_ = 1 / np.sqrt(fisher.variances_)
    local = sift.extract(images[0])
    local = spm.LocalFeatures(pca.transform(local.values)[:10_000], local.extents[:10_000], local.grid)
    values, pyramid = (
        np.ascontiguousarray(local.values, dtype=np.float32),
        spm.SpatialPyramid(levels=(1,), weights=None),
    )

    def ours() -> np.ndarray:
        return fisher.finish(pyramid.cells(local, codes=fisher.encode(values)))[0, 0]

    def scikit_image() -> np.ndarray:
        return fisher_vector(values, theirs)[256:]

    moments, coefficients = np.ones((len(values), 129), np.float32), np.ones((129, 256), np.float32)
    shares = np.ones((len(values), 256), np.float32)

    def products() -> tuple[np.ndarray, np.ndarray]:
        return moments @ coefficients, shares.T @ moments  # what shares and statistics cost written out

    ways = {"spm": ours, "scikit-image": scikit_image, "the two matrix products": products}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with single_threaded():
        found, expected = ours(), scikit_image()
        products()
        for _ in range(runs):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
    error = np.linalg.norm(np.abs(found) - np.abs(expected)) / np.linalg.norm(expected)
    ratios = [b / a for a, b in zip(seconds["spm"], seconds["scikit-image"], strict=True)]
    bare = [a / b for a, b in zip(seconds["spm"], seconds["the two matrix products"], strict=True)]
    rows = [[name, f"{1000 * median(times):.1f}"] for name, times in seconds.items()]
    work = 2 * 129 * 256 * len(values) / 1e9
    note = (
        f"{len(values):,} descriptors, {runs} runs in turn. scikit-image / spm: median {median(ratios):.1f}, least "
        f"{min(ratios):.1f}. Relative difference of the vectors {error:.1e} (scikit-image has the gradients of the "
        f"variances negated). spm / the bare products of the same shapes ({work:.2f} G multiplications): median "
        f"{median(bare):.2f}, most {max(bare):.2f}; shares below 1e-5, left out, save most of the second."
    )
    keep("fisher", "Fisher vectors against scikit-image", table(["way", "ms"], rows), note)


if __name__ == "__main__":
    main()
