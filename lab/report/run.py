"""`lab report`: a page of a run, or of several side by side, and `lab compare --html`."""

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np

from lab.errors import InputError
from lab.launch import Run
from lab.provenance import versions
from lab.record import inside
from lab.report.plot import STYLE, Level, Line, plot
from lab.report.sheet import folded, plots, section, sheet, table
from lab.runs import RunFolder, summary
from lab.spectrum import Spectrum
from lab.study.compare import Comparison, letters
from lab.study.facts import Facts, differing
from lab.study.table import cell
from lab.summary import CHECKS, summarize
from lab.yamlfile import dotted

Rows = Sequence[Mapping[str, Any]]
LARGEST = 3000  # parameters of which the page shows the whole spectrum: more take minutes
EIGENVALUES = 16  # that are drawn against the step: a legend of more cannot be read
LEVELS = {"stability/lr_lambda_max": Level(2, "2: unstable above")}
DRAWN = (
    ("loss", ("loss/train", "loss/batch", "loss/validation")),
    ("accuracy", ("accuracy/train", "accuracy/validation")),
    ("lr·λ₁", ("stability/lr_lambda_max",)),
    ("decrease of a step: predicted and actual", ("step/actual_decrease", "step/predicted_decrease")),
    ("‖∇‖", ("step/gradient_norm",)),
)


def run_page(path: Path) -> str:
    """The page of one run: summary, plots, spectrum where training ended, config, provenance.

    Raises: InputError where its metrics cannot be read.
    """
    folder = RunFolder.open(path)
    rows, status = folder.metrics(), {**folder.status(), "status": summary(folder.path).status}
    lines = summarize(path, status, rows)
    colours = {True: "good", False: "bad", None: ""}
    told = "".join(
        f'<tr class="{colours[l.good]}"><td>{escape(l.what)}</td><td>{escape(l.figures)}</td></tr>' for l in lines
    )
    failures = [[tag, words] for tag, words in (status.get("failures") or {}).items()]
    spectrum, why_not = _spectrum(path)
    note = f"<p>the spectrum cannot be shown: {escape(why_not)}</p>" if why_not else ""
    body = [
        f'<div class="wide"><table>{told}</table></div>',
        section("Failed verdicts", table(["check", "first failure"], failures)),
        section("Theorems", plots(*_theorems(path))),
        section("Course", plots(*run_plots(rows), scree(spectrum)), note),
        section("Config", *_config(folder)),
        section("Provenance", table(["", ""], list(_provenance(path).items()))),
    ]
    return sheet(f"{folder.name}: {path.name}", body, f"{path} · {versions()}")


def _theorems(path: Path) -> list[str]:
    """The pictures of the run's theorems, each an image with its own styles, which reach nothing else on the page."""
    return [
        f'<img alt="{escape(drawn.stem)}" style="max-width:100%" src="data:image/svg+xml;base64,'
        f'{base64.b64encode(drawn.read_bytes()).decode()}">'
        for drawn in sorted(path.glob("theorems/*.svg"))
    ]


def run_plots(rows: Rows) -> list[str]:
    """The plots of a run's course."""
    drawn = [plot(title, [_line(rows, tag) for tag in tags], _levels(tags)) for title, tags in DRAWN]
    eigenvalues = sorted(
        {tag for row in rows for tag in row if re.fullmatch(r"curvature/lambda_\d+", tag)}, key=_number
    )
    drawn.insert(2, _eigenvalues(rows, eigenvalues))
    checks = sorted({tag for row in rows for tag in row if tag.startswith("check/") and tag.count("/") == 1})
    ratios = [_line(rows, tag, CHECKS.get(tag)) for tag in checks]
    drawn.insert(
        4,
        plot("verdicts: |ours − truth| / what rounding allows", ratios, [Level(1, "1: a mistake above")], ratios=True),
    )
    return drawn


def _eigenvalues(rows: Rows, tags: Sequence[str]) -> str:
    """The largest eigenvalues' courses; bands of several lie on top of each other, so that λ₁ alone has its own."""
    lines = [_line(rows, tag) for tag in tags[:EIGENVALUES]]
    lines = [*lines[:1], *(replace(line, lower=None, upper=None) for line in lines[1:])]
    of = f", {EIGENVALUES} of {len(tags)}" if len(tags) > EIGENVALUES else ""
    return plot(f"eigenvalues{of}; λ₁ with its interval", lines)


def scree(spectrum: Spectrum | None) -> str:
    """All eigenvalues by size, positive and negative apart, against what cannot be told from zero."""
    if spectrum is None:
        return ""
    values = list(enumerate(spectrum.values.tolist(), start=1))
    parts = {
        "positive": [(i, value) for i, value in values if value > spectrum.radius],
        "negative, their size": [(i, -value) for i, value in values if value < -spectrum.radius],
    }
    drawn = [
        Line(name, [i for i, _ in some], [v for _, v in some], style="dots") for name, some in parts.items() if some
    ]
    zeros = f"; {spectrum.zeros} cannot be told from zero (below {spectrum.radius:.1e})" if spectrum.zeros else ""
    return plot(f"spectrum where training ended: {len(values)} eigenvalues{zeros}", drawn, across="rank")


def runs_page(runs: Sequence[Facts], title: str) -> str:
    """The page of several runs: a table, courses with the spread over seeds, means over seeds, what all have in common.

    Raises: InputError where the metrics of one cannot be read.
    """
    rows = [RunFolder(run.run.path).metrics() for run in runs]
    keys = [key for key in differing(runs) if key != "seed"]
    tags = ["loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "curvature/lambda_1",
            "stability/lr_lambda_max"]  # fmt: skip
    tags = [tag for tag in tags if any(run.latest([tag]) for run in runs)]
    groups = _settings(runs, keys)
    drawn = [
        plot(tag, [_spread(name, [rows[i] for i in some], tag) for name, some in groups.items()], _levels([tag]))
        for tag in [*tags, "check/gradient", "step/gradient_norm"]
    ]
    ended = Counter(run.run.status for run in runs)
    listed = [
        [*(run.config.get(key) for key in keys), run.get("seed"), run.run.status, run.get("step"),
         *(run.shown(tag) for tag in tags), run.run.path.name] for run in runs
    ]  # fmt: skip
    means = [[name, len(some), *(_mean([runs[i] for i in some], tag) for tag in tags)] for name, some in groups.items()]
    common = {key: value for key, value in runs[0].config.items() if key not in keys and key != "seed"}
    failed = [[run.run.path.name, *pair] for run in runs for pair in (run.run.facts.get("failures") or {}).items()]
    body = [
        f"<p>{len(runs)} runs: {', '.join(f'{count} {status}' for status, count in ended.items())}</p>",
        section("Runs", table([*keys, "seed", "status", "step", *tags, "run"], listed)),
        section("Means over seeds, ± standard deviation", table(["setting", "runs", *tags], means))
        if len(groups) < len(runs)
        else "",
        section("Failed verdicts", table(["run", "check", "first failure"], failed)),
        section("Course: mean over seeds, and from the lowest to the highest", plots(*drawn)),
        section("What all have in common", table(["key", "value"], [[k, _plain(v)] for k, v in common.items()])),
        section("Provenance of the first", table(["", ""], list(_provenance(runs[0].run.path).items()))),
    ]
    return sheet(title, body, versions())


def _settings(runs: Sequence[Facts], keys: Sequence[str]) -> dict[str, list[int]]:
    """The runs of each setting, named as the table has its values; in full where two would be named alike."""

    def named(run: Facts, write: Callable[[Any], str]) -> str:
        return " ".join(f"{key}={write(_plain(run.config.get(key)))}" for key in keys) or run.run.name

    exact = [named(run, str) for run in runs]
    short = dict(zip(exact, (named(run, cell) for run in runs), strict=True))
    alike = len(set(short.values())) < len(short)
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(exact):
        groups.setdefault(name if alike else short[name], []).append(i)
    return groups


def comparison_page(found: Comparison) -> str:
    """The page of `lab compare`."""
    names = letters(len(found.runs))
    rows = {name: RunFolder(run.run.path).metrics() for name, run in zip(names, found.runs, strict=True)}
    drawn = [plot(tag, [_line(some, tag, name) for name, some in rows.items()], _levels([tag])) for tag in found.last]
    legend = [
        [name, str(run.run.path), run.run.status, run.get("step")] for name, run in zip(names, found.runs, strict=True)
    ]
    best = [
        [tag, *(None if end is None else f"{end[0]:.6g} (step {end[1]})" for end in ends)]
        for tag, ends in found.best.items()
    ]
    partings = "".join(
        f"<p>A and {name} {escape(str(where))}</p>" for name, where in zip(names[1:], found.motion, strict=True)
    )
    config = [[key, *(_plain(run.setting(key)) for run in found.runs)] for key in found.config]
    origin = [[key, *map(_plain, values)] for key, values in found.origin.items()]
    body = [
        table(["", "run", "status", "step"], legend),
        section("Where they part", partings),
        section("Config", table(["key", *names], config)),
        section("Origin", f'<div class="long">{table(["key", *names], origin)}</div>' if origin else ""),
        section(
            "Last values",
            table(["tag", *names], [[tag, *(run.shown(tag) for run in found.runs)] for tag in found.last]),
        ),
        section("Best values, of a check the worst", table(["tag", *names], best)),
        section("Course", plots(*drawn)),
    ]
    return sheet(f"{len(names)} runs compared", body, versions())


def notebook(path: Path, status: Mapping[str, Any], rows: Rows) -> str:
    """A run as Jupyter shows it."""
    lines = table(["", ""], [[line.what, line.figures] for line in summarize(path, status, rows)])
    left = ".lab-summary td{text-align:left!important}"  # notebooks align to the right
    told = f'<div class="lab-summary">{lines}</div>'
    return f"<style>{STYLE}{left}</style>{told}{plots(*run_plots(rows)[:3])}"


def _line(rows: Rows, tag: str, name: str | None = None) -> Line:
    """A tag's course; where it has an interval, that of every step that has one, and what was measured joined up."""
    ends = [tag + end for end in ("/lower", "/upper")]
    if any(ends[0] in row for row in rows):
        some = [row for row in rows if ends[0] in row]
        known = [row for row in some if tag in row]
        measured = [row[tag] for row in known]
        joined = np.interp(_steps(some), _steps(known), measured).tolist() if known else [None] * len(some)
        middles = [inside(row[ends[0]], row[ends[1]], value) for row, value in zip(some, joined, strict=True)]
        lower, upper = ([row[end] for row in some] for end in ends)
        return Line(name or tag, _steps(some), middles, lower, upper, known=_steps(known))
    some = [row for row in rows if isinstance(row.get(tag), int | float)]
    style: Literal["dashed", "line"] = "dashed" if "predicted" in tag else "line"
    return Line(name or tag, _steps(some), [float(row[tag]) for row in some], style=style)


def _spread(name: str, runs: Sequence[Rows], tag: str) -> Line:
    """The mean over runs of a tag at each step that any has, and its lowest and highest value."""
    found: dict[int, list[float]] = {}
    for rows in runs:
        for row in rows:
            if isinstance(row.get(tag), int | float):
                found.setdefault(row["step"], []).append(float(row[tag]))
    steps = sorted(found)
    values = [found[step] for step in steps]
    several = len(runs) > 1
    low, high = ([end(some) for some in values] if several else None for end in (min, max))
    return Line(name, steps, [fmean(some) for some in values], low, high)


def _mean(runs: Sequence[Facts], tag: str) -> str | None:
    """Mean and standard deviation of the last values of a tag, and whether some of them are of earlier steps."""
    values = [run.get(tag) for run in runs]
    numbers = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    if not numbers:
        return None
    early = " (some of earlier steps)" if any(isinstance(run.shown(tag), str) for run in runs) else ""
    return f"{fmean(numbers):.6g}" + (f" ± {stdev(numbers):.2g}" if len(numbers) > 1 else "") + early


def _spectrum(path: Path) -> tuple[Spectrum | None, str]:
    """All eigenvalues where training ended, or why they are not to be had."""
    try:
        run = Run.open(path)
        count = math.prod(run.problem.shape)
        if count > LARGEST:
            return None, f"the model has {count} parameters, more than {LARGEST}"
        return run.spectrum(), ""
    except (InputError, ValueError) as error:
        return None, str(error)


def _config(folder: RunFolder) -> tuple[str, str]:
    text = folder.config.read_text(encoding="utf-8", errors="replace")
    flat = Facts(summary(folder.path)).config
    return table(["key", "value"], [[key, _plain(value)] for key, value in flat.items()]), folded("config.yaml", text)


def _provenance(path: Path) -> dict[str, Any]:
    try:
        told = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: _plain(value) for key, value in dotted(told)}


def _levels(tags: Sequence[str]) -> list[Level]:
    return [LEVELS[tag] for tag in tags if tag in LEVELS]


def _steps(rows: Rows) -> list[float]:
    return [row["step"] for row in rows]


def _number(tag: str) -> int:
    return int(tag.rpartition("_")[2])


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
