"""Every verb is tried with a hundred malformed calls, expressions and files: one line, exit 2, nothing written."""

import io
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import TEXT, TINY
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab import catalog, launch
from lab.cli import main

WORDS = st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
NOWHERE = WORDS.map(lambda word: f"nowhere{word}")  # neither a file nor the name of anything
OPTION = WORDS.map(lambda word: [f"--z{word}"])
PIECES = ["seed", "status", "'a'", "and", "or", "not", "in", "(", ")", "[", "<", "==", "0.5", "-", "'", "\n", "∂", " "]
CONDITION = st.lists(st.sampled_from(PIECES), max_size=6).map(" ".join).map(lambda pieces: f"{pieces} ==")
WHERE = CONDITION.map(lambda condition: ["{root}", "--where", condition])
TORN = st.tuples(st.integers(0, len(TEXT) - 1), st.sampled_from(["?", "[", "\t", "&a *b", "é\x07"])).map(
    lambda torn: f"{TEXT[: torn[0]]}\n{torn[1]}: {{{torn[1]}".encode()
)
CONFIG = st.binary(max_size=24) | TORN  # too short to name data and loss, or torn off in a bracket
BYTES = st.binary(max_size=24)
LINE = st.text(alphabet='{}[]":,a1 ', max_size=12).map(lambda junk: f"{{{junk}\n".encode())  # no row of metrics
PYTHON = st.text(alphabet="abc =:()[]'\"\n\t\\0é@#", max_size=24).map(str.encode) | BYTES
OVERRIDE = st.sampled_from(
    ["stepz=3", "steps=ten", "=", "optimizer.lr=-1", "loss.kind=a", "seed=[", "data=", "a.b.c=1"]
)
AXIS = st.sampled_from(
    ["seed=4..", "seed=a..b", "optimizer.lr=0.1,", "optimizer.lr=", "steps=1,x", "stepz=1,2", "seed"]
)


@dataclass(frozen=True)
class Call:
    """Words of a command line, in which names in braces stand for paths, and what `{file}` or the run's rows hold."""

    words: list[str]
    file: bytes = b""
    rows: bytes | None = None


def calls(*words: st.SearchStrategy[list[str]], **more: st.SearchStrategy[bytes]) -> st.SearchStrategy[Call]:
    return st.one_of(*(st.builds(Call, each, **more) for each in (*words, OPTION)))


def just(*words: str) -> st.SearchStrategy[list[str]]:
    return st.just(list(words))


def with_each(strategy: st.SearchStrategy[str], *words: str) -> st.SearchStrategy[list[str]]:
    return strategy.map(lambda drawn: [*words, drawn])


NAMES = with_each(NOWHERE)
CALLS = {
    "board": calls(NAMES, with_each(NOWHERE, "{root}"), with_each(NOWHERE, "{root}", "--port")),
    "check": calls(NAMES, just("{file}"), with_each(NOWHERE, "softmax"), file=PYTHON),
    "compare": calls(NAMES, WHERE, with_each(NOWHERE, "{run}"), just("{run}")),
    "derive": calls(NAMES, just("{file}"), with_each(NOWHERE, "softmax"), file=PYTHON),
    "export": calls(NAMES, WHERE, with_each(NOWHERE, "{run}", "--format")) | calls(just("{run}"), rows=LINE),
    "keys": calls(NAMES, NOWHERE.map(lambda word: [f"probes.{word}"])),
    "predict": calls(NAMES, with_each(NOWHERE, "{run}"), just("{run}", "{file}"), just("{file}", "{run}"), file=BYTES),
    "report": calls(NAMES, WHERE) | calls(just("{run}"), rows=LINE),
    "runs": calls(NAMES, WHERE, with_each(NOWHERE, "{root}", "--sort"), with_each(NOWHERE, "{root}", "--columns")),
    "schema": calls(NAMES),
    "sweep": calls(NAMES, just("{file}", "seed=0..1"), with_each(NOWHERE, "{tiny}", "--jobs"), file=CONFIG)
    | calls(with_each(AXIS, "{tiny}"), with_each(NOWHERE, "{tiny}", "--option")),
    "theorems": calls(NAMES, with_each(NOWHERE, "bohning_bound")),
    "train": calls(NAMES, just("{file}"), with_each(NOWHERE, "--resume"), just("--resume", "{file}"), file=CONFIG)
    | calls(with_each(OVERRIDE, "{tiny}"), with_each(NOWHERE, "{tiny}"))
    | calls(just("--resume", "{run}"), rows=LINE),
}


def test_no_verb_is_left_out():
    assert set(CALLS) == set(catalog.names("verbs")), "each verb needs its calls in CALLS of tests/test_malformed.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory: a run of one step, a config, and a file."""
    from lab.yamlfile import dumped

    folder = tmp_path_factory.mktemp("malformed")
    with chdir(folder):
        run = launch.train({**TINY, "steps": 1, "probes": {"fit": {}}}, runs="runs")
        run.path.rename("runs/tiny/run")
        Path("tiny.yaml").write_text(dumped({**TINY, "probes": {}}))
        yield folder


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize("verb", CALLS)
def test_a_hundred_malformed_calls_of_a_verb_are_one_line_each_and_write_nothing(verb, place):
    rows = place / "runs/tiny/run/metrics.jsonl"
    whole = rows.read_bytes()

    @settings(max_examples=100, deadline=None)
    @given(CALLS[verb])
    @example(Call(["nowhere" + "a" * 5000]))
    @example(Call(["nowhere\n\r\u2028"]))
    def refused(call: Call) -> None:
        (place / "file").write_bytes(call.file)
        rows.write_bytes(whole if call.rows is None else call.rows)
        before = snapshot(place)
        paths = {"{root}": "runs", "{run}": "runs/tiny/run", "{file}": "file", "{tiny}": "tiny.yaml"}
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = main([verb, *(paths.get(word, word) for word in call.words)])
        assert (code, out.getvalue()) == (2, "")
        assert len(err.getvalue().splitlines()) == 1, err.getvalue()
        assert err.getvalue().endswith("\n")
        assert snapshot(place) == before

    try:
        refused()
    finally:
        rows.write_bytes(whole)
