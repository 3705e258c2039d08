"""Tables of the user's own: what is a feature, a category, a class; missing, unseen and doubled rows; messages."""

import math

import numpy as np
import pytest
import torch

from paribus.datasets.prepare import prepare
from paribus.datasets.source import MissingDataError, form_of
from paribus.datasets.table_files import CSV, Parquet

ROWS = [(k, 0.1 * k - 1, ("red", "blue", "green")[k % 3], ("yes", "no")[k % 2]) for k in range(30)]


def write(path, rows=ROWS, header="number,size,colour,bought", delimiter=","):
    lines = [header] if header else []
    path.write_text("\n".join([*lines, *(delimiter.join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def table(tmp_path):
    def source(rows=ROWS, header="number,size,colour,bought", target="bought", **options):
        return CSV(write(tmp_path / "table.csv", rows, header), target, **options)

    return source


def samples(source):
    """Each sample of either part as {feature: value} with its target."""
    raw = source.load()
    x, y = torch.cat([raw.train_x, raw.test_x]), torch.cat([raw.train_y, raw.test_y])
    named = [dict(zip(source.feature_names, row, strict=True)) for row in x.tolist()]
    return sorted(zip(named, y.tolist(), strict=True), key=lambda each: each[0]["number"])


def test_numbers_categories_and_classes(table):
    source = table()
    assert source.feature_names == ["number", "size", "colour=blue", "colour=green", "colour=red"]
    assert source.classes == ["no", "yes"]
    form = form_of(source)
    assert (form.shape, form.kind_of_x, form.kind_of_y, form.num_classes) == ((5,), "vector", "class", 2)
    for (number, size, colour, bought), (found, y) in zip(ROWS, samples(source), strict=True):
        indicators = {f"colour={each}": float(each == colour) for each in ("blue", "green", "red")}
        assert found == {"number": number, "size": float(f"{size}"), **indicators}
        assert source.classes[y] == bought


def test_the_test_part_is_a_share_that_keeps_classes_and_depends_on_its_seed_alone(table):
    raw = table().load()
    assert (len(raw.train_y), len(raw.test_y)) == (24, 6)
    assert torch.bincount(raw.test_y).tolist() == [3, 3]
    assert torch.equal(table().load().test_x, raw.test_x)
    assert not torch.equal(table(test_seed=1).load().test_x, raw.test_x)
    assert len(table(test_share=0.5).load().test_y) == 15


def test_copies_of_a_row_stay_in_one_part(table):
    rows = [ROWS[k % 10] for k in range(30)]
    for seed in range(10):
        raw = table(rows, test_seed=seed).load()
        numbers = [set(part[:, 0].tolist()) for part in (raw.train_x, raw.test_x)]
        assert not numbers[0] & numbers[1]
        assert len(raw.train_x) + len(raw.test_x) == 30


def test_columns_are_chosen_and_left_out(table):
    assert table(features=["size"]).feature_names == ["size"]
    assert table(ignore=["colour"]).feature_names == ["number", "size"]
    assert table(categorical=["number"], unseen="zeros").feature_names[:2] == ["number=0", "number=1"]
    with pytest.raises(ValueError, match=r"features names columns of .*no 'sise'\. Did you mean 'size'\?|size"):
        table(features=["sise"]).load()
    with pytest.raises(ValueError, match="'bought' can't be a feature and also the target"):
        table(features=["bought"]).load()


def test_an_index_that_was_written_too_is_no_feature(table):
    """It says where a row stood, and often thereby its class."""
    rows = [(k, *row) for k, row in enumerate(ROWS)]
    with pytest.raises(ValueError, match=r"column 0 of .* has no name of its own.*ignore=\[0\]"):
        table(rows, ",number,size,colour,bought").load()
    assert table(rows, ",number,size,colour,bought", ignore=[0]).feature_names[0] == "number"


def test_a_file_without_a_header_and_with_other_delimiters(tmp_path):
    path = write(tmp_path / "plain.txt", header="", delimiter="\t")
    source = CSV(path, 3, header=False, delimiter="\\t")
    assert source.feature_names[:2] == ["0", "1"]
    assert len(samples_of(source)) == 30


def samples_of(source):
    raw = source.load()
    return torch.cat([raw.train_x, raw.test_x])


def replaced(row, column, value):
    rows = [list(each) for each in ROWS]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize("text", ["", "NA", "NaN", "null", "?", " n/a "])
def test_missing_numbers(table, text):
    rows = replaced(7, 1, text)
    with pytest.raises(ValueError, match=r"that of 'size' in line 9 of .*table\.csv is missing \(1 such rows"):
        table(rows).load()
    assert len(samples_of(table(rows, missing="drop"))) == 29
    filled = table(rows, missing="mean", test_seed=3)
    raw = filled.load()
    known = [row[1] for row in ROWS if row[0] != 7 and row[0] in raw.train_x[:, 0].tolist()]
    assert dict(samples(filled)[7][0])["size"] == pytest.approx(np.mean(known))


def test_missing_text_and_targets(table):
    rows = replaced(7, 2, "")
    with pytest.raises(ValueError, match="'colour' in line 9"):
        table(rows).load()
    filled = table(rows, missing="mean", unseen="zeros")
    assert "colour=(missing)" in filled.feature_names or samples(filled)[7][0]["colour=red"] == 0
    assert (
        "colour=NA" in table(replaced(7, 2, "NA"), unseen="zeros", test_seed=3).feature_names
    )  # a name like any other
    target = replaced(7, 3, "")
    for missing in ("error", "mean"):
        with pytest.raises(ValueError, match="'bought' in line 9"):
            table(target, missing=missing).load()
    assert len(samples_of(table(target, missing="drop"))) == 29


@pytest.mark.parametrize("text", ["0,{}", "{}%", "{} €", "1'{}00"])
def test_numbers_in_another_notation_are_no_categories(tmp_path, text):
    rows = [(text.format(k % 7), "ab"[k % 2]) for k in range(60)]
    path = write(tmp_path / "x.csv", rows, "x;y", ";")
    with pytest.raises(ValueError, match=r"'x' holds text that looks like numbers, such as .* in line 2 of"):
        CSV(path, "y", delimiter=";").load()
    assert len(CSV(path, "y", delimiter=";", categorical=["x"], unseen="zeros").feature_names) == 7


def test_a_decimal_comma(tmp_path):
    rows = [(f"{k},5", "ab"[k % 2]) for k in range(60)]
    source = CSV(write(tmp_path / "x.csv", rows, "x;y", ";"), "y", delimiter=";", decimal=",")
    assert sorted(samples_of(source)[:, 0].tolist()) == [k + 0.5 for k in range(60)]
    with pytest.raises(ValueError, match=r"decimal must be \. or , and another"):
        CSV(source.settings.path, "y", decimal=",")


def test_a_number_that_is_none_is_found(table):
    with pytest.raises(ValueError, match=r"'size' has numbers and, in line 9 of .*, '0,5'\. Correct it, or list"):
        CSV(write_quoted(table, replaced(7, 1, '"0,5"')), "bought").load()
    with pytest.raises(ValueError, match=r"that of 'size' in line 9 .* is inf"):
        table(replaced(7, 1, "inf")).load()


def write_quoted(table, rows):
    return table(rows).settings.path


def test_an_unseen_category(table, tmp_path):
    train, test = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", [(99, 1, "pink", "yes"), (98, 1, "red", "no")])
    with pytest.raises(
        ValueError, match=r"category 'pink' of 'colour' in line 2 of .*b\.csv is not in the training part"
    ):
        CSV(train, "bought", test=test).load()
    raw = CSV(train, "bought", test=test, unseen="zeros").load()
    assert raw.test_x[0].tolist() == [99, 1, 0, 0, 0]
    assert len(raw.train_x) == 30
    other = write(tmp_path / "c.csv", [(99, 1, "red", "perhaps")])
    with pytest.raises(ValueError, match=r"every class of the test part .*'perhaps' in line 2 of .*c\.csv is not"):
        CSV(train, "bought", test=other).load()


def test_rows_of_the_test_file_that_are_trained_on(tmp_path):
    train = write(tmp_path / "a.csv")
    test = write(tmp_path / "b.csv", [(99, 1, "red", "no"), ROWS[4], ROWS[9]])
    with pytest.raises(
        ValueError, match=r"2 of the test part are also.* line 3 of .*b\.csv is line 6 of .*a\.csv.*drop"
    ):
        CSV(train, "bought", test=test).load()
    dropped, kept = (CSV(train, "bought", test=test, duplicates=how).load() for how in ("drop", "keep"))
    assert (len(dropped.train_x), len(dropped.test_x), len(kept.train_x)) == (28, 3, 30)
    assert not {4.0, 9.0} & set(dropped.train_x[:, 0].tolist())
    with pytest.raises(ValueError, match="every training sample is also in the test part"):
        CSV(train, "bought", test=train, duplicates="drop").load()


@pytest.mark.parametrize(
    ("rows", "options", "kind", "size"),
    [
        ([(k, k / 7) for k in range(40)], {}, "number", 1),
        ([(k, k % 3) for k in range(40)], {}, "class", 3),
        ([(k, k % 3) for k in range(40)], {"kind_of_y": "number"}, "number", 1),
        ([(k, k % 2, k % 3 % 2) for k in range(40)], {"target": ["y", "z"]}, "labels", 2),
        ([(k, k % 2, k % 3 % 2) for k in range(40)], {"target": ["y", "z"], "kind_of_y": "number"}, "number", 2),
        ([(k, k / 3, k / 7) for k in range(40)], {"target": ["y", "z"]}, "number", 2),
    ],
)
def test_the_kind_of_the_target(table, rows, options, kind, size):
    source = table(rows, ",".join("xyz"[: len(rows[0])]), **{"target": "y", **options})
    form = form_of(source)
    assert (form.kind_of_y, form.num_outputs) == (kind, size)
    splits = prepare(source, validation=8)
    y = np.array([row[1:] for row in rows], dtype=float)[:, :size]
    found = torch.cat([splits.train.y, splits.val.y, splits.test.y]).numpy().astype(float)
    np.testing.assert_allclose(np.sort(found.reshape(40, -1), 0), np.sort(y, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "options", "named"),
    [
        ([(k, k) for k in range(40)], {}, "40 different whole numbers in 40 rows: classes or numbers"),
        ([(k, k / 7) for k in range(40)], {"kind_of_y": "class"}, "a class is one column of text or whole numbers"),
        ([(k, "ab"[k % 2]) for k in range(40)], {"kind_of_y": "number"}, "holds numbers, and y holds text"),
        ([(k, k % 3) for k in range(40)], {"kind_of_y": "labels"}, "labels are columns of 0 and 1"),
        ([(k, k % 2, 1 - k % 2) for k in range(40)], {"target": ["y", "z"]}, "exactly one 1, as one-hot classes"),
        ([(k, 1) for k in range(40)], {"kind_of_y": "class"}, "at least two classes are needed, and 'y' has 1"),
        ([(f"name{k}", k % 2) for k in range(400)], {}, "text column 'x' has 3.. categories.*ignore=.x."),
        ([(k, k % 2) for k in range(2)], {"kind_of_y": "class"}, "test_share must leave samples"),
        ([], {}, "has none"),
        ([(k,) for k in range(3)], {}, "has no 'y'"),
        ([(0, 0), (1, 1, 1)], {}, "line 3 of .* has 3 where the first has 2"),
        ([('"a', 1)], {}, "is not CSV"),
    ],
)
def test_what_can_not_be_is_named(table, rows, options, named):
    header = ",".join("xyz"[: len(rows[0])]) if rows else "x,y"
    with pytest.raises(ValueError, match=named):
        table(rows, header, **{"target": "y", **options}).load()


def test_arguments_that_can_not_be(tmp_path, table):
    with pytest.raises(MissingDataError, match=r"no file .*none\.csv\. Set data\.source\.path"):
        CSV(str(tmp_path / "none.csv"), "y")
    with pytest.raises(MissingDataError, match=r"data\.source\.test"):
        table(test=str(tmp_path / "none.csv"))
    with pytest.raises(ValueError, match="test_share"):
        table(test_share=1.0)
    with pytest.raises(ValueError, match="delimiter"):
        table(delimiter="ab")
    with pytest.raises(ValueError, match="'x' twice"):
        table([(1, 2)], "x,x", target="x").load()
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,2\n".encode("latin1"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        CSV(str(tmp_path / "latin.csv"), "y").load()


def test_a_file_that_changes_is_read_again(table):
    source = table()
    before = source.load().train_x
    assert CSV(source.settings.path, "bought").load().train_x is before
    assert not torch.equal(table(ROWS[::-1][:25]).load().train_x, before)


@pytest.mark.parametrize("test", [False, True])
def test_parquet_gives_what_csv_gives(tmp_path, table, test):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def columns(rows):
        return dict(zip(("number", "size", "colour", "bought"), map(list, zip(*rows, strict=True)), strict=True))

    paths = []
    for name, rows in (("a", ROWS[:25]), ("b", ROWS[25:])) if test else (("a", ROWS),):
        parquet.write_table(pyarrow.table(columns(rows)), tmp_path / f"{name}.parquet")
        paths += [(str(tmp_path / f"{name}.parquet"), write(tmp_path / f"{name}.csv", rows))]
    one, other = (
        cls(paths[0][k], "bought", test=paths[1][k] if test else None) for k, cls in enumerate((Parquet, CSV))
    )
    assert one.feature_names == other.feature_names
    for part in ("train_x", "train_y", "test_x", "test_y"):
        torch.testing.assert_close(getattr(one.load(), part), getattr(other.load(), part))


def test_types_of_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import datetime

    from pyarrow import parquet

    content = {
        "flag": pyarrow.array([True, False, None] * 10),
        "kind": pyarrow.array(["1", "2", None] * 10).dictionary_encode(),
        "half": pyarrow.array([*np.arange(29, dtype=np.float16), None], pyarrow.float16()),
        "day": pyarrow.array([datetime.date(2020, 1, 1)] * 30),
        "y": pyarrow.array([0, 1] * 15, pyarrow.int8()),
    }
    path = str(tmp_path / "typed.parquet")
    parquet.write_table(pyarrow.table(content), path)
    with pytest.raises(ValueError, match=r"'day' of .* is date32.*ignore=\[day\]"):
        Parquet(path, "y").load()
    with pytest.raises(ValueError, match=r"'flag' in row 2 of .* is missing"):
        Parquet(path, "y", ignore=["day"]).load()
    source = Parquet(path, "y", ignore=["day"], missing="mean")
    assert source.feature_names == ["flag", "kind=(missing)", "kind=1", "kind=2", "half"]
    flags = torch.cat([source.load().train_x, source.load().test_x])[:, 0]
    assert all(flag in (0, 1) or math.isclose(flag, float(flags[(flags != 0) & (flags != 1)][0])) for flag in flags)
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(ValueError, match="can't be read as Parquet"):
        Parquet(str(tmp_path / "no.parquet"), "y").load()


def test_without_pyarrow_the_remedy_is_named(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.parquet").write_text("")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDataError, match=r"pip install 'paribus\[parquet\]'"):
        Parquet(str(tmp_path / "a.parquet"), "y").load()
