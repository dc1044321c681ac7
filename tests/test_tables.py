"""Tables of labels: columns found or given, who trains and who tests, and each faulty row named with its line."""

import logging
import os
import unicodedata

import numpy as np
import pytest

import spm
from spm import SpmError, load_table

FILES = ("1.jpg", "2.jpg", "deep/3.jpg", "deep/4.PNG")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def table(photos, tmp_path):
    """Write a table beside the photographs and load it."""

    def load(text, encoding="utf-8", **options):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return load_table(path, **({"images": photos} | options))

    return load


def listed(found, photos):
    names = [os.path.relpath(path, photos).replace(os.sep, "/") for path in found.data]
    return list(zip(names, np.array(found.target_names)[found.target].tolist(), strict=True))


WANTED = [("deep/3.jpg", "dog"), ("1.jpg", "cat"), ("2.jpg", "dog"), ("deep/4.PNG", "cat")]
BODY = "deep/3.jpg,dog\n1.jpg,cat\n2.jpg,dog\ndeep/4.PNG,cat\n"


def test_a_table_gives_what_a_folder_gives(table, photos, caplog):
    found = table("file,label\n" + BODY)
    assert listed(found, photos) == WANTED
    assert found.target.tolist() == [1, 0, 1, 0] and found.target_names == ["cat", "dog"]
    assert found.folder == str(photos) and "4 images in 2 classes" in found.DESCR and caplog.records == []
    assert set(found) == set(spm.load_folder(photos, exclude_empty=True)) and found.skipped == []
    assert all(os.path.isfile(path) for path in found.data)


@pytest.mark.parametrize(
    "text",
    [
        "File Name,class\n" + BODY,
        "Path;Category\n" + BODY.replace(",", ";"),
        "image-path\tTARGET\r\n" + BODY.replace(",", "\t").replace("\n", "\r\n"),
        "image|scene\n" + BODY.replace(",", "|"),  # the only column that is left
        "\ufefffilename,label\n" + BODY,
        "sep=;\nfilename;label\n" + BODY.replace(",", ";"),
        BODY,  # no head
        "file,label\n\n" + BODY.replace("\n", "\n\n"),
        "file,label,,\n" + BODY.replace("\n", ",,\n"),
        'file,label\n"deep/3.jpg","dog"\n' + BODY.partition("\n")[2],
        "file,label\n" + BODY.replace("/", "\\"),
        "file,label\n" + BODY.replace("deep/3.jpg", "./deep//3.jpg"),
        "file,label\n" + BODY.replace(".jpg", "").replace(".PNG", ""),
        "file,label\n" + BODY.replace(",", " ,  "),
    ],
)
def test_columns_are_found_in_tables_of_every_form(table, photos, text):
    assert listed(table(text), photos) == WANTED


def test_utf_16_as_spreadsheets_save_it(table, photos):
    assert listed(table("file\tlabel\n" + BODY.replace(",", "\t"), encoding="utf-16"), photos) == WANTED


def test_columns_may_be_given(table, photos):
    text = "id,photo,filename,class,species\n" + "".join(
        f"{k},{line.split(',')[0]},x,y,{line.split(',')[1]}\n" for k, line in enumerate(BODY.split())
    )
    assert listed(table(text, file="photo", label="species"), photos) == WANTED
    assert listed(table(text, file=1, label=4), photos) == WANTED
    with pytest.raises(SpmError, match=r"labels\.csv: photo and filename may each hold the file: give one as file="):
        table(text)
    with pytest.raises(SpmError, match=r"no column 'specis' \(label\): did you mean species\? It has id, photo, file"):
        table(text, file="photo", label="specis")
    with pytest.raises(SpmError, match="which column holds the labels is not known by its name: it has file, a, b"):
        table("file,a,b\n1.jpg,x,y\n")
    with pytest.raises(SpmError, match="2 columns are called 'label'"):
        table("file,label,label\n1.jpg,x,y\n", label="label")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("file,label,split\n1.jpg,a,train\n2.jpg,b,Training\ndeep/3.jpg,b,test\ndeep/4.PNG,a,VAL\n", None),
        ("1.jpg,a,train\n2.jpg,b,train\ndeep/3.jpg,b,test\ndeep/4.PNG,a,validation\n", None),
        ("file,label,for\n1.jpg,a,train\n2.jpg,b,train\ndeep/3.jpg,b,test\ndeep/4.PNG,a,dev\n", "for"),
    ],
)
def test_who_trains_and_who_tests(table, text, split):
    found = table(text, split=split)
    assert found.split.tolist() == ["train", "train", "test", "validation"]
    assert (found.train.tolist(), found.test.tolist()) == ([0, 1], [2])
    assert "split" not in table(text, split=False, file=0, label=1)


def test_other_ways_to_say_who_trains(table):
    found = table("file,label,is_train\n1.jpg,a,True\n2.jpg,b,0\ndeep/3.jpg,b,1\n")
    assert (found.train.tolist(), found.test.tolist()) == ([0, 2], [1])
    found = table("file,label,split\n1.jpg,a,train\n2.jpg,b,val\n")
    assert (found.train.tolist(), found.test.tolist()) == ([0], [1])  # nothing is for testing
    assert "split" not in table("file,label,set\n1.jpg,a,north\n2.jpg,b,south\n")  # of another meaning
    with pytest.raises(SpmError, match=r"line 3: 'south' is no part: wanted is train, test or validation"):
        table("file,label,set\n1.jpg,a,train\n2.jpg,b,south\n")
    with pytest.raises(SpmError, match=r"line 2: 'north' is no part"):
        table("file,label,set\n1.jpg,a,north\n", split="set")


FAULTS = [
    ("none.jpg,cat", "there is no file 'none.jpg' in "),
    ("1.jpg,", "'1.jpg' is without a label"),
    ("1.jpg", "'1.jpg' is without a label"),
    (",cat", "there is no file"),
    ("deep,cat", "there is no file 'deep'"),
    ("./2.jpg,cat", r"'./2.jpg' was listed before, on line 2, there as 'dog' and here as 'cat'"),
    ("2.jpg,dog", r"'2.jpg' was listed before, on line 2 \("),
    ("1.jpg,a,b", "3 values for 2 columns: put a value with a comma into quotes"),
]


@pytest.mark.parametrize(("row", "message"), FAULTS)
def test_a_faulty_row_is_named_with_its_line(table, photos, caplog, row, message):
    text = f'file,label\n2.jpg,dog\n"deep/3.jpg","a\nb"\n\n{row}\ndeep/4.PNG,cat\n'
    with pytest.raises(SpmError, match=rf"labels\.csv, line 6: {message}.*on_error=\"skip\" leaves it out"):
        table(text)
    with caplog.at_level(logging.WARNING, logger="spm"):
        found = table(text, on_error="skip")
    assert [name for name, _ in listed(found, photos)] == ["2.jpg", "deep/3.jpg", "deep/4.PNG"]
    assert found.target_names == ["a\nb", "cat", "dog"]
    assert found.skipped[0][1].startswith("line 6: ")
    (said,) = [record.getMessage() for record in caplog.records]
    assert "left out 1 row (line 6: " in said
    assert ("1 image not in the table (1.jpg)" in said) == (not row.startswith("1.jpg"))


def test_many_faults_are_counted(table):
    text = "file,label\n1.jpg,cat\n" + "".join(f"x{k}.jpg,cat\n" for k in range(5))
    with pytest.raises(SpmError, match=r"5 faults: line 3: .*'x0.jpg'.*; line 4: .*; line 5: .*; and 2 more \(on_err"):
        table(text)
    with pytest.raises(SpmError, match=r"relative to another folder\? Give it as images"):
        table(text.replace("1.jpg,cat\n", ""))
    with pytest.raises(SpmError, match="no row is left"):
        table(text.replace("1.jpg,cat\n", ""), on_error="skip")


def test_images_that_are_in_no_row_are_told(table, photos, caplog):
    (photos / ".hidden").mkdir()
    (photos / ".hidden" / "5.jpg").touch()
    (photos / "notes.txt").touch()
    with caplog.at_level(logging.WARNING, logger="spm"):
        found = table("file,label\n1.jpg,cat\n2.jpg,dog\n")
    assert [(os.path.basename(path), why) for path, why in found.skipped] == [
        ("3.jpg", "not in the table"),
        ("4.PNG", "not in the table"),
    ]
    assert "left out 2 images not in the table (deep" in caplog.text


def test_names_with_accents_are_found_composed_or_not(table, photos):
    name = "caf\u00e9.jpg"
    (photos / unicodedata.normalize("NFD", name)).touch()
    found = table(f"file,label\n{name},cat\n1.jpg,dog\n")
    assert os.path.isfile(found.data[0])


def test_files_lie_beside_the_table_where_nothing_else_is_said(photos, monkeypatch):
    (photos / "labels.csv").write_text("file,label\n" + BODY)
    assert listed(load_table(photos / "labels.csv"), photos) == WANTED
    assert load_table(photos / "labels.csv").skipped == []
    monkeypatch.chdir(photos)
    assert load_table("labels.csv").data[1] == os.path.join(".", "1.jpg")
    monkeypatch.chdir(photos.parent)  # names that have the folder already
    (photos.parent / "all.csv").write_text("file,label\nphotos/1.jpg,cat\n2.jpg,dog\n")
    found = load_table("all.csv", images=photos)
    assert len(found.data) == 2 and [os.path.basename(path) for path, _ in found.skipped] == ["3.jpg", "4.PNG"]
    assert load_table({"file": [photos / "1.jpg"], "label": ["cat"]}).data == [str(photos / "1.jpg")]


def test_data_frames(photos):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([line.split(",") for line in BODY.split()], columns=["path", "class"])
    frame.index = [7, 8, 9, 10]
    assert listed(load_table(frame, images=photos), photos) == WANTED
    frame["class"] = [3, 10, None, 3]
    with pytest.raises(SpmError, match=r"the table, row 2: '2[.]jpg' is without a label"):
        load_table(frame, images=photos)
    found = load_table(frame, images=photos, on_error="skip")
    assert found.target_names == ["3", "10"] and found.target.tolist() == [0, 1, 0]  # by size, not by letters
    frame["class"] = pandas.Categorical(["dog", "cat", "dog", "cat"])
    frame["train"] = [True, False, True, False]
    found = load_table(frame, images=photos)
    assert listed(found, photos) == WANTED and found.train.tolist() == [0, 2]
    frame["class"] = pandas.array(["dog", "cat", pandas.NA, "cat"], dtype="string")
    with pytest.raises(SpmError, match=r"row 2: '2[.]jpg' is without a label"):
        load_table(frame, images=photos)
    with pytest.raises(SpmError, match="no rows"):
        load_table(frame[:0], images=photos)
    headless = pandas.DataFrame([line.split(",") for line in BODY.split()])
    assert listed(load_table(headless, images=photos), photos) == WANTED


def test_pandas_is_not_needed(tmp_path):
    import subprocess
    import sys

    code = "import sys; sys.modules['pandas'] = None; import spm; spm.load_table({'file': ['x.jpg'], 'label': ['a']})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert "SpmError: the table, row 0: there is no file 'x.jpg' in ." in done.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the table has no rows"),
        (b"file,label\n", "the table has no rows"),
        (b"\n\n", "the table has no rows"),
        (b"PK\x03\x04rest", "is a workbook, no text: save it as CSV"),
        (b'file,label\n1.jpg,"cat\n', "line 2: the values cannot be told apart"),
        (b'file,label\n1.jpg,"cat"s\n', "line 2: the values cannot be told apart"),
        (b"file,label\n1.jpg,caf\xe9\n", "line 2: the label is not text in UTF-8"),
        (b"\xff\xd8\xff\xe0 a photograph \x00\x01\x02\nand more", "which column holds the files"),
    ],
)
def test_files_that_are_no_tables(table, data, message):
    with pytest.raises(SpmError, match=message):
        table(data)


def test_what_is_no_table_at_all(photos, tmp_path):
    for thing in (3, ["1.jpg"], np.zeros((2, 2))):
        with pytest.raises(SpmError, match="a table must be the path of a CSV file or a DataFrame"):
            load_table(thing)
    with pytest.raises(SpmError, match=r"none\.csv: the table cannot be read \(No such file"):
        load_table(tmp_path / "none.csv")
    with pytest.raises(SpmError, match="the table cannot be read"):
        load_table(tmp_path)
    with pytest.raises(SpmError, match="columns must be of one length"):
        load_table({"file": ["1.jpg"], "label": []})
    with pytest.raises(SpmError, match="none: there is no such folder"):
        load_table({"file": ["1.jpg"], "label": ["a"]}, images=tmp_path / "none")
    with pytest.raises(SpmError, match="'raise', 'skip'"):
        load_table({"file": ["1.jpg"], "label": ["a"]}, images=photos, on_error="ignore")


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_names_that_are_not_utf_8(table, photos):
    try:
        (photos / "caf\udce9.jpg").touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    found = table(b"file,label\ncaf\xe9.jpg,cat\n1.jpg,dog\n", on_error="skip")
    assert os.path.basename(found.data[0]) == "caf\udce9.jpg"
