"""Text that can be printed: names of files with anything in them, in messages, tables and figures."""

import logging

import numpy as np
import pytest

from spm._tools.text import Table, printable
from spm.errors import ImageError, MissingDependencyError, SpmError
from spm.images import read_image

ODD = "caf\udce9\n\x1b$x^{$"
SHOWN = "caf\\udce9\\n\\x1b$x^{$"


def test_what_cannot_be_shown_is_written_out_and_the_rest_left():
    assert printable(ODD) == SHOWN == printable(SHOWN)
    assert printable("a\nb\udcff", keep="\n") == "a\nb\\udcff"
    for name in ("Ünï 写真\u30001.jpg", "می\u200cخواهم", "👩\u200d🔬", "a\xa0b", "cafe\u0301", ""):
        assert printable(name) == name
    assert printable(b"a") == "b'a'" and printable(7) == "7"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SpmError(f"{ODD}: no such folder"), "caf\\udce9\n\\x1b$x^{$: no such folder"),
        (SpmError("one line\n\tand another"), "one line\n\tand another"),
        (MissingDependencyError("a\udcff"), "a\\udcff"),
        (ImageError(ODD, "broken \udcff"), f"{SHOWN}: broken \\udcff"),
        (SpmError(), ""),
    ],
)
def test_messages_can_be_printed_and_logged(error, message, caplog):
    logging.getLogger("spm").warning("skipped %s", error)
    assert str(error) == message and caplog.messages == [f"skipped {message}"]
    str(error).encode()


def test_an_image_error_keeps_the_name_by_which_the_file_is_found(tmp_path):
    name = str(tmp_path / ODD)
    with pytest.raises(ImageError) as caught:
        read_image(name)
    assert caught.value.source == name and SHOWN in str(caught.value)


def test_tables_are_aligned_by_what_is_shown(capsys):
    table = Table(["class", "n"], [[ODD, "b"], ["1", "22"]], n_texts=1)
    table.add([ODD, "1"])
    table.add(["b", "22"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1 and SHOWN in lines[1]


@pytest.mark.parametrize("math", [True, False])
@pytest.mark.parametrize("name", [ODD, "_leading", "$", r"a\$b$c", "two\nlines"])
def test_any_name_can_be_drawn_and_is_in_the_legend(name, math):
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib import pyplot as plt

    from spm import plots
    from spm.plots._axes import as_drawn, show_key

    rows = [{"levels": (1,), "accuracy": 0.5, "data": data} for data in (name, "other")]
    with matplotlib.rc_context({"text.parse_math": math}):
        axes = [
            plots.confusion([[1, 1], [0, 2]], [name, "b"]),
            plots.precision_recall([[0.9, 0.1], [0.2, 0.8]], [name, "b"], [name, "b"]),
            plots.curve(rows),
            plots.curve([{"levels": (1,), "accuracy": 0.5, name: 2.0}], x=name),
            plots.detections(np.zeros((60, 80), np.uint8), [[10, 10, 40, 50]], [0.875], [name]),
        ]
        show_key(axes[0], {name: "red"})
        for ax in axes:
            ax.figure.canvas.draw()
        shown = as_drawn(name)
        for ax in axes[:3]:
            assert any(text.get_text().startswith(shown) for text in ax.get_legend().get_texts())
        assert printable(name).strip() in shown.replace(r"\$", "$") or "$" in name
    plt.close("all")
