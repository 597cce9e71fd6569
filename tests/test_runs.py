"""Run folders: whole or absent, resumable from any moment, listed for what they are."""

import errno
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from lab.errors import InputError
from lab.files import replacing, write_text
from lab.record import JsonLines
from lab.runs import RunFolder, find_runs, is_run, list_runs


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return create(tmp_path)


def create(root, **changes) -> RunFolder:
    made = {"name": "iris", "digest": "0123abcdef", "seed": 7, "config_yaml": "steps: 3\n", "provenance": {"seed": 7}}
    return RunFolder.create(root, **{**made, "checkpoint": {"theta": torch.zeros(2, 1)}, **changes})


def rows(run: RunFolder, count: int, torn: bytes = b"") -> None:
    sink = JsonLines(run.path / "metrics.jsonl")
    for step in range(count):
        sink.write(step, {"loss/train": 1 / (step + 3)})
    sink.close()
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(torn)


def test_a_new_run_is_named_by_time_config_and_seed_and_has_its_parts(run, tmp_path):
    assert run.path.parent == tmp_path / "iris"
    stamp, digest, seed = run.path.name.split("-")
    assert len(stamp) == len("20250101T000000Z")
    assert (digest, seed) == ("0123abcdef", "s7")
    assert run.name == "iris"
    assert run.config.read_text() == "steps: 3\n"
    assert json.loads((run.path / "provenance.json").read_text()) == {"seed": 7}
    assert run.status()["status"] == "running"
    assert run.metrics() == []
    assert run.load_checkpoint()[0] == 0


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    made = [create(tmp_path, config_yaml=f"steps: {steps}\n") for steps in range(1, 6)]
    assert len({run.path for run in made}) == 5
    assert [run.config.read_text() for run in made] == [f"steps: {steps}\n" for steps in range(1, 6)]
    assert [summary.seed for summary in list_runs(tmp_path)] == [7] * 5


def test_what_a_kill_left_half_made_is_no_run_and_is_cleared_away_a_day_later(tmp_path):
    fresh, old, file = (tmp_path / "iris" / f".{name}.part" for name in ("20260101T000000Z-0a", "seeds-1.0b", "c.0c"))
    for folder in (fresh, old):
        folder.mkdir(parents=True)
        write_text(folder / "config.yaml", "steps: 3\n")
        write_text(folder / "status.json", "{}")
    file.touch()
    for path in (old, file):
        os.utime(path, (0, time.time() - 90_000))
    run = create(tmp_path)
    assert find_runs(tmp_path) == [run.path]
    assert sorted((tmp_path / "iris").iterdir()) == [fresh, run.path]


def test_a_run_that_could_not_be_made_leaves_nothing_behind(tmp_path):
    with pytest.raises(AttributeError):
        create(tmp_path, checkpoint={"theta": lambda: None})
    assert list((tmp_path / "iris").iterdir()) == []


def test_no_run_is_seen_before_it_is_complete(tmp_path, monkeypatch):
    seen = []
    save = RunFolder.save_checkpoint
    monkeypatch.setattr(
        RunFolder, "save_checkpoint", lambda *args: (save(*args), seen.extend(find_runs(tmp_path)), None)[2]
    )
    run = create(tmp_path)
    assert seen == []
    assert find_runs(tmp_path) == [run.path]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".hidden", "a:b", "a,b", "line\nbreak"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"name: .* use letters"):
        create(tmp_path, name=name)


def test_a_root_that_is_a_file_is_one_line_of_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot make a run here"):
        create(tmp_path / "file")


def test_a_folder_that_cannot_be_written_is_one_line_of_error(run, tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    rows(run, 3)
    run.save_checkpoint(9, {})
    monkeypatch.setattr(Path, "touch", refuse)
    told = f"{tmp_path}: cannot make a run here (Permission denied); choose a folder with --runs"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        create(tmp_path)
    told = f"{run.path}: cannot be written (Permission denied); copy the run to a folder of yours and resume it there"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        run.rewind(1)
    assert len(run.metrics()) == 3
    assert run.load_checkpoint()[0] == 9


def test_opening_what_is_no_run_says_so(run, tmp_path):
    assert RunFolder.open(str(run.path)) == run
    with pytest.raises(InputError, match="no such run"):
        RunFolder.open(tmp_path / "absent")
    with pytest.raises(InputError, match="not a run"):
        RunFolder.open(tmp_path)


def test_a_checkpoint_gives_its_state_back_bit_for_bit_and_only_two_are_kept(run):
    generator = torch.Generator().manual_seed(1)
    for step in (10, 20, 30):
        state = {"theta": torch.randn(3, 2, dtype=torch.float64, generator=generator), "rng": generator.get_state()}
        run.save_checkpoint(step, state)
    step, loaded = run.load_checkpoint()
    assert step == 30
    assert torch.equal(loaded["theta"], state["theta"])
    assert torch.equal(loaded["rng"], state["rng"])
    names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert names == ["step-00000020.pt", "step-00000030.pt"]


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(run, damage):
    run.save_checkpoint(10, {"theta": torch.arange(100.0)})
    run.save_checkpoint(20, {"theta": torch.arange(100.0) + 1})
    newest = run.path / "checkpoints" / "step-00000020.pt"
    data = bytearray(newest.read_bytes())
    at = data.find(torch.tensor([50.0]).numpy().tobytes())
    data[at] ^= 1
    newest.write_bytes({"torn": bytes(data[: len(data) // 2]), "flipped": bytes(data), "empty": b""}[damage])
    step, state = run.load_checkpoint()
    assert step == 10
    assert torch.equal(state["theta"], torch.arange(100.0))


def test_a_run_without_a_readable_checkpoint_says_so(run):
    (run.path / "checkpoints" / "step-00000000.pt").write_bytes(b"")
    with pytest.raises(InputError, match="no checkpoint can be read"):
        run.load_checkpoint()


def test_rewinding_keeps_the_bytes_of_earlier_rows_and_drops_the_rest(run):
    rows(run, 8, torn=b'{"step": 8, "lo')
    before = (run.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    run.rewind(5)
    assert (run.path / "metrics.jsonl").read_bytes() == b"".join(before[:5])
    assert [row["step"] for row in run.metrics()] == [0, 1, 2, 3, 4]


def test_rewinding_removes_checkpoints_whose_rows_are_gone_and_what_a_kill_left(run):
    rows(run, 20)
    run.save_checkpoint(10, {})
    run.save_checkpoint(20, {})
    (run.path / "checkpoints" / ".step-00000030.pt.0123.part").touch()
    run.rewind(10)
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-00000010.pt"]


def test_a_lost_row_is_told_and_nothing_is_forgotten(run):
    rows(run, 8)
    lines = (run.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (lines[:3], lines[:3] + lines[4:]):
        (run.path / "metrics.jsonl").write_bytes(b"".join(kept))
        with pytest.raises(InputError, match=r"metrics\.jsonl: the row of step 3 is not there; .* train it anew"):
            run.rewind(8)
        assert (run.path / "metrics.jsonl").read_bytes() == b"".join(kept)


@pytest.mark.parametrize("name", ["metrics.jsonl", "provenance.json"])
def test_a_file_that_a_run_has_lost_is_one_line_of_error(run, name):
    (run.path / name).unlink()
    read = {"metrics.jsonl": run.metrics, "provenance.json": run.provenance}[name]
    with pytest.raises(InputError, match=f"{name}: No such file or directory; the run is not whole"):
        read()


@pytest.mark.parametrize(("content", "said"), [("", "not JSON"), ("{", "not JSON"), ("[]", "holds no facts")])
def test_a_provenance_that_was_edited_is_one_line_of_error(run, content, said):
    (run.path / "provenance.json").write_text(content)
    with pytest.raises(InputError, match=f"provenance.json: {said}"):
        run.provenance()


def test_a_folder_that_lacks_a_run_s_file_says_which(run):
    (run.path / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"it has no config\.yaml; `lab runs`"):
        RunFolder.open(run.path)


def test_metrics_that_were_edited_are_one_line_of_error(run):
    (run.path / "metrics.jsonl").write_text("oh no\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl:1: not a row of metrics"):
        run.metrics()


def test_status_is_replaced_whole_and_holds_what_json_has_no_number_for(run):
    run.write_status("diverged", step=12, loss=math.nan)
    run.write_status("diverged", loss=math.inf)
    status = run.status()
    assert (status["status"], status["loss"]) == ("diverged", "Infinity")
    assert "step" not in status


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    write_text(tmp_path / "status.json", "old")

    def interrupted():
        with replacing(tmp_path / "status.json") as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_write_that_is_refused_names_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as refused:
        write_text(tmp_path / "nowhere" / "mine.py", "text")
    assert refused.value.filename == str(tmp_path / "nowhere" / "mine.py")


def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    write_text(tmp_path / "there" / "page.html", "old")
    (tmp_path / "link").symlink_to(Path("there", "page.html"))
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["page.html"]
    assert (tmp_path / "there" / "page.html").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_pipe_is_written_to_and_stays_one(name, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    write_text(tmp_path / name, "table")
    reader.join(10)
    assert read == ["table"]
    assert (tmp_path / "pipe").is_fifo()
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "link"}


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="a system that has no name for standard output")
def test_standard_output_by_its_name_is_appended_to_where_the_shell_says_so(tmp_path):
    (tmp_path / "out").symlink_to("/dev/stdout")  # of its own, for a fault would replace what is written to
    write = f"write_text(Path({str(tmp_path / 'out')!r}), 'b\\n')"
    said = f"from pathlib import Path; from lab.files import write_text; print('a'); {write}; print('c')"
    (tmp_path / "log").write_text("kept\n")
    with open(tmp_path / "log", "a") as log:
        subprocess.run([sys.executable, "-c", said], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "kept\na\nb\nc\n"


def test_runs_are_listed_with_status_and_facts_oldest_first(tmp_path):
    first, second = create(tmp_path, seed=1), create(tmp_path, name="wine", seed=2)
    first.write_status("finished", step=3, loss=0.5)
    second.write_status("failed")
    (tmp_path / "iris" / "notes").mkdir()
    listed = list_runs(tmp_path)
    assert {(run.name, run.status, run.seed, run.digest) for run in listed} == {
        ("iris", "finished", 1, "0123abcdef"),
        ("wine", "failed", 2, "0123abcdef"),
    }
    assert next(run for run in listed if run.name == "iris").facts["loss"] == 0.5
    assert list_runs(tmp_path / "absent") == []


def test_a_run_at_the_root_itself_is_found_and_not_looked_into(run):
    (run.path / "checkpoints" / "config.yaml").touch()
    (run.path / "checkpoints" / "status.json").touch()
    assert find_runs(run.path) == [run.path]
    assert is_run(run.path)


@pytest.mark.skipif(sys.platform == "win32", reason="no folder locks on Windows")
def test_a_run_belongs_to_one_process_and_a_kill_sets_it_free(run):
    hold = (
        "import sys, time; from lab.runs import RunFolder\n"
        "with RunFolder.open(sys.argv[1]).claimed(): print(flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", hold, str(run.path)], stdout=subprocess.PIPE)
    assert other.stdout.read(1)
    assert list_runs(run.path)[0].status == "running"
    with pytest.raises(InputError, match="another process is training this run"), run.claimed():
        pass
    other.kill()
    other.communicate()
    assert list_runs(run.path)[0].status == "killed"
    with run.claimed():
        assert list_runs(run.path)[0].status == "running"
