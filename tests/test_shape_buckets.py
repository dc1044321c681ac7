"""Shape buckets: every image once an epoch, one tensor a batch, as many steps for every rank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spm import SpmError
from spm.nn import ShapeBuckets


def ranks_of(shapes, batch_size, world_size, epoch=0, **options):
    found = []
    for rank in range(world_size):
        buckets = ShapeBuckets(shapes, batch_size, rank=rank, world_size=world_size, random_state=3, **options)
        buckets.set_epoch(epoch)
        found.append((buckets, list(buckets)))
    return found


cases = st.tuples(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from([1, 32, 128, 1000]),
    st.booleans(),
    st.sampled_from([None, 1, 40_000]),
    st.integers(1, 4),
)


@settings(max_examples=300, deadline=None)
@given(cases)
def test_every_image_once_one_shape_a_batch_equal_steps(case):
    shapes, batch_size, world_size, step, shuffle, max_pixels, least = case
    options = {"step": step, "shuffle": shuffle, "max_pixels": max_pixels, "least": least}
    if len(shapes) < world_size:
        with pytest.raises(SpmError, match="too few"):
            ranks_of(shapes, batch_size, world_size, **options)
        return
    ranks = ranks_of(shapes, batch_size, world_size, **options)
    assert sorted(i for _, batches in ranks for batch in batches for i in batch) == list(range(len(shapes)))
    assert {len(batches) for _, batches in ranks} == {len(ranks[0][0])}
    for buckets, batches in ranks:
        for batch in batches:
            assert len({tuple(buckets.targets[i]) for i in batch}) == 1
            assert 1 <= len(batch) <= batch_size or (world_size > 1 and len(batch) == 2)
            pixels = buckets.targets[batch].prod(axis=1).sum()
            assert max_pixels is None or pixels <= max_pixels or len(batch) == 1 or world_size > 1
    everything = ranks[0][0].steps()
    assert [[list(b) for b in step] for step in everything] == [
        list(row) for row in zip(*(b for _, b in ranks), strict=True)
    ]


def test_one_group_of_all_and_a_group_for_each():
    same = ShapeBuckets([(64, 96)] * 33, 32, random_state=0)
    assert sorted(map(len, same)) == [16, 17]  # no batch of one image
    apart = ShapeBuckets([(32 * k, 32) for k in range(1, 8)], 4, random_state=0)
    assert sorted(map(len, apart)) == [1] * 7 and apart.fill == 0.25
    assert apart.targets.tolist() == [[32 * k, 32] for k in range(1, 8)]


def test_where_nothing_is_left_to_cut_the_rarest_shape_joins_the_nearest():
    shapes = [(320, 320), (64, 64), (96, 64), (640, 64), (64, 640)]
    buckets = ShapeBuckets(shapes, 4, world_size=2, random_state=0)
    assert len(buckets) == 2  # four batches of five shapes
    assert len({tuple(target) for target in buckets.targets.tolist()}) == 4
    assert buckets.targets[1].tolist() == buckets.targets[2].tolist()


def test_rare_shapes_join_the_nearest_where_asked():
    shapes = [(64, 64)] * 5 + [(96, 64)] + [(512, 512)] * 5
    assert ShapeBuckets(shapes, 8, least=2).targets[5].tolist() == [64, 64]
    assert ShapeBuckets(shapes, 8).targets[5].tolist() == [96, 64]


def test_the_order_is_that_of_seed_and_epoch():
    shapes = np.random.default_rng(0).integers(30, 200, (50, 2))
    first, second = (ShapeBuckets(shapes, 4, step=64, random_state=7) for _ in range(2))
    assert list(first) == list(first) == list(second)
    before = list(first)
    first.set_epoch(1)
    assert list(first) != before
    second.set_epoch(1)
    assert list(first) == list(second)
    assert list(ShapeBuckets(shapes, 4, step=64, random_state=8)) != before
    still = ShapeBuckets(shapes, 4, step=64, shuffle=False)
    before = list(still)
    still.set_epoch(1)
    assert list(still) == before


def test_ranks_have_nearly_equal_work():
    shapes = [(64, 64)] * 64 + [(256, 256)] * 64
    for step in ShapeBuckets(shapes, 8, world_size=4, random_state=0).steps():
        assert len({len(batch) for batch in step}) == 1
    for buckets, batches in ranks_of(shapes, 8, 4):
        assert len(batches) == 4 and buckets.fill == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shapes": [1, 2]}, "whole heights and widths"),
        ({"shapes": np.zeros((0, 2), int)}, "whole heights and widths"),
        ({"shapes": [(1.5, 2.0)]}, "whole heights and widths"),
        ({"shapes": [(0, 2)]}, "1 pixel at least"),
        ({"batch_size": 0}, "batch_size must be a whole number at least 1"),
        ({"step": 0}, "step must be"),
        ({"max_pixels": 0}, "max_pixels must be"),
        ({"shuffle": "yes"}, "shuffle='yes'"),
        ({"rank": 2, "world_size": 2}, "rank must be below"),
        ({"random_state": "x"}, "random_state must be"),
    ],
)
def test_what_is_not_valid_is_refused(options, message):
    with pytest.raises(SpmError, match=message):
        ShapeBuckets(**{"shapes": [(4, 4)] * 4, "batch_size": 2, **options})


def test_torchs_loader_takes_them():
    torch = pytest.importorskip("torch")
    images = [np.zeros((h, w), np.uint8) for h, w in [(40, 60), (60, 40), (33, 70)] * 5]
    buckets = ShapeBuckets([image.shape for image in images], 4, step=32, random_state=0)

    class Brought(torch.utils.data.Dataset):
        def __getitem__(self, i):
            return torch.zeros(*buckets.targets[i].tolist()), i

    seen = []
    for batch, at in torch.utils.data.DataLoader(Brought(), batch_sampler=buckets):
        assert batch.ndim == 3
        seen += at.tolist()
    assert sorted(seen) == list(range(15))
