"""A twin trained by autograd stays within rounding of a right derivation, and parts from a wrong one at once."""

from test_trainer import Heard, plant, start


def test_a_twin_stays_within_rounding(tiny, tmp_path):
    run = start({**tiny, "twin": "autograd", "steps": 20}, tmp_path)
    for row in run.metrics.rows:
        assert row["check/twin"] <= 1
        assert row["twin/drift"] <= row["twin/allowed"] < 1e-12


def test_a_twin_names_the_first_step_at_which_it_parts(tiny, tmp_path, monkeypatch):
    plant(monkeypatch, "value_and_gradient", lambda vg: (vg[0], vg[1] * (1 + 1e-6)))
    heard = Heard()
    run = start({**tiny, "twin": "autograd", "probes": {}}, tmp_path, heard)
    assert run.status == "failed"
    assert heard.said[0].startswith("step 1: twin disagrees with autograd at theta[")
    assert run.metrics.rows[0]["check/twin"] == 0
    assert run.folder.load_checkpoint()[1]["lockstep"]["parted"] == 1
