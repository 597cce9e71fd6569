"""The end of a run in a few lines: how well it fits, how the checks went, and what the curvature is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.board import lab_command, short
from lab.errors import InputError

Row = Mapping[str, Any]
CHECKS = {
    "check/gradient": "gradient against autograd",
    "check/hvp": "Hessian product against reverse-over-reverse",
    "check/hessian": "Hessian against torch.func.hessian",
    "check/product": "eigenvalues' Hessian against the product",
    "check/change": "eigenvalues carried against measured",
    "check/decrease": "decrease against its proven bounds",
    "check/ceiling": "λ₁ against its ceilings",
    "check/twin": "trajectory against autograd's twin",
}
CURVED = ("check/hvp", "check/hessian", "check/product")  # what eigenvalues are found of
DERIVED = ("check/gradient", *CURVED)  # and what steps are made of


@dataclass(frozen=True)
class Line:
    """A line of the summary: what, the figures, and whether it is good news (None: neither)."""

    what: str
    figures: str
    good: bool | None = None


def summarize(path: Path, status: Mapping[str, Any], rows: Sequence[Row]) -> list[Line]:
    """Return the summary of the run in `path`, from its status and its rows of metrics.jsonl."""
    last: dict[str, Any] = {}
    for row in rows:
        last |= row
    ended = str(status["status"])
    lines = [Line("run", f"{ended} after step {last.get('step', 0)}", ended == "finished")]
    lines += _fit(last)
    lines += _checks(rows)
    lines += _curvature(rows, last, _other_steps(path))
    lines += _theorems(last)
    if ended == "interrupted":
        lines.append(Line("go on", lab_command("train", "--resume", short(path))))
    return [*lines, Line("folder", str(path)), Line("TensorBoard", lab_command("board", short(path)))]


def _fit(last: Row) -> Iterator[Line]:
    for part in ("train", "validation"):
        if f"loss/{part}" in last:
            accuracy = last.get(f"accuracy/{part}")
            share = "" if accuracy is None else f", accuracy {accuracy:.2%}"
            yield Line(
                {"train": "training", "validation": "validation"}[part], f"loss {last[f'loss/{part}']:.6g}{share}"
            )


def _checks(rows: Sequence[Row]) -> Iterator[Line]:
    tags = dict.fromkeys(tag for row in rows for tag in row if tag.startswith("check/") and tag.count("/") == 1)
    for tag in sorted(tags, key=[*CHECKS, *tags].index):
        judged = [row for row in rows if tag in row]
        worst = max(judged, key=lambda row: float(row[tag]))
        failed = [row for row in judged if not row[tag] <= 1]
        times = f"{len(judged)} times" if len(judged) > 1 else "once"
        measured = sum("curvature/trace" in row for row in judged)
        if tag == "check/ceiling" and measured < len(judged):
            times += f", {measured} of them by a λ₁ measured there and the rest by its interval as it was carried"
        if failed:
            words = f"FAILED at {len(failed)} of {len(judged)} steps, first at step {failed[0]['step']}; at worst"
        else:
            words = f"agrees, judged {times}; at worst"
        figures = f"{words} {worst[tag]:.2g} times what rounding allows (step {worst['step']})"
        yield Line(CHECKS.get(tag, tag.removeprefix("check/")), figures, not failed)
        # What was found, its cause among it, where that is known.
        words = str(failed[0].get(f"{tag}/failure", "")) if failed else ""
        yield from (Line("", line.strip(), False) for line in words.splitlines())
        ended = next((row for row in rows if "twin/untold" in row), None) if tag == "check/twin" else None
        if ended is not None:
            yield Line("", f"from step {ended['step']} on nothing can be told: {ended['twin/untold']}")


def _other_steps(path: Path) -> str | None:
    """What the run's steps are where they are not plain gradient descent; None where they are, or nothing tells."""
    from lab import catalog, stability
    from lab.yamlfile import read

    try:
        optimizer = read(path / "config.yaml").plain()["optimizer"]
        own = optimizer["kind"] in catalog.names("optimizers")  # whose lr·λ₁ is logged where the steps are plain alone
        return None if own else stability.others(optimizer["kind"], optimizer)
    except (InputError, KeyError, TypeError):  # the file was lost or edited
        return None


def _curvature(rows: Sequence[Row], last: Row, others: str | None) -> Iterator[Line]:
    """What was found when the spectrum was last measured; what was known before that alone is not told."""
    measured = next((row for row in reversed(rows) if "curvature/definiteness" in row), {})
    when = "" if not measured or measured["step"] == last.get("step") else f" (at step {measured['step']})"
    wrong = _failed(rows, CURVED)
    doubt, good = (", of a Hessian that failed its check", False) if wrong else ("", None)
    if measured:
        yield Line("Hessian", f"{measured['curvature/definiteness']}{doubt}{when}", good)
    if "curvature/lambda_1" in measured:
        rank = "rank" if "curvature/condition" in measured else "rank at least"  # some may be hidden by rounding
        figures = [
            f"{sign} {measured[tag]:{form}}{more}"
            for tag, sign, form, more in (
                ("curvature/lambda_1", "λ₁ =", ".6g", ""),
                ("curvature/lambda_min", "λ_min =", ".3g", ""),
                ("curvature/rank", rank, "", ""),
                ("curvature/condition", "condition", ".3g", " on the range"),
            )
            if tag in measured
        ]
        yield Line("eigenvalues", ", ".join(figures) + doubt + when, good)
    elif "curvature/certainty" in measured:
        yield Line("eigenvalues", f"{measured['curvature/certainty']}{when}", False)
    yield from _stability(rows, measured, when, others)


def _stability(rows: Sequence[Row], measured: Row, when: str, others: str | None) -> Iterator[Line]:
    """Whether steps of this length are stable where the run came to, and whether they were all along."""
    product = measured.get("stability/lr_lambda_max")
    if product is not None and _failed(rows, DERIVED):
        figure = f"lr·λ₁ = {product:.4g}, which says nothing of steps by a derivation that is wrong{when}"
        yield Line("stability", figure, False)
    elif product is not None and others is not None:
        figure = f"lr·λ₁ = {product:.4g} says when plain gradient descent is stable, and these steps are {others}{when}"
        yield Line("stability", figure)
    elif product is not None:
        known = [row for row in rows if "stability/lr_lambda_max" in row]
        above = [row["step"] for row in known if not row["stability/lr_lambda_max"] < 2]
        words = "below 2: plain gradient descent is stable here"
        if product < 0:
            words = "below 0: every step goes uphill"
        elif not product < 2:
            words = "not below 2: plain gradient descent is unstable here"
        elif not _stable(product, measured):
            words = (
                "not known to be below 2, as λ₁ is in an interval: whether gradient descent is stable cannot be told"
            )
        elif above:
            words += f"; it was not at {len(above)} of {len(known)} steps, first at step {above[0]}"
        yield Line(
            "stability", f"lr·λ₁ = {product:.4g}, {words}{when}", 0 <= product < 2 and _stable(product, measured)
        )
    judged = next((row for row in reversed(rows) if "stability/certainty" in row), {})
    share = judged.get("stability/share")
    if share is not None:
        least, most = (judged.get(f"stability/share/{end}", share) for end in ("lower", "upper"))
        side = "stable here" if most < 1 else "unstable here" if least >= 1 else "whether stable cannot be told"
        yield Line("sharpness", f"{share:.4g} of what the optimizer's steps bear: {side}", most < 1)
    elif judged:
        yield Line("sharpness", str(judged["stability/certainty"]), False)


def _stable(product: float, measured: Row) -> bool:
    """Whether the upper end of λ₁'s interval, too, is below what the step bears; where there is none, its value is."""
    value, upper = (measured.get(f"curvature/lambda_1{end}") for end in ("", "/upper"))
    return upper is None or not value or product * upper / value < 2


def _failed(rows: Sequence[Row], tags: Sequence[str]) -> bool:
    """Whether one of these checks failed at some step."""
    return any(not row[tag] <= 1 for row in rows for tag in tags if tag in row)


def _theorems(last: Row) -> Iterator[Line]:
    for tag, verdict in last.items():
        if tag.startswith("theorem/") and tag.endswith("/verdict"):
            name = tag.split("/")[1]
            good = {"held": True, "failed": False}.get(verdict)
            yield Line(f"theorem {name}", f"{verdict}: {last[f'theorem/{name}/figures']}", good)


def figures(row: Row) -> str:
    """Return the few figures of a step that a person wants at a glance."""
    names = {
        "loss/train": "loss",
        "loss/batch": "batch loss",
        "accuracy/train": "accuracy",
        "step/gradient_norm": "‖∇‖",
        "curvature/lambda_1": "λ₁",
        "stability/lr_lambda_max": "lr·λ₁",
        "check/gradient": "gradient check",
    }
    return "  ".join(f"{name} {row[tag]:.4g}" for tag, name in names.items() if isinstance(row.get(tag), float))
