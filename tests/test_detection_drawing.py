"""Objects drawn over an image: boxes where they belong, names in it, letters of every script, nothing else changed."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from spm import ImageError, SpmError
from spm.detection import Objects, draw, drawing
from spm.detection.drawing import COLOURS, TRUE_COLOUR, colours_of, font_for

GREY = np.full((200, 300, 3), 128, np.uint8)
DOG = Objects([[100, 60, 200, 160]], ["dog"], [0.5])


def changed(drawn, image=GREY):
    return (drawn != image).any(axis=2)


def test_a_box_lies_inside_its_edges_and_its_name_above():
    drawn = draw(GREY, Objects([[100, 60, 200, 160]], ["dog"]))
    colour = colours_of(DOG)["dog"]
    assert drawn.dtype == np.uint8 and drawn.shape == GREY.shape
    for row, column in ((60, 150), (159, 150), (110, 100), (110, 199), (60, 100), (159, 199)):
        assert tuple(drawn[row, column]) == colour
    inner = changed(drawn)[64:156, 104:196]
    assert not inner.any(), "what is in the box is seen"
    assert (
        changed(drawn)[45:58, 102:120].mean() > 0.9 and not changed(drawn)[:40].any() and not changed(drawn)[164:].any()
    )
    assert (GREY == 128).all(), "the image itself stays"


def test_nothing_to_draw():
    assert np.array_equal(draw(GREY, Objects.none()), GREY)
    assert np.array_equal(draw(GREY, Objects.none(scored=True), Objects.none()), GREY)
    grey = draw(GREY[:, :, 0], Objects.none())
    assert grey.shape == (200, 300, 3)


def test_true_objects_are_white_and_dashed():
    drawn = draw(GREY, Objects.none(), Objects([[100, 60, 200, 160]], ["dog"]))
    row = [tuple(pixel) == TRUE_COLOUR for pixel in drawn[159, 100:200]]
    assert 30 < sum(row) < 70 and sum(np.diff(np.array(row, int)) != 0) >= 6, "dashes and gaps"
    found = draw(GREY, DOG)
    assert {tuple(pixel) for pixel in found[159, 100:200]} == {colours_of(DOG)["dog"]}


def test_difficult_ones_are_said_to_be():
    easy, hard = (
        draw(GREY, Objects.none(), Objects([[20, 60, 280, 160]], ["dog"], difficult=[d])) for d in (False, True)
    )
    assert changed(hard)[:60].sum() > 2 * changed(easy)[:60].sum()


def test_scores_are_written_and_lie_on_top():
    with_score, without = draw(GREY, DOG), draw(GREY, Objects(DOG.boxes, DOG.labels))
    assert changed(with_score)[:58].sum() > 1.3 * changed(without)[:58].sum()
    same = Objects([[100, 60, 200, 160]] * 2, ["cat", "dog"], [0.9, 0.1])
    assert tuple(draw(GREY, same)[159, 150]) == tuple(draw(GREY, same[::-1])[159, 150]) == colours_of(same)["cat"]


def test_names_do_not_hide_each_other_where_there_is_room():
    names = [f"class {k}" for k in range(4)]
    objects = Objects([[20 + k, 60, 280, 160] for k in range(4)], names, [0.9, 0.8, 0.7, 0.6])
    drawn = draw(GREY, objects)
    for name in names:
        plate = (drawn == colours_of(objects)[name]).all(axis=2)
        assert (
            max(plate[row].sum() for row in (*range(45, 60), *range(63, 78), *range(142, 156), *range(161, 176))) > 30
        )


def test_a_true_name_is_left_out_where_it_would_hide_another():
    true = Objects([[10 * k, 60, 10 * k + 60, 100] for k in range(20)], ["sheep"] * 20)
    found = Objects(true.boxes, true.labels, np.arange(20) / 20)
    alone, with_truth = draw(GREY, found), draw(GREY, found, true)
    colour = colours_of(found)["sheep"]
    kept = (with_truth == colour).all(axis=2)
    assert kept.sum() >= 0.99 * (alone == colour).all(axis=2).sum()


def test_classes_have_colours_of_their_own():
    names = [f"class {k}" for k in range(len(COLOURS))]
    objects = Objects([[0, 0, 9, 9]] * len(names), names)
    assert set(colours_of(objects).values()) == set(COLOURS)
    more = colours_of(Objects([[0, 0, 9, 9]] * 30, list(range(30))))
    assert len(more) == 30 and set(more.values()) == set(COLOURS)
    alone = [colours_of(objects[k])[name] for k, name in enumerate(names)]
    again = [colours_of(objects[[k, (k + 5) % 12]])[name] for k, name in enumerate(names)]
    assert sum(a == b for a, b in zip(alone, again, strict=True)) >= 10, "nearly always the same"


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3), (20, 20), (75, 100), (3000, 2000)])
def test_images_of_every_size(size):
    image = np.full((*size, 3), 90, np.uint8)
    height, width = size
    boxes = [[0, 0, width, height], [-50, -50, 0.4, 0.4], [width - 0.5, height - 0.5, width + 9, height + 9]]
    objects = Objects(boxes, ["a very long name that does not fit", "b", "c"], [1e5, -1e5, 0.123])
    drawn = draw(image, objects, objects)
    assert drawn.shape == (*size, 3) and changed(drawn, image).any()


def test_lines_and_letters_grow_with_the_image():
    def share(factor):
        image = np.full((200 * factor, 300 * factor, 3), 128, np.uint8)
        return changed(draw(image, Objects(DOG.boxes * factor, DOG.labels, DOG.scores)), image).mean()

    assert share(10) == pytest.approx(share(2), rel=0.35)


def test_letters_of_other_scripts_are_no_question_marks(monkeypatch):
    """Without a font that has them they are written otherwise; all names stay apart."""
    monkeypatch.setattr(drawing, "_system_fonts", lambda: ())
    assert font_for("dog 0.5", 20)[1] == "dog 0.5"
    assert font_for("Hündin", 20)[1] == "Hundin" and font_for("Žlutý", 20)[1] == "Zluty"
    assert font_for("犬", 20)[1] == "U+72AC" and font_for("猫 x", 20)[1] == "U+732B x"
    pictures = [draw(GREY, Objects([[20, 60, 280, 160]], [name]))[:60] for name in ("犬", "猫")]
    assert not np.array_equal(*[(picture == 0).all(axis=2) | (picture == 255).all(axis=2) for picture in pictures])


def test_letters_are_drawn_in_a_font_of_the_systems(tmp_path):
    fonts = drawing._system_fonts()
    if not any("DejaVuSans.ttf" in path for path in fonts):
        pytest.skip("needs DejaVu Sans, of the system or matplotlib's")
    font, text = font_for("Hündin Ж", 20)
    assert text == "Hündin Ж" and font.getname()[0] != ImageFont.load_default(20).getname()[0]


def test_names_that_cannot_be_printed():
    drawn = draw(GREY, Objects([[20, 60, 280, 160]] * 4, ["a\nb", "\udce9", "", "é"], [1, 2, 3, 4]))
    assert changed(drawn).any()


def test_files_and_what_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "1.png")
    assert np.array_equal(draw(tmp_path / "1.png", DOG), draw(GREY, DOG))
    with pytest.raises(ImageError, match="no such file"):
        draw(tmp_path / "2.png", DOG)
    for arguments, message in [
        (([DOG],), r"objects must be a spm.detection.Objects, of one image, got list"),
        ((DOG, [DOG]), r"truth must be a spm.detection.Objects, of one image, got list"),
        ((None,), "objects must be .* got NoneType"),
    ]:
        with pytest.raises(SpmError, match=message):
            draw(GREY, *arguments)
