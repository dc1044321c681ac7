"""Figures: what is on them, where it lies, and that it can be read; the clear error where it cannot be drawn."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

import spm
from spm import plots
from spm.evidence.voting import feature_votes, votes
from spm.plots.pictures import _draw_histograms
from spm.plots.verdicts import _draw_list

matplotlib = pytest.importorskip("matplotlib", minversion="3.7")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

FIGURES = sorted(plots.__all__)


@pytest.fixture(autouse=True)
def nothing_stays_open():
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="module")
def scenes():
    return spm.datasets.make_layouts(6, size=96, n_classes=3)


@pytest.fixture(scope="module")
def model(scenes):
    labels = np.array(scenes.target_names)[scenes.target]
    return spm.presets.lazebnik2006(n_words=12, levels=(1, 2, 4), random_state=0).fit(scenes.data, labels)


@pytest.fixture(scope="module")
def maps():
    return spm.presets.spp2014()[0].features


def texts(ax):
    return [text.get_text() for text in ax.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def rectangles(collection):
    """Return x0, y0, x1, y1 of every polygon of a collection."""
    corners = np.array([path.vertices[:4] for path in collection.get_paths()])
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


def check_readable(figure, *, overlap=True):
    """Nothing is cut off, and no two texts of an axes overlap."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for ax in figure.axes:
        shown = [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        if ax.get_legend() is not None:
            shown += ax.get_legend().get_texts()
        shown = [text for text in shown if text.get_text() and text.get_visible()]
        boxes = [text.get_window_extent(renderer) for text in shown]
        for text, box in zip(shown, boxes, strict=True):
            inside = box.x0 > -1 and box.y0 > -1 and box.x1 < figure.bbox.x1 + 1 and box.y1 < figure.bbox.y1 + 1
            assert inside, f"{text.get_text()!r} is cut off"
        for i, box in enumerate(boxes if overlap else ()):
            for text, other in zip(shown[:i], boxes[:i], strict=True):
                width = min(box.x1, other.x1) - max(box.x0, other.x0)
                height = min(box.y1, other.y1) - max(box.y0, other.y0)
                assert min(width, height) < 1.5, f"{text.get_text()!r} and {shown[i].get_text()!r} overlap"


# Pyramid


def test_pyramid_draws_every_level_and_histogram(scenes, model):
    axes = plots.pyramid(scenes.data[0], model, n_channels=5)
    assert axes.shape == (2, 3)
    assert [ax.get_title() for ax in axes[0]] == ["1 × 1, weight 0.25", "2 × 2, weight 0.25", "4 × 4, weight 0.5"]
    vector = model[0].transform(scenes.data[:1])[0].reshape(21, 12)
    most = np.argsort(-vector.sum(axis=0), kind="stable")[:5]
    assert ticks(axes[1, 0].xaxis) == [f"word{word}" for word in most]
    for level, (n, cells) in enumerate(zip((1, 2, 4), np.split(vector[:, most], [1, 5]), strict=True)):
        assert axes[0, level].images[0].get_extent() == [0, 96, 96, 0]
        (bars,) = axes[1, level].containers
        assert len(bars) == n * n * 5
        heights = -np.array([bar.get_height() for bar in bars])
        np.testing.assert_allclose(heights / heights.max(), cells.ravel() / cells.max(), atol=1e-6)
        across, down = np.array([(bar.get_x() + bar.get_width() / 2, bar.get_y() - 0.01) for bar in bars]).T
        i, j, _ = np.indices((n, n, 5)).reshape(3, -1)
        np.testing.assert_array_equal(across * n // 96, j)
        np.testing.assert_array_equal(down * n // 96, i)
    check_readable(axes[0, 0].figure)


def test_a_pyramid_alone_has_no_histograms():
    axes = plots.pyramid(np.zeros((30, 60), np.uint8), spm.SpatialPyramid(levels=(1, (3, 1)), weights=None))
    assert axes.shape == (1, 2)
    for ax, lines in zip(axes[0], (4, 6), strict=True):  # the border's, and the inner ones
        dark, light = ax.collections
        assert len(dark.get_segments()) == len(light.get_segments()) == lines
    heights = sorted({segment[0][1] for segment in light.get_segments() if segment[0][1] == segment[1][1]})
    assert heights == [0, 10, 20, 30]


def test_signed_values_have_their_zero_in_the_middle(scenes):
    vec = spm.PyramidVectorizer(features=spm.presets.spp2014()[0].features, norm="l2").fit(scenes.data[:2])
    ax = plt.figure().subplots()
    _draw_histograms(ax, np.array([[[1.0, -1.0]]]), ["a", "b"], (10, 10), (0, 0, 10, 10))
    up, down = ax.containers[0]
    assert up.get_y() == down.get_y() == 5
    assert up.get_height() == pytest.approx(-4.3) and down.get_height() == pytest.approx(4.3)  # y runs down
    assert plots.pyramid(scenes.data[0], vec).shape == (2, 3)


# Vocabulary


def test_words_shows_a_mean_and_the_nearest_patches(scenes, model):
    ax = plots.words(model, scenes.data, words=[3, 0], n_nearest=4)
    assert len(ax.images) == 2 * 5
    vec = model[0]
    found = []
    for image in scenes.data:
        local = vec.features_.extract(image)
        word = vec.encoder_.encode(local.values).words[:, 0]
        grey = spm.images.read_image(image, "grey")
        for value, (x, y, *_), k in zip(local.values, local.extents.astype(int), word, strict=True):
            if k in (3, 0):
                distance = np.square(value - vec.encoder_.words_[k]).sum()
                found.append((k, distance, grey[y - 8 : y + 8, x - 8 : x + 8]))
    for row, word in enumerate((3, 0)):
        mine = sorted((each[1:] for each in found if each[0] == word), key=lambda each: each[0])
        assert texts(ax)[row] == f"word {word} ({len(mine)})"
        mean = sum((patch - patch.mean()) / max(patch.std(), 1) for _, patch in mine)
        shown = [ax.images[5 * row + k].get_array() for k in range(5)]
        for patch, drawn in zip([mean, *(patch for _, patch in mine[:4])], shown, strict=True):
            assert drawn.shape == (16, 16)
            if patch.std() > 0:
                assert np.corrcoef(patch.ravel(), drawn.ravel())[0, 1] > 0.999
    lefts = [image.get_extent()[0] for image in ax.images[:5]]
    assert lefts == sorted(lefts) and lefts[0] == 0
    check_readable(ax.figure)


def test_words_are_by_default_the_most_frequent_and_may_have_few_patches(scenes, model):
    every = plots.words(model, scenes.data[:3], words=12, n_nearest=1)
    counts = [int(text.split("(")[1][:-1]) for text in texts(every)[:12]]
    assert counts == sorted(counts, reverse=True) and sum(counts) == 3 * 11 * 11
    few = plots.words(model, scenes.data[:1], words=12, n_nearest=30)
    counts = [int(text.split("(")[1][:-1]) for text in texts(few)[:12]]
    assert len(few.images) == sum(1 + min(count, 30) for count in counts)


def test_words_of_several_sizes_are_cut_at_their_own_size(scenes):
    features = spm.DenseSIFT(patch_size=(12, 24), step=8)
    vec = spm.PyramidVectorizer(features=features, encoder=spm.BagOfWords(n_words=4), random_state=0)
    vec.fit(scenes.data[:4])
    ax = plots.words(vec, scenes.data[:4], words=4, n_nearest=40)
    sizes = {image.get_array().shape for image in ax.images}
    assert sizes == {(12, 12), (24, 24)}
    assert ax.images[0].get_array().shape == (12, 12)  # the mean
    local = vec.features_.extract(scenes.data[0])
    small = len(plots.word_map(scenes.data[0], vec).collections[0].get_paths())
    large = len(plots.word_map(scenes.data[0], vec, patch_size=24).collections[0].get_paths())
    assert small + large == len(local) and small > large


def test_word_map_colours_every_patch(scenes, model):
    ax = plots.word_map(scenes.data[0], model)
    local = model[0].features_.extract(scenes.data[0])
    word = model[0].encoder_.encode(local.values).words[:, 0]
    (collection,) = ax.collections
    np.testing.assert_array_equal(rectangles(collection), local.extents + np.array([-4, -4, 4, 4]))
    colours = collection.get_facecolors()
    assert all(len(np.unique(colours[word == k], axis=0)) == 1 for k in np.unique(word))
    assert len(np.unique(colours, axis=0)) == len(np.unique(word))
    assert ax.get_title() == f"121 patches, {len(np.unique(word))} of 12 words"
    check_readable(ax.figure)


def test_word_map_of_some_words_names_them(scenes, model):
    ax = plots.word_map(scenes.data[0], model, words=[5, 2])
    local = model[0].features_.extract(scenes.data[0])
    word = model[0].encoder_.encode(local.values).words[:, 0]
    drawn = np.isin(word, (5, 2))
    assert len(ax.collections[0].get_paths()) == drawn.sum()
    expected = matplotlib.colors.to_rgba_array([plots._axes.COLOURS[0 if k == 5 else 1] for k in word[drawn]])
    np.testing.assert_allclose(ax.collections[0].get_facecolors()[:, :3], expected[:, :3])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["word 5", "word 2"]
    check_readable(ax.figure)


def test_word_map_draws_words_over_maps_and_words_without_vectors(scenes, maps):
    vec = spm.PyramidVectorizer(features=maps, encoder=spm.BagOfWords(n_words=4), random_state=0).fit(scenes.data[:4])
    local = maps.extract(scenes.data[0])
    found = rectangles(plots.word_map(scenes.data[0], vec).collections[0])
    assert len(found) == len(local)
    np.testing.assert_allclose(found[0, :2], local.offset[::-1], atol=1e-6)
    np.testing.assert_allclose(found[1] - found[0], [local.stride[1], 0, local.stride[1], 0], atol=1e-6)
    edges = spm.PyramidVectorizer(features=spm.EdgePoints(), encoder=spm.FixedVocabulary(n_words=16))
    ax = plots.word_map(scenes.data[0], edges.fit(scenes.data[:1]))
    assert np.ptp(rectangles(ax.collections[0])[0, 0::2]) == 1  # pixels


# Feature maps


def test_feature_map_lies_over_the_image(scenes, maps):
    local = maps.extract(scenes.data[0])
    axes = plots.feature_map(scenes.data[0], maps, channels=[7, 0], pyramid=spm.SpatialPyramid(levels=(1, 3)))
    assert axes.shape == (2, 3)
    rows, columns = local.grid
    left, top = local.offset[1], local.offset[0]
    extent = (left, left + columns * local.stride[1], top + rows * local.stride[0], top)
    for row in axes:
        np.testing.assert_array_equal(row[0].images[0].get_array(), scenes.data[0])
        for ax, channel in zip(row[1:], (7, 0), strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array().ravel(), local.values[:, channel])
            np.testing.assert_allclose(ax.images[0].get_extent(), extent)
            assert ax.get_xlim() == row[0].get_xlim() and ax.get_ylim() == row[0].get_ylim()
            assert ax.get_title().startswith(f"channel {channel}: ")
    assert [len(ax.patches) for ax in axes[:, 1]] == [1, 9]
    check_readable(axes[0, 0].figure)


def test_bins_are_those_that_are_pooled(maps, scenes):
    local = maps.extract(scenes.data[0])
    ax = plots.feature_map(scenes.data[0], maps, channels=1, pyramid=spm.SpatialPyramid(levels=(5,)))[0, 1]
    rows, columns = local.grid
    for k, patch in enumerate(ax.patches):
        i, j = divmod(k, 5)
        x = (patch.get_x() + patch.get_width() / 2 - local.offset[1]) / local.stride[1]
        y = (patch.get_y() + patch.get_height() / 2 - local.offset[0]) / local.stride[0]
        assert x == pytest.approx((j * columns // 5 - (-(j + 1) * columns // 5)) / 2)
        assert y == pytest.approx((i * rows // 5 - (-(i + 1) * rows // 5)) / 2)
        assert patch.get_width() < local.stride[1] * (-(-(j + 1) * columns // 5) - j * columns // 5)


def test_feature_map_takes_models_and_chooses_lively_channels(scenes, maps):
    vec = spm.PyramidVectorizer(features=maps, pyramid=spm.SpatialPyramid(levels=(1, 2), pool="max")).fit(
        scenes.data[:1]
    )
    axes = plots.feature_map(scenes.data[0], vec, channels=2)
    assert axes.shape == (2, 3)
    spread = maps.extract(scenes.data[0]).values.std(axis=0, dtype=np.float64)
    best = np.argsort(-spread)[:2]
    assert [ax.get_title().split(":")[0] for ax in axes[0, 1:]] == [f"channel {channel}" for channel in best]
    assert plots.feature_map(scenes.data[0], maps, channels=1).shape == (1, 2)


# Verdicts


def test_evidence_draws_the_votes_and_their_sum(scenes, model):
    label = model.classes_[1]
    picture, bars = plots.evidence(scenes.data[0], model, label, n_channels=6)
    found = votes(model, scenes.data[0], label)
    title = picture.get_title().replace("−", "-").split()
    assert float(title[1]) == pytest.approx(found.score, abs=0.006)
    assert float(title[3]) == pytest.approx(found.score - found.intercept, abs=0.006)
    over = picture.images[1].get_array()
    heat = found.heat()
    assert over.shape == (96, 96, 4)
    for_it = over[:, :, 0] > over[:, :, 2]  # orange
    np.testing.assert_array_equal(
        for_it[np.abs(heat) > 1e-3 * np.abs(heat).max()], (heat > 0)[np.abs(heat) > 1e-3 * np.abs(heat).max()]
    )
    assert np.unravel_index(over[:, :, 3].argmax(), heat.shape) == np.unravel_index(np.abs(heat).argmax(), heat.shape)
    numbers = [float(text.replace("−", "-")) for text in texts(picture)]
    assert numbers == pytest.approx(heat.reshape(4, 24, 4, 24).sum(axis=(1, 3)).ravel(), abs=0.006)
    assert ticks(bars.yaxis) == [name for name, _ in found.largest(6)]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([vote for _, vote in found.largest(6)])
    check_readable(picture.figure)


def test_evidence_of_one_level_and_of_features(scenes, model):
    found = votes(model, scenes.data[0])
    picture = plots.evidence(scenes.data[0], model, level=1)[0]
    numbers = [float(text.replace("−", "-")) for text in texts(picture)]
    assert numbers == pytest.approx(found.layers[0].levels()[1].ravel(), abs=0.006)
    picture = plots.evidence(scenes.data[0], model, by="feature")[0]
    [(local, shares)] = feature_votes(model, scenes.data[0])
    over = picture.images[1].get_array()
    for (x, y, *_), share in zip(local.extents.astype(int), shares, strict=True):
        if share:
            assert (over[y, x, 0] > over[y, x, 2]) == (share > 0)
    assert not over[:4, :, 3].any()  # no patch has its centre there
    assert over[4:92, 4:92, 3].max() == pytest.approx(0.8)


def test_evidence_of_a_level_that_one_pyramid_has(scenes):
    labels = np.array(scenes.target_names)[scenes.target]
    both = spm.presets.hybrid(n_words=4, random_state=0).fit(scenes.data, labels)
    found = votes(both, scenes.data[0])
    picture = plots.evidence(scenes.data[0], both, level=3)[0]
    numbers = [float(text.replace("−", "-")) for text in texts(picture)]
    assert [len(layer.grids) for layer in found.layers] == [3, 4]
    assert numbers == pytest.approx(found.layers[1].levels()[3].ravel(), abs=0.006)


def test_evidence_takes_one_axes_or_two(scenes, model):
    figure, ax = plt.subplots(figsize=(2.4, 2), layout="constrained")
    assert plots.evidence(scenes.data[0], model, ax=ax).tolist() == [ax]
    check_readable(figure, overlap=False)
    figure, pair = plt.subplots(2, 1, layout="constrained")
    assert plots.evidence(scenes.data[0], model, ax=pair).tolist() == pair.tolist()


@pytest.mark.parametrize("width", [2.4, 3.2])
def test_numbers_below_a_narrow_list_of_votes_stay_apart(width):
    for least in (-0.0605, -0.49, -13.0, 0.0):
        figure, ax = plt.subplots(figsize=(width, 2), layout="constrained")
        _draw_list(ax, [("word1", 0.0876), ("word2", least)])
        check_readable(figure)


def test_detections_have_boxes_and_names():
    boxes = [[10, 10, 60, 50], [12, 12, 62, 52], [70, 5, 99, 30]]
    ax = plots.detections(np.zeros((60, 100, 3), np.uint8), boxes, [0.5, 0.9, -0.25], ["cat", "cat", "dog"])
    drawn = [[*patch.get_xy(), patch.get_width(), patch.get_height()] for patch in ax.patches]
    assert drawn == [[70, 5, 29, 25], [10, 10, 50, 40], [12, 12, 50, 40]]  # the best on top
    assert texts(ax) == ["cat 0.90", "cat 0.50", "dog −0.25"]
    colours = [patch.get_edgecolor() for patch in ax.patches]
    assert colours[1] == colours[2] != colours[0]
    check_readable(ax.figure)


def test_names_of_detections_stay_apart_and_inside():
    boxes = np.array([[0, 0, 300, 200]] * 4 + [[250, 150, 300, 200]])
    ax = plots.detections(np.zeros((200, 300), np.uint8), boxes, np.linspace(0.1, 0.9, 5), ["thing"] * 5)
    ax.figure.canvas.draw()
    frame = ax.get_window_extent()
    places = [text.get_window_extent() for text in ax.texts]
    for k, place in enumerate(places):
        assert (
            frame.x0 - 1 < place.x0 and place.x1 < frame.x1 + 1 and frame.y0 - 1 < place.y0 and place.y1 < frame.y1 + 1
        )
        assert not any(place.overlaps(other) for other in places[:k])


def test_detections_without_scores_or_labels():
    image, box = np.zeros((40, 40), np.uint8), [[1, 1, 9, 9]]
    assert texts(plots.detections(image, box)) == []
    assert texts(plots.detections(image, box, labels=[3])) == ["3"]
    assert texts(plots.detections(image, box, scores=[1])) == ["1.00"]
    assert len(plots.detections(image, [], [], []).patches) == 0


# Results


def test_confusion_is_in_per_cent_of_each_true_class():
    result = spm.datasets.make_layouts(2)  # any Bunch
    result.confusion, result.classes = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 499]]), np.array(["a", "b", "c"])
    ax = plots.confusion(result)
    np.testing.assert_allclose(ax.images[0].get_array(), [[75, 25, 0], [0, 0, 0], [0.2, 0, 99.8]])
    assert [(t.get_text(), t.get_position()) for t in ax.texts] == [("75", (0, 0)), ("25", (1, 0)), ("100", (2, 2))]
    assert ax.get_title() == "87.4 % right, mean of the classes"
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == ["a", "b", "c"]
    assert ax.get_xlabel() == "predicted class" and ax.get_ylabel() == "true class"
    dark, light = ax.texts[2].get_color(), ax.texts[1].get_color()
    assert (dark, light) == ("white", "black")


@pytest.mark.parametrize("n", [2, 15])
def test_confusion_can_be_read(n):
    ax = plots.confusion(np.full((n, n), 2) + 50 * np.eye(n, dtype=int), [f"class number {k}" for k in range(n)])
    assert len(ax.texts) == n * n and ax.texts[0].get_fontsize() >= 6
    check_readable(ax.figure)


def test_small_axes_have_the_colours_alone():
    figure, ax = plt.subplots(figsize=(2.4, 2.4), layout="constrained")
    plots.confusion(np.eye(15), [f"some class {k}" for k in range(15)], ax=ax)
    assert texts(ax) == []
    check_readable(figure)


ROWS = [
    {"data": "layouts", "preset": preset, "levels": levels, "accuracy": accuracy, "std": 0.01, "values": values}
    | {"train_seconds": 1.0, "test_seconds": values / 100, "error": None}
    for preset, gain in (("lazebnik2006", 0.0), ("spp2014", 0.1))
    for levels, accuracy, values in (((1,), 0.5 + gain, 200), ((4,), 0.6 + gain, 3200), ((1, 2, 4), 0.7 + gain, 4200))
]


def lines(ax):
    """Return the points of every named line."""
    return {
        container.get_label(): [tuple(point) for point in container.lines[0].get_xydata().round(6).tolist()]
        for container in ax.containers
    }


def test_curve_against_levels_has_a_line_for_pyramids_and_one_for_single_levels():
    ax = plots.curve(ROWS[:3])
    assert lines(ax) == {"single level": [(0, 50), (1, 60)], "pyramid": [(0, 50), (1, 70)]}
    assert ticks(ax.xaxis) == ["1 × 1", "4 × 4"]
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([np.ptp(bar[:, 1]) for bar in bars], 2)  # one standard deviation to each side
    check_readable(ax.figure)
    alone = plots.curve(ROWS[:2])
    assert len(alone.containers) == 1 and alone.get_legend() is None
    assert list(lines(plots.curve(ROWS))) == [
        f"{preset}, {kind}" for preset in ("lazebnik2006", "spp2014") for kind in ("single level", "pyramid")
    ]


def test_curve_against_numbers_names_the_levels():
    ax = plots.curve(ROWS, x="values")
    assert lines(ax)["spp2014"] == [(200, 60), (3200, 70), (4200, 80)]
    assert texts(ax) == ["1", "4", "1+2+4"] * 2
    assert ax.get_xscale() == "log" and ticks(ax.xaxis)[0] == "200"
    assert ax.get_xlabel() == "values in a vector" and ax.get_ylabel() == "mean per-class accuracy (%)"
    check_readable(ax.figure, overlap=False)
    seconds = plots.curve(ROWS, x="seconds")
    assert lines(seconds)["lazebnik2006"] == [(3, 50), (33, 60), (43, 70)]
    other = plots.curve(ROWS, x="values", y="test_seconds")
    assert lines(other)["lazebnik2006"] == [(200, 2), (3200, 32), (4200, 42)]
    assert other.get_ylabel() == "seconds to test"


def test_curve_of_rows_without_levels():
    """Models of no pyramid have none: their points bear no name, their lines say so, and no grid can order them."""
    mixed = [{**ROWS[0], "levels": None, "values": 300}, *ROWS[1:3]]
    ax = plots.curve(mixed, x="values")
    assert list(lines(ax).values()) == [[(300, 50), (3200, 60), (4200, 70)]] and texts(ax) == ["4", "1+2+4"]
    against_words = plots.curve([{**row, "words": 10 * k} for k, row in enumerate(mixed, 1)], x="words")
    assert list(lines(against_words)) == ["no levels", "levels 4", "levels 1+2+4"]
    without = [{**row, "levels": None} for row in ROWS[:3]]
    assert texts(plots.curve(without, x="values")) == []
    for rows in (mixed, without):
        with pytest.raises(spm.SpmError, match="x='levels' is not an option"):
            plots.curve(rows)


def test_curve_has_a_legend_that_tells_dashes_and_bars_of_errors_only_where_there_are_errors():
    ax = plots.curve([{key: value for key, value in row.items() if key != "std"} for row in ROWS[:3]])
    assert [container.has_yerr for container in ax.containers] == [False, False]
    legend = ax.get_legend()
    room = legend.handlelength * legend.get_texts()[0].get_fontsize()  # points
    dashed = [line for line in legend.get_lines() if line.get_linestyle() == "--"]
    assert len(dashed) == 1 and room > 2.5 * sum(dashed[0]._dash_pattern[1])
    assert all(container.has_yerr for container in plots.curve(ROWS[:3]).containers)


def test_no_accuracy_above_100_is_on_the_axis():
    rows = [{**row, "accuracy": accuracy, "std": 0.03} for row, accuracy in zip(ROWS, (0.9, 1.0), strict=False)]
    ax = plots.curve(rows, x="values")
    assert 100 in ax.get_yticks() and max(ax.get_yticks()) == 100 < ax.get_ylim()[1], "room for the bar, no tick"


def test_names_of_points_end_inside():
    rows = [{**row, "levels": (1, 2, 3, 6), "values": n} for row, n in zip(ROWS, (64, 3000, 3200), strict=False)]
    for x in ("values", "train_seconds", "seconds"):
        for size in ((3.2, 2.6), (5.4, 4.2)):
            figure, ax = plt.subplots(figsize=size, layout="constrained")
            plots.curve([*ROWS[:2], *rows], x=x, ax=ax)
            figure.canvas.draw()
            ends = [text.get_window_extent().x1 for text in ax.texts]
            assert ends and max(ends) < ax.bbox.x1, (x, size)


NINE = [
    {"preset": f"preset{k}", "levels": levels, "values": 200 * (k + 1) * len(levels), "std": 0.004, "n_splits": 10}
    | {"accuracy": (0.93 if len(levels) == 1 else 0.985) + 0.0013 * ((5 * k) % 9)}
    for k in range(9)
    for levels in ((1,), (1, 2, 4))
]


def test_nine_presets_have_looks_of_their_own():
    ax = plots.curve(NINE, x="values")
    looks = [(c.lines[0].get_color(), c.lines[0].get_marker()) for c in ax.containers]
    assert len(set(looks)) == 9
    check_readable(ax.figure, overlap=False)


@pytest.mark.parametrize("rows", [ROWS, NINE], ids=["few", "nine"])
@pytest.mark.parametrize("size", [(4.6, 4.6), (3.2, 2.6), (8, 6)])
def test_a_legend_covers_no_point_and_names_do_not_smear(rows, size):
    for x in ("values", "levels"):
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        plots.curve(rows, x=x, ax=ax)
        figure.canvas.draw()
        points = [ax.transData.transform(c.lines[0].get_xydata()) for c in ax.containers]
        box = ax.get_legend().get_window_extent()
        if size != (3.2, 2.6):  # too small for more than the points
            assert not [p for line in points for p in line if box.contains(*p)]
            assert box.y1 < ax.bbox.y0
        names = [text.get_window_extent() for text in ax.texts]
        assert not [1 for k, name in enumerate(names) for other in names[:k] if name.overlaps(other)]
        assert not [1 for name in names for line in points for p in line if name.contains(*p)]
        assert all(name.x0 > ax.bbox.x0 and name.y1 < ax.bbox.y1 for name in names)
        assert x == "levels" or size != (8, 6) or len(names) >= 6
        plt.close(figure)


def test_two_splits_tell_no_deviation():
    for n_splits in (1, 2, 3):
        ax = plots.curve([{**row, "n_splits": n_splits} for row in NINE], x="values")
        lengths = [np.ptp(bar[:, 1]) for c in ax.containers if c.has_yerr for bar in c.lines[2][0].get_segments()]
        assert lengths == pytest.approx([0.8] * 18 if n_splits == 3 else [])


def test_curve_against_words_has_a_line_for_each_pyramid():
    rows = [{"levels": levels, "words": n, "accuracy": n / 1000} for levels in ((1,), (1, 2)) for n in (400, 50, 100)]
    ax = plots.curve(rows, x="words")
    assert lines(ax) == {f"levels {name}": [(50, 5), (100, 10), (400, 40)] for name in ("1", "1+2")}
    assert ticks(ax.xaxis) == ["50", "100", "400"]


def test_rows_with_errors_are_left_out():
    failed = {"data": "layouts", "preset": "hybrid", "levels": None, "accuracy": None, "error": "no network"}
    assert lines(plots.curve([*ROWS[:3], failed])) == lines(plots.curve(ROWS[:3]))
    with pytest.raises(spm.SpmError, match="no rows with figures"):
        plots.curve([failed])


def test_precision_recall_is_the_definition():
    """The slow twin: the precision and recall of the k highest scores, for every k."""
    rng = np.random.default_rng(0)
    scores, labels = rng.random((30, 3)), rng.integers(0, 3, 30)
    ax = plots.precision_recall(scores, np.array(["a", "b", "c"])[labels], ["a", "b", "c"])
    assert len(ax.lines) == 3
    averages = []
    for line in ax.lines:
        name, average = line.get_label().split()
        order = labels[np.argsort(-scores[:, "abc".index(name)])] == "abc".index(name)
        right = np.cumsum(order)
        precision, recall = right / np.arange(1, 31), right / right[-1]
        expected = float((precision * np.diff(recall, prepend=0)).sum())
        assert float(average) == pytest.approx(expected, abs=0.0051)
        averages.append(expected)
        points = {(round(r, 6), round(p, 6)) for r, p in zip(recall, precision, strict=True)}
        drawn = {(round(r, 6), round(p, 6)) for r, p in line.get_xydata().tolist() if r > 0}
        assert drawn <= points and len(drawn) > 10
    assert averages == sorted(averages, reverse=True)
    assert ax.get_title() == f"mean average precision {np.mean(averages):.3f}"
    check_readable(ax.figure)


def test_precision_recall_of_two_classes_and_of_several_labels_an_image():
    ax = plots.precision_recall([0.9, 0.8, 0.1], [True, False, True])
    assert [line.get_label() for line in ax.lines] == ["True 0.83"]
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    ax = plots.precision_recall(np.eye(3), truth, ["x", "y", "never"])
    assert sorted(line.get_label()[0] for line in ax.lines) == ["x", "y"]


def test_many_classes_stay_apart():
    rng = np.random.default_rng(0)
    names = [f"some class {k}" for k in range(20)]
    figure, ax = plt.subplots(figsize=(4, 2.6), layout="constrained")
    plots.precision_recall(rng.random((60, 20)), rng.permutation(np.repeat(names, 3)), names, ax=ax)
    assert len({(line.get_color(), str(line.get_linestyle()) + str(line._dash_pattern)) for line in ax.lines}) == 20
    check_readable(figure)


# All


def draw(name, scenes, model, maps, **options):
    image = scenes.data[0]
    calls = {
        "confusion": lambda: plots.confusion([[1, 0], [0, 1]], **options),
        "curve": lambda: plots.curve(ROWS, **options),
        "detections": lambda: plots.detections(image, [[1, 1, 9, 9]], **options),
        "evidence": lambda: plots.evidence(image, model, **options),
        "feature_map": lambda: plots.feature_map(image, maps, channels=1, **options),
        "neighbours": lambda: plots.neighbours([image], [image, image], [[1, 0]], **options),
        "precision_recall": lambda: plots.precision_recall([0.1, 0.2], [True, False], **options),
        "pyramid": lambda: plots.pyramid(image, model, **options),
        "word_map": lambda: plots.word_map(image, model, **options),
        "words": lambda: plots.words(model, [image], words=2, n_nearest=2, **options),
    }
    return calls[name]()


PANELS = {"evidence": 2, "feature_map": 2, "pyramid": 6}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_on_the_axes_that_it_is_given(name, scenes, model, maps):
    figure, axes = plt.subplots(1, PANELS.get(name, 1), squeeze=False)
    given = axes.ravel() if axes.size > 1 else axes[0, 0]
    drawn = draw(name, scenes, model, maps, ax=given)
    assert plt.get_fignums() == [figure.number]
    assert np.ravel(drawn).tolist() == np.ravel(given).tolist()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_refuses_other_axes(name, scenes, model, maps):
    axes = plt.figure().subplots(1, 9)
    for wrong, match in ((axes, "got 9 axes"), ("left", "got str")):
        with pytest.raises(spm.SpmError, match=f"ax must be .* matplotlib axes, {match}"):
            draw(name, scenes, model, maps, ax=wrong)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_into_a_subfigure(name, scenes, model, maps):
    part = plt.figure(layout="constrained").subfigures(1, 2)[1]
    axes = part.subplots(1, PANELS.get(name, 1), squeeze=False)
    draw(name, scenes, model, maps, ax=axes if axes.size > 1 else axes[0, 0])


def test_matplotlib_is_loaded_last_and_if_missing_the_error_says_how_to_install_it():
    code = """
import sys, spm
spm.plots.words
print("matplotlib" in sys.modules)
sys.modules["matplotlib"] = None
try:
    spm.plots.confusion([[1]])
except spm.errors.MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("False\nfigures need matplotlib") and "pip install matplotlib" in done.stdout


IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
PLAIN = spm.PyramidVectorizer(pyramid=spm.SpatialPyramid(levels=(1,)))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m, f: plots.pyramid(IMAGE, PLAIN), "not fitted"),
        (lambda m, f: plots.pyramid(IMAGE, "model.spm"), "str is no PyramidVectorizer"),
        (lambda m, f: plots.pyramid(IMAGE, m, layer=1), "layer"),
        (lambda m, f: plots.pyramid(IMAGE, m, n_channels=0), "n_channels"),
        (lambda m, f: plots.pyramid(IMAGE, spm.presets.hybrid()), "several vectorizers"),
        (lambda m, f: plots.words(PLAIN, [IMAGE]), "not fitted"),
        (
            lambda m, f: plots.words(spm.PyramidVectorizer(features=f).fit([IMAGE]), [IMAGE]),
            "for FeatureMap and NoneType",
        ),
        (lambda m, f: plots.words(m, IMAGE), "not several images"),
        (lambda m, f: plots.words(m, [IMAGE], words=[12]), "words must lie in 0..11"),
        (lambda m, f: plots.words(m, [IMAGE], words="all"), "words must be"),
        (lambda m, f: plots.words(m, [IMAGE], words=[]), "words must be"),
        (lambda m, f: plots.words(m, [IMAGE], n_nearest=0), "n_nearest"),
        (lambda m, f: plots.word_map(IMAGE, PLAIN.fit([IMAGE])), "no encoder"),
        (lambda m, f: plots.word_map(IMAGE, m, words=range(9)), "at most 8"),
        (lambda m, f: plots.word_map(IMAGE, m, layer=3), "layer=3"),
        (lambda m, f: plots.word_map(IMAGE, m, patch_size=20), "choose one of \\[16\\]"),
        (lambda m, f: plots.feature_map(IMAGE, spm.DenseSIFT()), "makes points"),
        (lambda m, f: plots.feature_map(IMAGE, f, channels=[64]), "0..63"),
        (lambda m, f: plots.feature_map(IMAGE, f, layer=1), "layer=1"),
        (lambda m, f: plots.feature_map(IMAGE, 5), "int is no PyramidVectorizer"),
        (lambda m, f: plots.evidence(IMAGE, m, "zebra"), "no class of this model"),
        (lambda m, f: plots.evidence(IMAGE, m, by="word"), "'cell', 'feature'"),
        (lambda m, f: plots.evidence(IMAGE, m, level=3), "level must be"),
        (lambda m, f: plots.evidence(IMAGE, m[0]), "needs a Pipeline"),
        (lambda m, f: plots.detections(IMAGE, [[5, 5, 1, 1]]), "x1 must exceed"),
        (lambda m, f: plots.detections(IMAGE, [[1, 1, 5, 5]], [0.1, 0.2]), "scores must have one value"),
        (lambda m, f: plots.detections(IMAGE, [[1, 1, 5, 5]], labels=[]), "labels must have one value"),
        (lambda m, f: plots.detections("no.jpg", []), "no such file"),
        (lambda m, f: plots.confusion([[1, 2, 3]]), "square"),
        (lambda m, f: plots.confusion([[-1]]), "at least 0"),
        (lambda m, f: plots.confusion([[1]], ["a", "b"]), "2 classes but 1 rows"),
        (lambda m, f: plots.curve([]), "no rows"),
        (lambda m, f: plots.curve(ROWS, x="cost"), "x='cost' is not an option: choose one of 'accuracy'"),
        (lambda m, f: plots.curve(ROWS, y="preset"), "y='preset'"),
        (lambda m, f: plots.curve([{"accuracy": 0.5}]), "x='levels'"),
        (lambda m, f: plots.precision_recall([[0.1]], ["a", "b"]), "as many labels"),
        (lambda m, f: plots.precision_recall([np.nan, 1], ["a", "b"]), "finite"),
        (lambda m, f: plots.precision_recall([[0, 1]], ["c"], ["a", "b"]), "labels hold c"),
        (lambda m, f: plots.precision_recall([[0, 1]], ["a"], ["a", "b", "c"]), "3 classes"),
        (lambda m, f: plots.precision_recall([0, 1], ["a", "b"], ["a", "b", "c"]), "one column a class"),
        (lambda m, f: plots.precision_recall([[0.0, 1.0]], [[False, False]]), "nothing to find"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_a_figure_is_made(call, match, model, maps):
    with pytest.raises(spm.SpmError, match=match):
        call(model, maps)
    assert plt.get_fignums() == []


def test_a_dollar_in_a_class_name_is_no_mathematics():
    ax = plots.confusion([[1, 0], [0, 1]], ["$a_$", "b"])
    assert ax.get_xticklabels()[0].get_text() == r"\$a_\$"
    ax.figure.canvas.draw()


def test_neighbours_are_drawn_in_their_order_with_their_distances(scenes):
    """Against the plain loop: every distance by hand, sorted."""
    images = list(scenes.data[:8])
    vec = spm.PyramidVectorizer(encoder=spm.BagOfWords(n_words=5), random_state=0)
    vectors = vec.fit_transform(images)
    search = NearestNeighbors(n_neighbors=3, metric="cityblock").fit(vectors)
    distances, positions = search.kneighbors(vectors[:2])
    ax = plots.neighbours(images[:2], images, positions, distances)
    assert len(ax.images) == 2 * 4
    drawn = [np.asarray(image.get_array()) for image in ax.images]
    for row in range(2):
        apart = [float(np.abs(vectors[row].astype(float) - other).sum()) for other in vectors]
        for column, (k, least) in enumerate(zip(positions[row], sorted(apart), strict=False)):
            assert apart[k] == pytest.approx(least, abs=1e-6)
            np.testing.assert_array_equal(drawn[4 * row + 1 + column], drawn_alone(images[k]))
            assert float(texts(ax)[3 * row + column]) == pytest.approx(least, abs=2e-3)
        np.testing.assert_array_equal(drawn[4 * row], drawn_alone(images[row]))
    check_readable(ax.figure)
    places = [image.get_extent() for image in ax.images]
    assert all(places[k][0] < places[k + 1][0] for k in (0, 1, 2, 4, 5, 6)) and places[0][2] < places[4][2]


def drawn_alone(image):
    return np.asarray(plots.neighbours([image], [image], [[]]).images[0].get_array())


def test_neighbours_of_rows_of_different_lengths_and_of_large_and_narrow_images(tmp_path):
    tall = np.tile(np.linspace(0, 255, 900).astype(np.uint8)[:, None], (1, 90))
    Image.fromarray(tall).save(tmp_path / "tall.png")
    ax = plots.neighbours([tall, tall], [tmp_path / "tall.png", tall.T.copy()], [[0], [1, 0]])
    assert len(ax.images) == 5 and texts(ax)[:3] == ["", "", ""]
    assert max(ax.images[0].get_array().shape[:2]) < 200
    left, right, bottom, top = ax.images[0].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(10)


@pytest.mark.parametrize(
    ("positions", "distances", "match"),
    [
        ([[0]], None, "one row for each of the 2 queries"),
        ([[0], [1]], [[0.1], [0.2, 0.3]], "distances the same shape"),
        ([[0], [3]], None, r"must lie in 0\.\.2"),
        ([[-1], [0]], None, r"must lie in 0\.\.2"),
    ],
)
def test_neighbours_that_are_none_are_refused(positions, distances, match):
    images = np.zeros((3, 16, 16), np.uint8)
    with pytest.raises(spm.SpmError, match=match):
        plots.neighbours(images[:2], images, positions, distances)
