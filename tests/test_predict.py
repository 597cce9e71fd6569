"""`lab predict`: new rows made as the training rows were, and one line for what cannot be."""

import csv
import io
import json
import math
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lab
from lab import launch
from lab.cli import main
from lab.config import Config
from lab.errors import InputError
from lab.launch import train
from lab.loss import Loss
from lab.losses.softmax import Softmax
from lab.preparation.recipe import Recipe
from lab.runs import RunFolder

SHOP = """\
age,colour,size,bought
31,red,1.5,no
45,blue,,yes
,red,2.5,no
22,green,0.5,yes
51,blue,3.5,yes
38,red,1.0,no
29,,2.0,no
61,green,4.0,yes
33,red,1.2,yes
44,blue,3.1,no
"""
SETTINGS = {"steps": 8, "checkpoint_every": 4, "optimizer": {"kind": "sgd", "lr": 0.5}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A folder with shop.csv and a run, trained on a table with gaps and levels that is no longer there."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.csv").write_text(SHOP)
    (folder / "gone.csv").write_text(SHOP)
    data = {"kind": "csv", "target": "bought", "impute": "mean", "categorical": {"colour": "red"}}
    data["path"] = str(folder / "gone.csv")
    run = train({"data": data, "loss": {"kind": "sigmoid"}, "name": "shop", **SETTINGS}, runs=folder / "runs")
    (folder / "gone.csv").unlink()
    shutil.move(run.path, folder / "run")
    return folder


def predicted(folder: Path, text: str, capsys) -> list[dict[str, str]]:
    (folder / "new.csv").write_text(text)
    assert main(["predict", str(folder / "run"), str(folder / "new.csv")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return list(csv.DictReader(io.StringIO(out)))


def last(run: Path) -> dict:
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def fits(rows: list[dict[str, str]], labels: list[str], run: Path) -> bool:
    """Whether predictions of the training rows have the run's own last loss and accuracy."""
    loss = -sum(math.log(float(row[f"P({label})"])) for row, label in zip(rows, labels, strict=True)) / len(rows)
    right = sum(next(iter(row.values())) == label for row, label in zip(rows, labels, strict=True)) / len(rows)
    return math.isclose(loss, last(run)["loss/train"], rel_tol=1e-12) and right == last(run)["accuracy/train"]


def test_the_training_rows_predicted_have_the_runs_own_loss_and_accuracy(shop, capsys, monkeypatch):
    rows, labels = predicted(shop, SHOP, capsys), [line.split(",")[-1] for line in SHOP.split()[1:]]
    assert list(rows[0]) == ["bought", "P(no)", "P(yes)"]
    assert fits(rows, labels, shop / "run")
    # Each mistake that this test is there to see: one that scales otherwise, one that fills gaps otherwise.
    monkeypatch.setattr(Recipe, "rows", lambda self, codes, made=Recipe.rows: made(self, codes) * 1.001)
    assert not fits(predicted(shop, SHOP, capsys), labels, shop / "run")
    monkeypatch.undo()
    assert not fits(predicted(shop, SHOP.replace("45,blue,,", "45,blue,0,"), capsys), labels, shop / "run")


def test_columns_are_matched_by_name_and_others_may_be_there(shop, capsys):
    rows = predicted(shop, "note,size,colour,age\nx,1.5,red,31\ny,,,\n", capsys)
    assert rows[0] == predicted(shop, SHOP, capsys)[0]
    assert rows != predicted(shop, "size,colour,age\n31,red,1.5\n,,\n", capsys)
    # A row of gaps alone is the row of what fills them.
    fill = {c["name"]: c["fill"] for c in json.loads((shop / "run" / "preparation.json").read_text())["columns"]}
    assert rows[1] == predicted(shop, "size,colour,age\n{size!r},{colour},{age!r}\n".format(**fill), capsys)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,colour\n1,red\n", "new.csv: the run needs every feature it was trained on: no column 'size' (allowed:"),
        ("Age,colour,size\n1,red,1\n", "new.csv: the run needs every feature it was trained on: no column 'age'; did"),
        ("age,colour,size\n1,red,1\n2,Red,1\n", "new.csv:3: column 'colour': no training row has level 'Red'; did you"),
        ("age,colour,size\nold,red,1\n", "new.csv:2: column 'age': text 'old' in a numeric column; write a number"),
        ("age,colour,size\ninf,red,1\n", "new.csv:2: column 'age': 'inf' is not finite"),
        ("age,colour,size\n", "new.csv: a header and no rows"),
        ("", "new.csv:1: the file is empty"),
        ("age,colour,size\n1,red\n", "new.csv:2: column 'size': the row ends before it"),
    ],
)
def test_rows_that_cannot_be_used_are_one_line_and_nothing_is_written(shop, capsys, monkeypatch, text, said):
    monkeypatch.chdir(shop)
    Path("new.csv").write_text(text)
    before = sorted(shop.rglob("*"))
    assert main(["predict", "run", "new.csv", "--out", "out.csv"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert sorted(shop.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "lab predict: name a run and a file of rows"),
        (["run", "shop.csv", "more"], "lab predict: name a run and a file of rows"),
        (["absent", "shop.csv"], "absent: no such run"),
        (["runs", "shop.csv"], "runs: not a run"),
        (["run", "absent.csv"], "absent.csv: no such file; name one of new rows"),
        (["run", "runs"], "runs: is a directory"),
        (["run", "shop.csv", "--out", "no/out.csv"], "--out: no/out.csv cannot be written"),
        (["run", "shop.csv", "--out", "runs"], "--out: runs cannot be written"),
        (
            ["run", "shop.csv", "--out", "./shop.csv"],
            "--out: ./shop.csv is the file of rows itself; choose another place",
        ),
    ],
)
def test_a_call_that_means_nothing_is_one_line(shop, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(shop)
    assert main(["predict", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


CELLS = st.sampled_from(["1", "-2.5", "", "red", "blue", "Red", "1e999", "nan", "x", '"', "\0", " ", "1e308"])
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=4).map(",".join), max_size=4)
FILES = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.sampled_from(["age,colour,size", "size,age,colour,x", "age,colour", "age;colour;size"]), ROWS).map(
        lambda parts: "\n".join([parts[0], *parts[1]]).encode()
    ),
)


@pytest.fixture(scope="module")
def opened(shop):
    """The shop's run and config, read once for all examples: reading a config takes long."""
    return launch.reopen(shop / "run")


def refusal(opened: tuple[RunFolder, Config], file: Path) -> str:
    """What is said of predicting a file by the opened run; nothing where it is predicted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "reopen", lambda run: opened)
        try:
            prediction = lab.predict("run", file)
        except InputError as refused:
            return str(refused)
    chances = prediction.probabilities
    assert chances.sum(dim=1).tolist() == pytest.approx([1] * len(chances))
    return ""


@settings(max_examples=60, deadline=None)
@given(content=FILES)
def test_any_bytes_are_predicted_or_one_line(shop, opened, content):
    (shop / "fuzz.csv").write_bytes(content)
    said = refusal(opened, shop / "fuzz.csv")
    assert len(said.splitlines()) <= 1
    assert said == "" or said.startswith((f"{shop / 'fuzz.csv'}:", "data: "))


@settings(max_examples=30, deadline=None)
@given(
    start=st.integers(0, 500), length=st.integers(0, 30), junk=st.sampled_from(["", "1", '"a"', "null", "]", "{", "\0"])
)
def test_an_edited_preparation_is_used_or_one_line(shop, opened, start, length, junk):
    path = shop / "run" / "preparation.json"
    whole = path.read_text()
    path.write_text(whole[:start] + junk + whole[start + length :])
    try:
        assert len(refusal(opened, shop / "shop.csv").splitlines()) <= 1
    finally:
        path.write_text(whole)


def test_a_run_from_before_there_was_a_preparation_says_so(shop, tmp_path, capsys):
    shutil.copytree(shop / "run", tmp_path / "run")
    (tmp_path / "run" / "preparation.json").unlink()
    assert main(["predict", str(tmp_path / "run"), str(shop / "shop.csv")]) == 2
    assert "preparation.json: no such file; it was lost, or the run is older" in capsys.readouterr().err


def test_a_run_that_has_not_finished_predicts_from_where_it_is_and_says_so(shop, tmp_path, capsys):
    shutil.copytree(shop / "run", tmp_path / "run")
    (tmp_path / "run" / "status.json").write_text('{"status": "interrupted"}')
    assert main(["predict", str(tmp_path / "run"), str(shop / "shop.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (
        f"{tmp_path / 'out.csv'}\n",
        f"{tmp_path / 'run'}: interrupted at step 8, predicting from there\n",
    )
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 11


OPTIONS = st.sampled_from(
    [
        "impute=mean",
        "impute=drop",
        "impute=mode",
        "impute=0",
        "categorical={colour: red}",
        "categorical.colour=blue",
        "categorical=colour",
        "categorical={age: 31, colour: [1]}",
        "categorical={size: null}",
        "categorical.bought=no",
        "features=[age]",
        "features=[colour, age]",
        "target=[age, bought]",
        "target=colour",
        "kind=libsvm",
        "kind=parquet",
    ]
)


@settings(max_examples=30, deadline=None)
@given(chosen=st.lists(OPTIONS, max_size=3, unique=True))
def test_any_preparation_is_sized_or_one_line_and_nothing_is_written(shop, chosen):
    config = {"data": {"kind": "csv", "path": str(shop / "shop.csv"), "target": "bought"}, "loss": {"kind": "softmax"}}
    (shop / "c.yaml").write_text(json.dumps(config | SETTINGS))
    before = sorted(shop.rglob("*"))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as err:
        code = main(["train", str(shop / "c.yaml"), "--dry-run", *(f"data.{option}" for option in chosen)])
    assert (code, err.getvalue().count("\n")) in {(0, 0), (2, 1)}
    assert sorted(shop.rglob("*")) == before


def test_a_run_with_gaps_and_levels_is_resumed_to_the_bit(tmp_path):
    (tmp_path / "shop.csv").write_text(SHOP)
    data = {"kind": "csv", "path": str(tmp_path / "shop.csv"), "target": "bought", "validation": 0.2}
    data |= {"impute": "median", "categorical": {"colour": None}}
    run = train({"data": data, "loss": {"kind": "softmax"}, "probes": {}, **SETTINGS}, runs=tmp_path)
    whole = (run.path / "metrics.jsonl").read_bytes()
    (run.path / "checkpoints" / "step-00000008.pt").unlink()
    assert main(["train", "--resume", str(run.path)]) == 0
    assert (run.path / "metrics.jsonl").read_bytes() == whole


def test_a_data_set_without_a_file_takes_rows_as_csv(tmp_path, tiny, configs):
    run = train({**tiny, "probes": {"fit": {}}}, runs=tmp_path)
    header = ",".join(run.experiment.data.features[:-1])
    (tmp_path / "new.csv").write_text(f"{header}\n5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    prediction = lab.predict(run.path, tmp_path / "new.csv")
    assert prediction.predicted == ["setosa", "virginica"]
    assert next(prediction.table()) == ["class", "P(setosa)", "P(versicolor)", "P(virginica)"]


def test_labels_are_predicted_each_for_itself_and_a_sparse_file_may_end_early(tmp_path):
    path = tmp_path / "t.libsvm"
    path.write_text("1,2 1:1 2:0.5\n2 1:-1\n 2:2\n1 1:2 3:1\n")
    data = {"kind": "libsvm", "path": str(path), "multilabel": True}
    run = train({"data": data, "loss": {"kind": "sigmoid"}, "probes": {"fit": {}}, **SETTINGS}, runs=tmp_path)
    prediction = lab.predict(run.path, path)
    assert prediction.multilabel
    y = torch.tensor([[1, 1], [0, 1], [0, 0], [1, 0]])
    chance = torch.where(y == 1, prediction.probabilities, 1 - prediction.probabilities)
    assert float(-chance.log().sum(dim=1).mean()) == pytest.approx(run.metrics.rows[-1]["loss/train"], rel=1e-12)
    assert next(prediction.table()) == ["1", "2", "P(1)", "P(2)"]
    (tmp_path / "new").write_text("0 1:1 2:0.5 9:4\n")
    assert lab.predict(run.path, tmp_path / "new").probabilities.tolist() == [prediction.probabilities[0].tolist()]


def test_a_loss_that_tells_no_probabilities_is_one_line(tmp_path, tiny, monkeypatch):
    run = train({**tiny, "probes": {}}, runs=tmp_path)
    monkeypatch.setattr(Softmax, "probabilities", Loss.probabilities)
    (tmp_path / "new.csv").write_text(f"{','.join(run.experiment.data.features[:-1])}\n5.1,3.5,1.4,0.2\n")
    with pytest.raises(InputError, match=r"^loss\.kind: Softmax does not say"):
        lab.predict(run.path, tmp_path / "new.csv")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_probabilities_are_exact_in_both_tails(dtype):
    z = torch.tensor([[80.0], [-80.0], [0.0]], dtype=dtype)
    p = lab.losses.Sigmoid().probabilities(z, 2)
    tail = math.exp(-80) / (1 + math.exp(-80))
    assert p[0, 0].item() == pytest.approx(tail, rel=4 * torch.finfo(dtype).eps)
    assert p[1, 1].item() == pytest.approx(tail, rel=4 * torch.finfo(dtype).eps)
    assert p[2].tolist() == [0.5, 0.5]
    assert lab.losses.Sigmoid().probabilities(z.expand(3, 2), 2).shape == (3, 2)
    torch.testing.assert_close(Softmax().probabilities(torch.cat([torch.zeros_like(z), z], dim=1), 2), p)
