"""`lab board`: TensorBoard on runs, on this machine alone."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import InputError
from lab.events.server import serve
from lab.runs import find_runs, is_run, none_here

# TensorBoard keeps 1,000 points a tag otherwise, and 10 texts; and scalars=0, which should mean all, returns nothing.
_SAMPLES = "--samples_per_plugin=scalars=100000,images=100,histograms=500,text=1000"


def board(
    paths: Sequence[str | Path] = (), *, root: str | Path = "runs", port: int | None = None, browser: bool = True
) -> None:
    """Show runs in TensorBoard until Ctrl-C: those at or below each of `paths`, or below `root` if there are none.

    Prints the URL as soon as it answers, and opens it in a browser if `browser` and there is a desktop.  It listens on
    127.0.0.1 only, at `port`, or at the first that is free from 6006 on (0: any).  Raises InputError when a path has no
    run, or when the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="lab-board-") as shelf:
        flags = board_flags([Path(path) for path in paths] or [Path(root)], Path(shelf))
        try:
            url = serve(flags if port is None else [*flags, f"--port={port}"])
        except OSError as error:
            raise InputError(f"lab board: {error}; choose another --port, or 0 for any") from None
        print(f"TensorBoard: {url}  (Ctrl-C stops it)", flush=True)
        if browser and _on_a_desktop():
            import webbrowser

            webbrowser.open(url)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("TensorBoard: stopped")


def board_flags(paths: Sequence[Path], shelf: Path) -> list[str]:
    """TensorBoard's flags for the runs at or below `paths`.  Raises InputError when there are none.

    A single run, which TensorBoard would call ".", and several paths, which its data server cannot read, are linked to
    from the empty folder `shelf`.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such run or folder of runs; `lab train CONFIG` makes one")
        if not find_runs(path):
            raise none_here(path)
    places = list(dict.fromkeys(path.resolve() for path in paths))
    places = [place for place in places if not set(place.parents) & set(places)]  # those are shown already
    title = f"lab: {places[0].name}" if len(places) == 1 else f"lab: {len(places)} runs"
    where = f"--logdir={places[0]}" if len(places) == 1 and not is_run(places[0]) else _shelved(places, shelf)
    return [where, _SAMPLES, f"--window_title={title}", "--host=127.0.0.1"]


def lab_command(*arguments: str) -> str:
    """The shell command that runs lab with `arguments` from the folder, and with the program, of this process."""
    words = [*_program(), *arguments]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _shelved(places: Sequence[Path], shelf: Path) -> str:
    """The flag for links to the places, named by what of their paths differs and by the folder that a run is in."""
    common = Path(os.path.commonpath([place.parent.parent if is_run(place) else place.parent for place in places]))
    named = {str(place.relative_to(common)): place for place in places}
    try:
        for name, place in named.items():
            (shelf / name).parent.mkdir(parents=True, exist_ok=True)
            (shelf / name).symlink_to(place, target_is_directory=True)
    except OSError:  # a system without links, or without leave to make them
        return f"--logdir_spec={_spec(named)}"
    return f"--logdir={shelf}"


def _spec(named: Mapping[str, Path]) -> str:
    """name:path,name:path.  A run's name ends at the first colon."""
    comma = next((place for place in named.values() if "," in str(place)), None)
    if comma is not None:
        raise InputError(f"{comma}: TensorBoard cannot show several paths when one has a comma; show their parent")
    return ",".join(f"{name.replace(':', '_')}:{place}" for name, place in named.items())


def _program() -> list[str]:
    """The words that start lab again, as it was started."""
    started = Path(sys.argv[0])
    if started.name != "lab" or not started.is_file():
        return [short(Path(sys.executable)), "-m", "lab"]
    found = shutil.which("lab")
    return ["lab"] if found and os.path.samefile(found, started) else [short(started)]


def short(path: Path) -> str:
    """`path` from here, if it is below here; else in full.  Links are left as they are: a venv's python is one."""
    full = path.absolute()
    here = Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


def _on_a_desktop() -> bool:
    """Whether a browser opened here would be seen: not over ssh, and on Linux only where there is a display."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
