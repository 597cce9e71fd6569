"""Theorems on runs off their own configs: what is true is not said to fail, and what is not supposed does not apply."""

import re

import pytest

from lab import catalog, config, launch, rate
from lab.console import Silent
from lab.events import summary
from lab.experiment import assemble
from lab.panel import setting
from lab.theorem import Outcome, Trail, rule, supposed


def made(name, configs, *changes):
    texts = [
        f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for each in changes
        for key, value in each.items()
    ]
    return assemble(config.load(configs / "theorems" / f"{name}.yaml", texts))


def verdict(name, configs, tmp_path, *changes):
    """What the last row says of a theorem on its own config, changed."""
    lean = {"theorems": f"[{name}]", "probes": "{}"}
    last = launch.launch(made(name, configs, lean, *changes), tmp_path, Silent(), []).folder.metrics()[-1]
    return last[f"theorem/{name}/verdict"], last[f"theorem/{name}/figures"]


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_a_rate_that_is_not_reached_yet_is_no_failure(seed, configs, tmp_path):
    """Three hundred steps on other rows, where each slope is still on its way."""
    rows = {"data.seed": seed, "data.d": 2, "optimizer.lr": 2.0, "steps": 300, "theorems": "[flattening, max_margin]"}
    last = launch.launch(made("max_margin", configs, rows), tmp_path, Silent(), []).folder.metrics()[-1]
    for name in ("flattening", "max_margin"):
        assert last[f"theorem/{name}/verdict"] in ("held", "nothing can be told"), last[f"theorem/{name}/figures"]


@pytest.mark.parametrize("lr", [5.0, 0.5])
def test_a_run_that_is_on_its_way_to_the_minimum_is_no_cycle(lr, configs, tmp_path):
    rows = {"data.seed": 261681, "data.n": 40, "data.d": 1, "steps": 20, "optimizer.lr": lr}
    outcome, figures = verdict("period_doubling", configs, tmp_path, rows)
    assert outcome == "nothing can be told"
    assert "on its way" in figures


def test_newtons_exponent_is_2_to_within_what_a_turn_of_direction_does(configs, tmp_path):
    """Three steps in all but a line, at 1.999: their own interval is 0.0009 wide, and says nothing of the direction."""
    rows = {"data.seed": 369686, "data.n": 300, "data.d": 5, "seed": 730}
    assert verdict("newton_convergence", configs, tmp_path, rows)[0] == "held"


def test_the_information_equality_supposes_a_row_for_each_block(configs, tmp_path):
    outcome, figures = verdict("information_equality", configs, tmp_path, {"data.n": 100, "data.d": 4, "steps": 20})
    assert outcome == "does not apply here"
    assert "at least 128 rows" in figures


def test_a_row_a_little_outside_the_margin_is_no_failure(configs, tmp_path):
    """Ten rows, seen in a search among hundreds of draws: what is bounded rises at 0.21/γ for a thousand steps."""
    rows = {"data.seed": 231122, "data.n": 10, "optimizer.lr": 2.0, "steps": 300}
    outcome, figures = verdict("max_margin", configs, tmp_path, rows)
    assert outcome == "nothing can be told"
    assert "it may yet come to be that" in figures


def test_a_direction_that_is_not_the_widest_margins_fails(configs, tmp_path):
    """Runs on its own config, with every distance from û made 0.5: then its product with log t rises at a half."""
    run = launch.launch(made("max_margin", configs, {"probes": "{}"}), tmp_path, Silent(), [])
    rows = [row | {tag: 0.5 for tag in row if tag.endswith("/apart")} for row in run.folder.metrics()]
    experiment = made("max_margin", configs)
    trail = Trail(setting(experiment), "max_margin", rows, run.folder.load_checkpoint()[1]["theta"])
    ruling = rule("max_margin", catalog.get("theorems", "max_margin")(), trail, ())
    assert ruling.outcome is Outcome.FAILED
    assert "‖θ/‖θ‖ − û‖ log t" in ruling.figures


@pytest.mark.parametrize(("lr", "applies"), [(0.5, True), (5.0, False)])
def test_flattening_of_softmax_supposes_short_steps(lr, applies, tiny):
    rows = {"kind": "synthetic", "task": "multiclass", "n": 20, "d": 3, "separable": True}
    changes = {"data": rows, "loss": {"kind": "softmax"}, "optimizer": {"kind": "sgd", "lr": lr}, "probes": {}}
    found = supposed(catalog.get("theorems", "flattening")(), setting(assemble(config.from_mapping(tiny | changes))))
    assert all(condition.met for condition in found) is applies
    assert any(condition.what == "lr below 2/B" for condition in found)


def test_a_rank_is_not_told_where_the_hessian_is_exactly_zero(configs, tmp_path):
    """Large columns saturate every p in float32: no eigenvalue is above its radius, and both are 0."""
    far = {"dtype": "float32", "steps": 3, "optimizer.lr": 3.8, "data.standardize": False}
    said, figures = verdict("hessian_rank", configs, tmp_path, far)
    assert said == "nothing can be told", figures
    assert "the last eigenvalue before" in figures


def test_an_order_that_noise_hides_is_no_number(configs, tmp_path):
    """Rows so long that rounding of the value hides what the second-order model leaves at every h."""
    lean = {"theorems": "[second_order_model]", "probes": "{}", "dtype": "float32", "init": 100.0, "steps": 4}
    rows = launch.launch(made("second_order_model", configs, lean), tmp_path, Silent(), []).folder.metrics()
    name = "theorem/second_order_model/"
    assert any(name + "excess" in row for row in rows)
    assert not any(row.get(name + "order", 0.0) != row.get(name + "order", 0.0) for row in rows)
    assert rows[-1][name + "verdict"] in ("held", "nothing can be told"), rows[-1][name + "figures"]


def test_newton_is_measured_in_float32_too(configs, tmp_path):
    said, figures = verdict("newton_convergence", configs, tmp_path, {"dtype": "float32"})
    assert said in ("held", "nothing can be told"), figures


def test_a_minimum_that_training_begins_at_cannot_be_seen_to_repel(configs, tmp_path):
    rows = tmp_path / "even.csv"
    rows.write_text("x,label\n1,yes\n-1,yes\n1,no\n-1,no\n")
    data = f"{{kind: csv, path: {rows}, target: label, standardize: false, intercept: false}}"
    said, figures = verdict("period_doubling", configs, tmp_path, {"data": data, "steps": 20, "optimizer.lr": 10})
    assert said == "nothing can be told", figures
    assert "training began at it, lr·λ₁ = 2.5" in figures


def test_rows_that_have_an_intercept_are_not_drawn_from_a_model_without(configs):
    experiment = made("information_equality", configs, {"data.n": 2000, "data.intercept": False})
    (*_, last) = supposed(catalog.get("theorems", "information_equality")(), setting(experiment))
    assert last.what == "rows drawn from the model"
    assert not last.met


def test_a_contraction_faster_than_promised_is_no_failure(configs, tmp_path):
    """By symmetry almost nothing of the distance lies along the slowest direction of these rows."""
    rows = "{kind: synthetic, task: multiclass, n: 20, d: 1, seed: 163}"
    said, figures = verdict(
        "ridge_contraction",
        configs,
        tmp_path,
        {"data": rows, "ridge": 0.2, "steps": 100, "optimizer.lr": 2.6899971555427222},
    )
    assert said == "nothing can be told", figures
    assert "slope -0.9094" in figures
    slow = rate.Slope(-0.5, 0.01, 0, 30, 30)
    assert rate.contraction("", slow, -0.7, 0.2, 0.0).holds is False
    assert rate.contraction("", slow, -0.5, 0.2, 0.0).holds is True


@pytest.mark.parametrize("init", [0.0, 1.0])
def test_data_that_are_all_0_make_no_theorem_fail(init, tmp_path):
    """A single training row, standardised, is 0 in every column: loss and curvature stand still."""
    data = {"kind": "synthetic", "task": "binary", "n": 2, "d": 2, "validation": 0.5, "intercept": False}
    names = catalog.names("theorems")
    made_of = {"data": data, "loss": {"kind": "softmax"}, "init": init, "steps": 4, "theorems": names}
    run = launch.train({**made_of, "optimizer": {"kind": "sgd", "lr": 0.1}, "probes": {}}, runs=tmp_path)
    assert run.status == "finished", run.folder.status()
    last = run.metrics.rows[-1]
    assert last["theorem/self_bound/verdict"] == last["theorem/bohning_bound/verdict"] == "held"
    assert last["theorem/zero_start/verdict"] == ("does not apply here" if init else "held")


def test_tensorboard_shows_the_verdicts_as_a_table_with_its_cells_as_they_stand():
    from markdown import markdown

    words = "| theorem | figures |\n|---|---|\n| self_bound | \\|log μ\\| <b> *is* 0.3 |"
    page = markdown(summary.text("", words).tensor.string_val[0].decode(), extensions=["markdown.extensions.tables"])
    assert re.findall("<t[hd]>(.*)</t[hd]>", page) == ["theorem", "figures", "self_bound", "|log μ| &lt;b&gt; *is* 0.3"]
    assert "<table>" not in markdown(summary.text("", "| a |").tensor.string_val[0].decode())
