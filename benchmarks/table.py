"""Put the figures of benchmarks/results.json and curvature.json into the README: `python benchmarks/table.py`."""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


def table() -> str:
    """The figures as Markdown."""
    results = json.loads((HERE / "results.json").read_text())
    curvature = HERE / "curvature.json"
    parts = dict(results["parts"])
    if curvature.exists():
        also = json.loads(curvature.read_text())
        parts |= {f"curvature, {name}": rows for name, rows in also["parts"].items()}
        results["machine"]["packages"] |= also["machine"]["packages"]
    lines = ["| work | against | measured | aimed at |", "|---|---|---|---|"]
    for row in (row for rows in parts.values() for row in rows):
        if "seconds" in row:
            said = (
                f"{row['held']:.3g} GiB held, {row['seconds']:.0f} s, intervals {row['width']:.1g} wide, {row['how']}"
            )
            goal = f"under {row['goal']:g} GiB"
        elif "ratio" in row:
            said, goal = (
                f"{row['ratio']:.3g} times as fast ({row['cpu_ratio']:.3g} in processor time)",
                f"at least {row['goal']:g}",
            )
            if "rounds" in row:
                said += f"; single rounds {', '.join(f'{ratio:.1f}' for ratio in sorted(row['rounds']))}"
        elif "held" in row:
            said, goal = f"{row['held']:.2g} times as much held", f"at most {row['goal']:g}"
        else:
            said = f"{row['times']:.3g} times as long"
            if "cpu_times" in row:
                said += f" ({row['cpu_times']:.2g} in processor time)"
            goal = f"under {row['goal']:g}, and what its steps take"
            if "measuring" in row:
                low, high = row["quartiles"]
                said += f"; half of the rounds {low:.3g} to {high:.3g}, a step without over itself {row['itself']:.3g}"
                said += f"; the first, which measures, takes {row['measuring']['wall']:.0f} s"
                goal = f"at most {row['goal']:g}"
        lines.append(f"| {row['work']} | {row['peer']} | {said} | {goal} |")
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    versions = f"Python {machine['python']}, {packages}"
    lines += [
        "",
        "Medians of rounds, in turn with the peer, by `benchmarks/run.py` and `curvature.py` on a shared and noisy "
        f"virtual machine ({machine['cores']} cores, {machine['cpu']}; {versions}); the table by `python "
        "benchmarks/table.py`. Walls throughout. From nothing ours is the mean of ten in a row; of the steps "
        "of descent each tool takes eight in a row, by itself.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Replace what stands between the two marks."""
    marks = "<!-- figures -->", "<!-- end of figures -->"
    text = README.read_text()
    pattern = re.compile(f"{marks[0]}.*?{marks[1]}", re.DOTALL)
    README.write_text(pattern.sub(lambda _: f"{marks[0]}\n{table()}\n{marks[1]}", text))


if __name__ == "__main__":
    main()
