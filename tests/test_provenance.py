"""Provenance: what made a run, found where it can be and None where it cannot."""

import json
import subprocess

import pytest

from lab import provenance as module
from lab.provenance import provenance


def git(folder, *words):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(**more):
    return provenance(data_sha256="ab", argv=["lab", "train"], seed=3, **more)


def test_provenance_is_json_and_names_code_packages_machine_and_words():
    told = json.loads(json.dumps(made(config="c.yaml"), allow_nan=False))
    assert (told["argv"], told["seed"], told["data_sha256"], told["config"]) == (["lab", "train"], 3, "ab", "c.yaml")
    assert {"torch", "numpy", "scikit-learn", "tensorboard", "pydantic", "lab"} == set(told["packages"])
    assert told["packages"]["torch"]
    assert told["torch"]["threads"] >= 1
    assert told["torch"]["build"]
    assert told["cpu"]


def test_the_commit_is_named_and_a_new_file_makes_it_dirty(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert made()["git"]["cwd"] == {"commit": commit, "dirty": False}
    (repository / "new_probe.py").touch()
    assert made()["git"]["cwd"] == {"commit": commit, "dirty": True}


def test_a_folder_without_git_and_a_machine_without_git_are_no_failure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert made()["git"]["cwd"] is None
    monkeypatch.setenv("PATH", "")
    assert made()["git"] == {"lab": None, "cwd": None}


def test_an_installed_lab_does_not_take_a_strangers_repository_for_its_own(repository, monkeypatch):
    installed = repository / ".venv" / "site-packages" / "lab" / "provenance.py"
    monkeypatch.setattr(module, "__file__", str(installed))
    assert made()["git"]["lab"] is None
