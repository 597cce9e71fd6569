"""The command says what it did, and what is wrong with its input in one line."""

import json
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import catalog, config
from lab.cli import main
from lab.problem import Problem


def said(capsys) -> tuple[str, str]:
    out = capsys.readouterr()
    return out.out, out.err


QUICK = ["breast_cancer", "csv", "multilabel", "newton"]
OTHERS = ["iris", "wine", "digits", "minibatch", "imbalanced"]


@pytest.mark.parametrize("config", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_every_config_of_the_repository_trains_and_passes_its_checks(config, configs, tmp_path, capsys):
    # torch.func.hessian of digits takes seconds; the other configs judge theirs.
    less = ["probes.hessian=null"] if config == "digits" else []
    assert main(["train", str(configs / f"{config}.yaml"), "--runs", str(tmp_path), *less]) == 0
    out, err = said(capsys)
    assert err == ""
    for expected in (
        "finished after step",
        "gradient against autograd",
        "agrees, judged",
        "λ₁ = ",
        "rank at least " if config == "digits" else "λ_min = ",  # of digits' eigenvalues rounding hides some
    ):
        assert expected in out
    assert "definite: " in out
    (run,) = tmp_path.glob(f"{config}/*")
    assert str(run) in out
    assert re.search(r"TensorBoard +\S.* board ", out)


def test_every_config_of_the_repository_has_a_test(configs):
    assert {path.stem for path in configs.glob("*.yaml")} == {*QUICK, *OTHERS}


def test_newton_has_its_hessian_judged_at_every_step_as_its_config_says(configs):
    assert config.load(configs / "newton.yaml").probes["hessian"].every == 1


def test_newton_reaches_machine_precision_in_its_dozen_steps(configs, tmp_path):
    assert main(["train", str(configs / "newton.yaml"), "--runs", str(tmp_path), "probes.hessian=null"]) == 0
    (run,) = tmp_path.glob("newton/*")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step/gradient_norm"] < 1e-14


def test_the_digits_say_why_92_eigenvalues_are_zero(configs, tmp_path, capsys):
    arguments = ["train", str(configs / "digits.yaml"), "--runs", str(tmp_path), "steps=1", "probes.hessian=null"]
    assert main(arguments) == 0
    out, _ = said(capsys)
    assert "92 zero eigenvalues: 62 as softmax ignores a common shift, 30 as 3 columns of X depend on the others" in out
    assert "rank 558" in out


def test_a_dry_run_prints_sizes_and_memory_and_writes_nothing(configs, tmp_path, capsys):
    assert main(["train", str(configs / "digits.yaml"), "--runs", str(tmp_path / "runs"), "--dry-run"]) == 0
    out, _ = said(capsys)
    assert "1797 training rows" in out
    assert "D·K = 650 in float64" in out
    assert "650 × 650, takes 3.22 MiB" in out
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_notes_what_is_asked_for_beyond_what_there_is(configs, capsys):
    words = ["train", str(configs / "iris.yaml"), "--dry-run"]
    assert main([*words, "batch_size=1000", "probes.spectrum.top=99"]) == 0
    out, _ = said(capsys)
    assert "batch_size is 1000, and every batch is the whole 150 training rows" in out
    assert "probes.spectrum.top is 99, and there are 15 eigenvalues" in out
    assert main([*words, "batch_size=150", "probes.spectrum.top=15"]) == 0
    assert "notes" not in said(capsys)[0]
    few = ["data.kind=synthetic", "data.task=multiclass", "data.n=30", "data.d=1", "data.k=2"]
    assert main([*words, *few]) == 0  # 4 parameters, and 5 eigenvalues that nobody asked for
    assert "there are 4 eigenvalues" not in said(capsys)[0]
    assert main([*words, *few, "data.n=2", "data.validation=0.5", "data.k=2", "batch_size=9"]) == 0
    out, _ = said(capsys)
    assert "1 training row, 1 for validation" in out
    assert "every batch is the one training row" in out


def test_a_failed_check_exits_1_and_says_where(configs, tmp_path, capsys, monkeypatch):
    right = Problem.value_and_gradient
    monkeypatch.setattr(
        Problem, "value_and_gradient", lambda self, theta: (right(self, theta)[0], -right(self, theta)[1])
    )
    arguments = ["train", str(configs / "iris.yaml"), "--runs", str(tmp_path), "steps=3", "twin=null"]
    assert main([*arguments, "probes.hessian=null"]) == 1
    out, err = said(capsys)
    assert err.startswith("step 0: gradient disagrees with autograd at theta[")
    assert "FAILED at 4 of 4 steps, first at step 0" in out
    assert "ours / truth = −1 everywhere: y − p in place of p − y; change the sign" in out
    assert "which says nothing of steps by a derivation that is wrong" in out
    assert "is stable here" not in out


WRONG = {
    "no config": (["train"], "no config given"),
    "no such file": (["train", "missing.yaml"], "missing.yaml"),
    "unknown verb": (["trian"], "did you mean 'train'?"),
    "a key as an option": (["train", "x.yaml", "--lr", "3"], "a key of the config is set without dashes"),
    "unknown option": (["train", "x.yaml", "--fast"], "lab train: unknown option '--fast'"),
    "a word too many": (["schema", "foo"], "lab schema: 'foo' is a word too many; leave it out (see"),
    "unknown key": (["train", "{configs}/iris.yaml", "stepz=3"], "did you mean 'steps'?"),
    "wrong type": (["train", "{configs}/iris.yaml", "steps=ten"], "must be a whole number"),
    "unknown kind": (["train", "{configs}/iris.yaml", "loss.kind=softmaxx"], "did you mean 'softmax'?"),
    "loss and data disagree": (["train", "{configs}/iris.yaml", "loss.kind=sigmoid"], "use softmax"),
    "no such device": (["train", "{configs}/iris.yaml", "device=cuda:99"], "device: "),
    "resume and config": (["train", "x.yaml", "--resume", "y"], "leave CONFIG and the rest out"),
    "resume nothing": (["train", "--resume", "nothing"], "no such run"),
    "board of nothing": (["board", "nothing"], "no such run"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_on_stderr_and_exit_2(case, configs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, expected = WRONG[case]
    assert main([word.format(configs=configs) for word in arguments]) == 2
    out, err = said(capsys)
    assert out == ""
    assert err.count("\n") == 1
    assert expected in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["iris", "iris.yaml"])
def test_a_config_that_is_in_the_configs_folder_is_named(word, configs, tmp_path, capsys, monkeypatch):
    shutil.copytree(configs, tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    assert main(["train", word]) == 2
    assert said(capsys)[1] == f"{word}: no such file; did you mean '{Path('configs') / 'iris.yaml'}'?\n"


@pytest.mark.parametrize(("word", "meant"), [("irsi", "iris"), ("multilable", "multilabel"), ("nope", None)])
def test_a_config_that_is_not_there_is_guessed_at_by_its_name_without_the_ending(word, meant, configs, capsys):
    assert main(["train", str(configs / f"{word}.yaml")]) == 2
    remedy = f"did you mean '{configs / f'{meant}.yaml'}'?" if meant else "check the path"
    assert said(capsys)[1] == f"{configs / f'{word}.yaml'}: no such file; {remedy}\n"


@pytest.mark.parametrize("verb", ["train", "sweep", "report"])
def test_a_command_to_copy_starts_the_program_as_it_was_started(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / ".venv" / "bin" / "lab"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [".venv/bin/lab", verb])
    monkeypatch.setenv("PATH", "")
    assert main([verb]) == 2
    assert f"as in `.venv/bin/lab {verb} " in said(capsys)[1]


def test_resuming_what_is_finished_says_so(configs, tmp_path, capsys):
    assert main(["train", str(configs / "iris.yaml"), "--runs", str(tmp_path), "steps=1", "probes.hessian=null"]) == 0
    out, _ = said(capsys)
    assert "resumed" not in out
    (run,) = (tmp_path / "iris").iterdir()
    assert main(["train", "--resume", str(run)]) == 0
    assert "had come to its end before" in said(capsys)[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(overrides=st.lists(st.text(min_size=1, max_size=20).filter(lambda s: not s.startswith("-")), max_size=3))
def test_no_override_ends_in_a_traceback(overrides, configs, tmp_path, capsys):
    code = main(["train", str(configs / "iris.yaml"), "--dry-run", "--runs", str(tmp_path), *overrides])
    out, err = said(capsys)
    assert code in (0, 2)
    assert (code == 2) == (err.count("\n") == 1) == (out == "")


def test_schema_covers_every_kind(capsys):
    assert main(["schema"]) == 0
    text = said(capsys)[0]
    assert json.loads(text)["$schema"].endswith("2020-12/schema")
    for folder in ("losses", "models", "datasets", "optimizers", "probes"):
        for name in catalog.names(folder):
            assert f'"{name}"' in text
    assert '"adamw"' in text


def test_configs_name_the_schema(configs):
    assert (configs / "schema.json").is_file()
    for path in configs.glob("*.yaml"):
        assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


def test_help_shows_an_example_for_every_verb(capsys):
    for verb in catalog.names("verbs"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        out, _ = said(capsys)
        assert f"example: lab {verb}" in out
        assert out.startswith(f"usage: lab {verb} [-h]")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["sweep", "--help"]])
def test_help_says_where_the_keys_of_a_config_are_listed(words, capsys):
    with pytest.raises(SystemExit):
        main(words)
    out, _ = said(capsys)
    assert "`lab schema`" in out
    assert "docs/runs.md" in out


def test_the_version_is_that_of_the_package(capsys, monkeypatch):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert said(capsys)[0] == f"lab {metadata.version('lab')}\n"

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert main(["--version"]) == 2
    assert said(capsys)[1] == "lab --version: lab is run without being installed; install it with pip\n"


def test_check_prints_each_statement_with_its_verdict_and_evidence(capsys):
    assert main(["check", "sigmoid_layer", "trace_cyclic"]) == 0
    out, _ = said(capsys)
    assert "sigmoid_layer: " in out
    assert "wrong as stated" in out
    assert main(["check", "chain_rul"]) == 2
    assert "did you mean 'chain_rule'?" in said(capsys)[1]


def test_runs_lists_what_was_run(configs, tmp_path, capsys):
    main(["train", str(configs / "iris.yaml"), "--runs", str(tmp_path), "steps=1", "probes={}", "twin=null"])
    said(capsys)
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    header, line = said(capsys)[0].splitlines()
    assert header.split() == ["status", "step", "loss/train", "folder"]
    assert line.startswith("finished")
    assert line.endswith(str(next(Path(tmp_path).glob("iris/*"))))
