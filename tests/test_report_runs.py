"""The pages of runs hold their figures, ask nothing of the network, and stay whole whatever a run holds."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st

import lab
from lab import launch
from lab.cli import main
from lab.report.chart import Axis
from lab.report.plot import HEIGHT, MOST, Level, Line, plot
from lab.report.run import notebook, run_plots
from lab.runs import RunFolder

VOID = {"meta", "img", "wbr"}


class Reader(HTMLParser):
    """Sees to it that tags close in order, and keeps texts and what could lead elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.texts, self.links, self.counts = [], [], [], {}
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(page: str) -> Reader:
    reader = Reader(page)
    assert [link for link in reader.links if not link.startswith("data:image/svg+xml;base64,")] == []
    assert "url(" not in page
    assert "<script" not in page
    return reader


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    with torch.no_grad():
        for changes in ({"seed": 0}, {"seed": 1}, {"optimizer": {"lr": 1.5}}):
            launch.train({**TINY, "init": 0.1}, runs=place, **changes)
    return place


def test_the_page_of_a_run_has_its_plots_spectrum_config_and_provenance(root, tmp_path, capsys):
    run = next(iter(root.glob("tiny/*-s1")))
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    reader = read(page)
    text = "\n".join(reader.texts)
    for expected in (
        "finished after step 6",
        "eigenvalues; λ₁ with its interval",
        "verdicts: |ours − truth| / what rounding allows",
        "spectrum where training ended: 15 eigenvalues; 5 cannot be told from zero",
        "2: unstable above",
        "optimizer.lr",
        "data_sha256",
        "packages.torch",
    ):
        assert expected in text
    assert reader.counts["svg"] == 8
    assert page.count("<circle") > 50
    assert 'class="band c0"' in page


def test_of_many_eigenvalues_lambda_1_alone_has_a_band_and_how_many_are_shown_is_said():
    def page(count):
        tags = [f"curvature/lambda_{i}" for i in range(1, count + 1)]
        ends = {f"{tag}{end}": size for tag in tags for end, size in (("", 2.0), ("/lower", 1.0), ("/upper", 3.0))}
        return "".join(run_plots([{"step": step, **ends} for step in range(5)]))

    assert "<b>eigenvalues; λ₁ with its interval</b>" in page(16)
    assert "<b>eigenvalues, 16 of 18; λ₁ with its interval</b>" in page(18)
    assert page(18).count('class="band') == 1
    assert page(18).count('<path class="line') == 16


def test_eigenvalues_are_marked_at_the_steps_that_measured_them():
    rows = [{"step": t, "curvature/lambda_1/lower": 0.5, "curvature/lambda_1/upper": 1.5} for t in range(100)]
    for t in (0, 60):
        rows[t]["curvature/lambda_1"] = 1.0
    marks = re.findall(r"<title>curvature/lambda_1: 1.0 at (\d+)</title>", "".join(run_plots(rows)))
    assert marks == ["0", "60"]


def test_the_page_of_a_sweep_has_a_table_and_the_spread_over_seeds(root, tmp_path, capsys):
    assert main(["report", str(root / "tiny")]) == 0
    page = (root / "tiny" / "report.html").read_text()
    text = "\n".join(read(page).texts)
    assert "3 finished" in text
    assert "optimizer.lr=0.5" in text
    losses = [lab.Run.open(path).metrics["loss/train"][-1] for path in root.glob("tiny/2*") if "1.5" not in str(path)]
    assert any(f"{loss:.6g}" in text for loss in losses)
    assert re.search(r"\d ± \d", text)
    assert 'class="band' in page
    (root / "tiny" / "report.html").unlink()


@pytest.mark.parametrize("values", [("1", "2"), ("0.12345671", "0.12345672")])
def test_a_sweeps_legends_say_a_value_as_its_table_does_and_in_full_where_two_would_look_alike(values, tmp_path):
    for lr in values:
        for seed in (0, 1):
            launch.train(TINY, runs=tmp_path, steps=1, seed=seed, optimizer={"lr": float(lr)})
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert set(re.findall(r"optimizer\.lr=([\d.]+)<", page)) == set(values)


def test_a_comparison_has_a_page_of_its_own(root, here, capsys):
    runs = [str(run) for seed in (1, 0) for run in sorted(root.glob(f"tiny/*-s{seed}"))]
    assert main(["compare", *runs, "--html", "c.html"]) == 0
    text = "\n".join(read(Path("c.html").read_text()).texts)
    assert "A and B part at step 0" in text
    assert "optimizer.lr" in text


def test_a_notebook_shows_summary_and_plots(root):
    run = lab.Run.open(next(iter(root.glob("tiny/*-s1"))))
    shown = run._repr_html_()
    reader = read(shown)
    assert reader.counts["svg"] == 3
    assert "finished after step 6" in shown
    assert repr(run) == f"<Run {run.path}: finished>"
    assert "vectors" not in repr(run.spectrum())


def test_a_run_whose_data_are_gone_has_a_page_that_says_so(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    data = {"kind": "csv", "path": str(tmp_path / "t.csv"), "target": "b"}
    run = launch.train({**TINY, "data": data, "loss": {"kind": "softmax"}}, runs=tmp_path)
    (tmp_path / "t.csv").unlink()
    assert main(["report", str(run.path)]) == 0
    assert "the spectrum cannot be shown" in (run.path / "report.html").read_text()


def test_what_a_run_says_is_text_and_never_markup(root, tmp_path):
    run = RunFolder(next(iter(root.glob("tiny/*-s1"))))
    rows = [{"step": 0, "loss/train": 1.0, "check/<script>": 2.0}]
    page = notebook(tmp_path / "<script>alert(1)</script>", {"status": "<img src=x>"}, rows)
    read(page)
    assert run.name == "tiny"


@given(
    y=st.lists(st.floats(), min_size=1, max_size=30),
    log=st.booleans(),
    level=st.floats(1e-300, 1e300),
    style=st.sampled_from(["line", "dashed", "dots"]),
)
def test_any_numbers_can_be_drawn(y, log, level, style):
    x = list(range(len(y)))
    page = plot("<title>", [Line("a & b", x, y, y, y, style)], [Level(level, "level")], ratios=log)
    if page:
        read(page)
        assert "nan" not in re.sub(r"<title>.*?</title>", "", page)
        assert "inf" not in re.sub(r"<title>.*?</title>", "", page)
    else:
        assert not any(abs(value) < 1e150 and (value > 1e-150 or not log) for value in y)


def test_a_peak_of_one_step_among_many_is_drawn():
    y = [1.0] * 100_000
    y[70_001] = 9.0
    page = plot("peak", [Line("a", range(100_000), y)])
    assert len(page) < 40 * 4 * MOST
    heights = [float(pair.split(",")[1]) for pair in re.findall(r"[\d.]+,[\d.]+", page)]
    assert sum(height < 50 for height in heights) == 1


def test_lines_that_share_a_colour_are_drawn_otherwise_and_so_in_the_legend():
    page = plot("many", [Line(str(i), [0.0, 1.0], [i, i + 1.0]) for i in range(48)])
    drawn = re.findall(r'<path class="line (c\d) ([^"]*)"', page)
    assert len(set(drawn)) == 48
    assert re.findall(r'<span class="(c\d)"><i class="([^"]*)">', page) == drawn
    assert drawn[0] == ("c0", "line")
    assert drawn[8] == ("c0", "dashed")
    (dashed,) = re.findall(
        r'<path class="line (c\d) ([^"]*)"', plot("one", [Line("p", [0, 1], [1, 2], style="dashed")])
    )
    assert dashed == ("c0", "dashed")


WRONG = {
    "nothing": (["report"], "name a run or a folder"),
    "nowhere": (["report", "nowhere"], "no such run"),
    "two folders": (["report", "{root}", "{root}"], "--out FILE"),
    "no run meets": (["report", "{root}", "--where", "seed == 99"], "no run meets"),
    "into no folder": (["report", "{root}", "--out", "a/b.html"], "there is no folder"),
    "a folder": (["report", "{root}", "--out", "."], "is a folder"),
    "to standard output": (["report", "{root}", "--out", "-"], "--out -: a page is not printed; name a file"),
    "compare into no folder": (["compare", "{root}", "--html", "a/b.html"], "there is no folder"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_and_writes_nothing(case, root, here, capsys):
    words, expected = WRONG[case]
    assert main([word.format(root=root) for word in words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert expected in err
    assert list(here.iterdir()) == []


def test_a_runs_page_shows_the_pictures_of_its_theorems(tiny, tmp_path):
    run = launch.train({**tiny, "theorems": ["zero_start", "large_steps"], "probes": {}}, runs=tmp_path)
    assert main(["report", str(run.path)]) == 0
    page = (run.path / "report.html").read_text()
    (link,) = read(page).links  # large_steps does not apply to softmax, and is not drawn
    drawn = base64.b64decode(link.removeprefix("data:image/svg+xml;base64,"))
    assert drawn == (run.path / "theorems" / "zero_start.svg").read_bytes()
    assert "img-src data:" in page


@pytest.mark.parametrize(("low", "high"), [(-0.9, 0.6), (-0.2, 1.1), (0.01, 0.2), (-7.3, 8.0), (2.1, 3.05)])
def test_a_logarithmic_axis_has_three_ticks_at_least_each_with_its_own_number(low, high):
    ticks = Axis("", log=True).ticks(low, high)
    assert len(ticks) >= 3
    for at, label in ticks:
        assert low <= at <= high
        assert float(label) == pytest.approx(10**at, rel=0.01)


@pytest.mark.parametrize("values", [[0.7, 0.8, 0.75], [1e-9, 1.0, 1e-4]], ids=["linear", "log"])
def test_a_band_that_goes_far_is_cut_off_and_leaves_its_line_a_third_of_the_height(values):
    page = plot("band", [Line("a", range(3), values, [1e-12] * 3, [1e9] * 3)])
    (curve,) = re.findall(r'class="line c0 line" d="([^"]+)"', page)
    heights = [float(y) for y in re.findall(r",([\d.]+)", curve)]
    assert max(heights) - min(heights) > HEIGHT / 4
