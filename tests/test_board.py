"""`lab board`: the right runs, on loopback, and a clean end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from lab import board as module
from lab.board import board, board_flags, lab_command, short
from lab.errors import InputError
from lab.events.writer import TensorBoard


def run_at(path: Path) -> Path:
    path.mkdir(parents=True)
    for name in ("config.yaml", "status.json"):
        (path / name).write_text("{}")
    return path


def test_a_missing_run_and_a_folder_without_runs_are_one_line_of_error(tmp_path):
    with pytest.raises(InputError, match="absent: no such run"):
        board([tmp_path / "absent"])
    with pytest.raises(InputError, match="no runs here"):
        board(root=tmp_path)


def test_it_listens_on_loopback_and_keeps_every_step(tmp_path):
    run_at(tmp_path / "iris" / "r1")
    flags = board_flags([tmp_path / "iris"], tmp_path / "shelf")
    assert f"--logdir={tmp_path / 'iris'}" in flags
    assert "--host=127.0.0.1" in flags
    assert "--samples_per_plugin=scalars=100000,images=100,histograms=500,text=1000" in flags
    assert "--window_title=lab: iris" in flags


def linked(shelf: Path) -> dict[str, Path]:
    return {str(path.relative_to(shelf)): path.resolve() for path in shelf.rglob("*") if path.is_symlink()}


def test_a_single_run_has_its_name_and_not_a_dot(tmp_path):
    run, shelf = run_at(tmp_path / "iris" / "r1"), tmp_path / "shelf"
    assert f"--logdir={shelf}" in board_flags([run], shelf)
    assert linked(shelf) == {"iris/r1": run}


def test_several_runs_are_named_by_what_differs_in_their_paths(tmp_path):
    one, two, shelf = run_at(tmp_path / "iris" / "r1"), run_at(tmp_path / "wine, red" / "r1"), tmp_path / "shelf"
    assert f"--logdir={shelf}" in board_flags([one, two, one], shelf)
    assert linked(shelf) == {"iris/r1": one, "wine, red/r1": two}


def test_a_run_below_another_path_is_shown_once_and_nothing_is_put_into_runs(tmp_path):
    run = run_at(tmp_path / "iris" / "r1")
    assert f"--logdir={tmp_path / 'iris'}" in board_flags([run, tmp_path / "iris"], tmp_path / "shelf")
    assert {path.name for path in run.parent.rglob("*")} == {"r1", "config.yaml", "status.json"}


def test_where_there_are_no_links_runs_are_named_in_the_flag(tmp_path, monkeypatch):
    one, two, comma = (run_at(tmp_path / name / "r1") for name in ("iris", "wine", "a,b"))
    monkeypatch.setattr(Path, "symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    assert board_flags([one, two], tmp_path / "shelf")[0] == f"--logdir_spec=iris/r1:{one},wine/r1:{two}"
    with pytest.raises(InputError, match="a,b/r1: TensorBoard cannot show"):
        board_flags([one, comma], tmp_path / "shelf")


def test_the_command_starts_the_program_as_it_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / ".venv" / "bin" / "lab"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    run = tmp_path / "runs" / "my iris" / "r1"
    monkeypatch.setattr(sys, "argv", [".venv/bin/lab", "train"])
    monkeypatch.setenv("PATH", "")
    assert lab_command("board", short(Path(run))) == ".venv/bin/lab board 'runs/my iris/r1'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert lab_command("board", short(Path(run))) == "lab board 'runs/my iris/r1'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/lab/__main__.py"])
    assert lab_command("board", short(Path("/elsewhere/r1"))) == f"{sys.executable} -m lab board /elsewhere/r1"


@pytest.mark.parametrize(
    ("environment", "told", "opens"),
    [
        ({"DISPLAY": ":0"}, True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, True),
        ({"DISPLAY": ":0"}, False, False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4"}, True, False),
        ({}, True, False),
    ],
)
def test_a_browser_opens_on_a_desktop_unless_told_not_to(tmp_path, monkeypatch, capsys, environment, told, opens):
    opened = []

    def interrupt(_):
        raise KeyboardInterrupt

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(module, "serve", lambda flags: "http://127.0.0.1:6006/")
    monkeypatch.setattr(time, "sleep", interrupt)
    board([run_at(tmp_path / "r1")], browser=told)
    assert opened == (["http://127.0.0.1:6006/"] if opens else [])
    assert "http://127.0.0.1:6006/" in capsys.readouterr().out


def test_a_port_that_is_taken_is_one_line_of_error(tmp_path, monkeypatch):
    def taken(flags):
        raise OSError(f"could not bind: {flags[-1]}")

    monkeypatch.setattr(module, "serve", taken)
    with pytest.raises(InputError, match="could not bind: --port=80; choose another --port"):
        board([run_at(tmp_path / "r1")], port=80)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_a_real_tensorboard_shows_a_resumed_run_step_for_step_and_ends_on_ctrl_c(tmp_path):
    run = run_at(tmp_path / "runs" / "iris" / "r1")
    killed = TensorBoard(run)
    for step in range(20):
        killed.write(step, {"a": 1.0, "only/before": 1.0, "t": f"text {min(step // 15, 2)}"})
    (events,) = run.glob("events*")
    events.write_bytes(events.read_bytes()[:-5])
    resumed = TensorBoard(run, purge_step=12)
    for step in range(12, 1500):  # more than the 1,000 that TensorBoard keeps unless told otherwise
        resumed.write(step, {"a": 2.0, "t": f"text {min(step // 15, 2)}"})
    code = "import sys; from lab.board import board; board(root=sys.argv[1], port=0)"
    environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A suite started in the background is deaf to Ctrl-C, and so would be what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        url = started.stdout.readline().split()[1]
        assert url.startswith("http://127.0.0.1:")
        series = read(url, "scalars/scalars?run=iris/r1&tag=a")
        assert [(step, value) for _, step, value in series] == [(s, 1.0 if s < 12 else 2.0) for s in range(1500)]
        before = read(url, "scalars/scalars?run=iris/r1&tag=only/before")
        assert [step for _, step, _ in before] == list(range(12))
        assert [text["step"] for text in read(url, "text/text?run=iris/r1&tag=t")] == [0, 12, 15, 30]
        children = subprocess.run(["pgrep", "-P", str(started.pid)], capture_output=True, text=True).stdout.split()
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=30)
    finally:
        started.kill()
    assert (started.returncode, out, err) == (0, "TensorBoard: stopped\n", "")
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "the data server outlived the board"
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="sends SIGTERM")
def test_a_board_that_is_told_to_end_leaves_nothing_behind(tmp_path):
    run_at(tmp_path / "runs" / "iris" / "r1")
    (tmp_path / "tmp").mkdir()
    code = "import sys; from lab import board, cli; board.serve = lambda _: 'URL'; sys.exit(cli.main(sys.argv[1:]))"
    started = subprocess.Popen(
        [sys.executable, "-c", code, "board", "--no-browser", "--runs", str(tmp_path / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    try:
        assert started.stdout.readline().startswith("TensorBoard: URL")
        assert [path.name[:10] for path in (tmp_path / "tmp").iterdir()] == ["lab-board-"]
        started.terminate()
        assert started.communicate(timeout=30) == ("", "")
    finally:
        started.kill()
    assert started.returncode == 143
    assert list((tmp_path / "tmp").iterdir()) == []


def read(url: str, path: str):
    """The answer of a plugin's route, once the runs have been read."""
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + 240
    while True:
        try:
            with opener.open(f"{url}data/plugin/{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
