"""Weights of rows and of their labels come from the data that a config names, and weigh what is trained."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from lab import launch
from lab.config import from_mapping
from lab.datasets.csv import Csv
from lab.datasets.npz import Npz
from lab.errors import InputError
from lab.experiment import assemble

WEIGHT, POS = (0.7, 1.2), (2.0, 0.5)


@pytest.fixture
def labels(write) -> str:
    """Two labels of 40 rows, each with a weight, one of which is 0."""
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(40, 3)), 3 * rng.random((40, 2))
    y = (x[:, :2] + rng.normal(size=(40, 2)) > 0).astype(int)
    w[4, 1] = 0
    rows = [",".join(map(repr, [*a.tolist(), *b.tolist(), *c.tolist()])) for a, b, c in zip(x, y, w, strict=True)]
    return write("\n".join(["a,b,c,p,q,wp,wq", *rows]))


def config(path: str, weight, loss, **data):
    optimizer = {"kind": "sgd", "lr": 0.1}
    given = {"kind": "csv", "path": path, "target": ["p", "q"], "features": ["a", "b", "c"], "weight": weight}
    return {"name": "weights", "data": given | data, "loss": loss, "steps": 3, "optimizer": optimizer}


@pytest.mark.parametrize("weight", ["wq", ["wp", "wq"]], ids=str)
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("options", [{}, {"weight": list(WEIGHT)}, {"weight": list(WEIGHT), "pos_weight": list(POS)}])
def test_the_problem_is_torch_s_with_each_element_s_weight(weight, average, reduction, options, labels):
    loss = {"kind": "sigmoid", "average": average, "reduction": reduction, **options}
    p = assemble(from_mapping(config(labels, weight, loss))).full
    table = Csv(labels, ["p", "q"], features=["a", "b", "c"], weight=weight).load()
    theta = torch.randn(p.shape, generator=torch.Generator().manual_seed(0), dtype=p.X.dtype)
    each, rho = (
        torch.tensor(options[key], dtype=p.X.dtype) if key in options else None for key in ("weight", "pos_weight")
    )
    w = torch.tensor(table.weight) * (1 if each is None else each)
    truth = functional.binary_cross_entropy_with_logits(
        p.X @ theta, torch.tensor(table.y).to(p.X), w, reduction="sum", pos_weight=rho
    )
    assert float(p.value(theta)) == pytest.approx(
        float(truth) / (2 if average else 1) / (p.N if reduction == "mean" else 1), rel=1e-12
    )


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_run_on_weighed_labels_is_trained_judged_and_validated(batch_size, labels, tmp_path):
    probes = {name: {"every": 1} for name in ("fit", "gradient", "hvp", "hessian", "histograms", "landscape")}
    made = config(labels, ["wp", "wq"], {"kind": "sigmoid"}, validation=0.2) | {"probes": probes}
    run = launch.train(made | {"batch_size": batch_size}, runs=tmp_path)
    assert run.status == "finished"
    assert all(row["check/gradient"] <= 1 and row["check/hvp"] <= 1 for row in run.metrics.rows)
    assert len(run.metrics["loss/validation"]) == len(run.metrics["loss/train"])


def test_margins_are_the_labels_own_whatever_they_weigh(labels):
    p = assemble(from_mapping(config(labels, ["wp", "wq"], {"kind": "sigmoid"}))).full
    z = torch.arange(80.0, dtype=p.X.dtype).view(40, 2)
    assert torch.equal(p.loss.margin(z, p.y), p.loss.margin(z, p.y[..., 0]))


def test_an_npz_names_its_weights_by_array(folder):
    X, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([[0, 1], [1, 0], [1, 1]] * 2)
    np.savez(
        "t.npz",
        X=X,
        y=y,
        rows=np.arange(6.0),
        labels=np.arange(12.0).reshape(6, 2),
        bad=-np.ones(6),
        wide=np.ones((6, 3)),
    )
    assert Npz("t.npz", weight="rows").load().weight.tolist() == np.arange(6.0)[:, None].tolist()
    assert Npz("t.npz", weight="labels").load().weight.tolist() == np.arange(12.0).reshape(6, 2).tolist()
    for weight, said in (("bad", r"bad\[0\] is -1\.0; store"), ("wide", "store real numbers"), ("none", "no array")):
        with pytest.raises(InputError, match=said):
            Npz("t.npz", weight=weight).load()


def test_a_weight_is_no_feature_unless_it_is_listed_as_one_and_then_it_is_refused(write):
    path = write("a,y,w\n1,0,2\n2,1,0\n3,1,0.5\n")
    assert Csv(path, "y", weight="w").load().features == ("a",)
    with pytest.raises(InputError, match="column 'w' is a weight, and a target or feature too"):
        Csv(path, "y", features=["a", "w"], weight="w").load()


@pytest.mark.parametrize(
    ("cell", "said"),
    [("-1", r"t\.csv:3: column 'w': -1 is no weight"), ("", r"t\.csv:3: column 'w': missing value in the weight")],
)
def test_a_cell_that_is_no_weight_is_told_by_its_place(cell, said, write):
    with pytest.raises(InputError, match=said):
        Csv(write(f"a,y,w\n1,0,2\n2,1,{cell}\n3,1,1\n"), "y", weight="w").load()


def test_a_loss_without_weights_of_rows_says_which_has_them(write):
    path = write("a,y,w\n1,0,2\n2,1,0\n3,1,1\n")
    made = config(path, "w", {"kind": "softmax"}, target="y", features=["a"])
    with pytest.raises(InputError, match=r"loss: data\.weight weighs rows, .* use sigmoid"):
        assemble(from_mapping(made))
    made["data"]["weight"] = ["w", "w"]
    with pytest.raises(InputError, match="name one, or one for each target"):
        assemble(from_mapping(made))


def test_rows_none_of_which_counts_are_refused(tmp_path):
    rows = {"X": np.arange(24.0).reshape(12, 2), "y": np.arange(12) % 2}
    np.savez(tmp_path / "t.npz", **rows, w=np.zeros(12))
    weighed = config(str(tmp_path / "t.npz"), "w", {"kind": "sigmoid"})
    data = {"kind": "npz", "path": str(tmp_path / "t.npz")}
    with pytest.raises(InputError, match=r"^data\.weight: every training row has the weight 0, and there is nothing"):
        assemble(from_mapping(weighed | {"data": data | {"weight": "w"}}))
    for loss, said in (
        ({"kind": "sigmoid", "weight": [0.0]}, r"^loss: weight: every label has the weight 0"),
        ({"kind": "softmax", "weight": [0.0, 0.0]}, r"^loss: by its weights or ignore_index no training row counts"),
    ):
        with pytest.raises(InputError, match=said):
            assemble(from_mapping(weighed | {"data": data, "loss": loss}))
    assert assemble(from_mapping(weighed | {"data": data, "loss": {"kind": "softmax", "weight": [0.0, 1.0]}}))
