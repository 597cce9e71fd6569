"""Every dashboard in a real browser: the charts are there, and data in them; by both of TensorBoard's data servers.

Screenshots are kept in tests/screenshots, which git ignores. What TensorBoard draws does not depend on which server
read the files, so the browser looks at one server's, and the other is asked for the same data.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import CHROMIUM, Browser

from lab import config, launch
from lab.board import board_flags
from lab.console import Silent
from lab.display import CHARTS
from lab.events.server import serve
from lab.events.writer import TensorBoard
from lab.experiment import assemble
from lab.spread import SHOWN, write_spread

pytestmark = pytest.mark.xdist_group("browser")  # one worker trains the runs and opens the one browser

KEPT = Path(__file__).parent / "screenshots"
PICTURES = {"hessian_map": 4, "eigenvectors": 4, "landscape": 4, "waterfall": 4}
TAGS = {"picture/hessian", "picture/eigenvectors", "picture/landscape", "picture/spectrum"}
DISTRIBUTIONS = {
    f"distribution/{name}"
    for name in ("weights", "gradient", "log10_gradient", "margins", "log10_eigenvalues/positive")
}
TEXTS = {"run/config", "run/provenance", "curvature/definiteness"}
WRONG = "step 3: gradient disagrees with autograd: `y − p` in place of *p − y*"


class Interrupted(Silent):
    """Stops the run at a step, as a power cut would."""

    def step(self, t: int, readings: Any) -> None:
        if t == 6:
            raise KeyboardInterrupt


def settings(folder: Path, seed: int, lr: float = 0.5) -> dict[str, Any]:
    """A small problem whose features are 3 × 3 pixels, with everything shown."""
    path = folder / "pixels.csv"
    if not path.exists():
        rng, y = np.random.default_rng(0), np.arange(45) % 3
        X = rng.normal(size=(45, 9)) + np.eye(3)[y].repeat(3, axis=1)
        head = ",".join([*(f"pixel_{r}_{c}" for r in range(3) for c in range(3)), "label"])
        path.write_text(
            "\n".join([head, *(",".join([*map(str, x.round(3)), "abc"[k]]) for x, k in zip(X, y, strict=True))])
        )
    measured = {name: {} for name in ("fit", "gradient", "hvp", "hessian", "spectrum", "descent")}
    return {
        "name": "pixels",
        "data": {"kind": "csv", "path": str(path), "target": "label", "validation": 0.2},
        "loss": {"kind": "softmax"},
        "steps": 10,
        "init": 0.3,
        "seed": seed,
        "checkpoint_every": 2,
        "optimizer": {"kind": "sgd", "lr": lr},
        "probes": {**measured, "histograms": {"every": 2}, **{name: {"every": n} for name, n in PICTURES.items()}},
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one setting, the second cut off and resumed, another setting, and the spread over the seeds."""
    folder = tmp_path_factory.mktemp("browser")
    root = folder / "runs"
    with torch.no_grad():
        whole = launch.train(settings(folder, 0), runs=root).path
        launch.train(settings(folder, 0, lr=0.1), runs=root)
        with pytest.raises(KeyboardInterrupt):
            launch.launch(assemble(config.from_mapping(settings(folder, 1))), root, Interrupted(), [])
        (cut,) = (path for path in (root / "pixels").iterdir() if path.name.endswith("-s1"))
        run, made = launch.reopen(cut)
        assert launch.resume(run, assemble(made), Silent()).status == "finished"
    write_spread(root / "pixels" / "seeds", [whole, cut])
    (root / "pixels" / "wrong").mkdir()
    wrong = TensorBoard(root / "pixels" / "wrong")
    wrong.write(3, {"check/gradient": 1e9, "check/gradient/failure": WRONG})
    wrong.close()
    return root


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest, runs: Path) -> str:
    """Where TensorBoard shows the runs; by one data server, then by the other."""
    return serve([*board_flags([runs], runs), "--port=0", f"--load_fast={request.param}"])


def ask(url: str, path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}data/plugin/{path}", timeout=300) as answer:
        return json.load(answer)


def everything(url: str, run: str) -> dict[str, Any]:
    """What a data server tells of a run, by name."""
    counted = ask(url, f"histograms/histograms?run={run}&tag=distribution/weights")
    pictured = ask(url, f"images/images?run={run}&tag=picture/landscape&sample=0")
    return {
        "losses": [step for _, step, _ in ask(url, f"scalars/scalars?run={run}&tag=loss/train")],
        "landscapes": [image["step"] for image in pictured],
        "weights": [step for _, step, _ in counted],
        "pictures": set(ask(url, "images/tags")[run]) & TAGS,
        "distributions": set(ask(url, "histograms/tags")[run]) & DISTRIBUTIONS,
        "texts": set(ask(url, "text/tags")[run]) & TEXTS,
    }


@pytest.mark.slow
@pytest.mark.parametrize("url", ["true", "false"], ids=["fast loader", "slow loader"], indirect=True)
def test_both_data_servers_have_everything_of_a_run_that_was_resumed(url: str, runs: Path) -> None:
    (resumed,) = (f"pixels/{path.name}" for path in (runs / "pixels").iterdir() if path.name.endswith("-s1"))
    due = {
        "losses": list(range(11)),
        "landscapes": [0, 4, 8, 10],
        "weights": [0, 2, 4, 6, 8, 10],
        "pictures": TAGS,
        "distributions": DISTRIBUTIONS,
        "texts": TEXTS,
    }
    found: Any = None
    deadline = time.monotonic() + 300
    while found != due and time.monotonic() < deadline:  # a server reads the files while it answers
        time.sleep(0.5)
        try:
            found = everything(url, resumed)
        except (urllib.error.HTTPError, KeyError) as missing:
            found = missing
    assert found == due


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium, as .ci/run does")
    with Browser() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("url", ["true"], ids=["fast loader"], indirect=True)
@pytest.mark.parametrize(
    "dashboard", ["custom_scalars", "text", "hparams", "images", "histograms", "distributions", "timeseries"]
)
def test_a_dashboard_is_there_with_data(url: str, browser: Browser, dashboard: str) -> None:
    if not browser.evaluate("location.href").startswith(url):
        browser.open(f"{url}#{dashboard}")
    browser.evaluate(f"location.hash = '{dashboard}'")
    try:
        for javascript in SEEN[dashboard]:
            browser.wait(javascript)
    finally:
        browser.shoot(KEPT / f"{dashboard}.png")


def titles() -> list[str]:
    return [chart.title for charts in CHARTS.values() for chart in charts] + [
        f"{tag}: mean ± one standard deviation" for tag in SHOWN[:3]
    ]


def says(*words: str) -> str:
    """Whether the page says all this."""
    return f"(text => {json.dumps(words)}.every(said => text.includes(said)))(words())"


CARDS = "tf-custom-scalar-multi-line-chart-card, tf-custom-scalar-margin-chart-card"
SEEN = {
    "custom_scalars": [
        says(*titles()),
        f"every('{CARDS}').slice(0, 5).every(e => /Matches \\([1-9]/.test(e.shadowRoot.textContent))",
        f"every('{CARDS}').slice(0, 5).every(e => every('svg path, svg line', e.shadowRoot).length > 10)",
    ],
    "text": [says("softmax ignores a common shift", WRONG)],
    "hparams": [
        says("optimizer.lr"),
        "every('tf-hparams-table-view').some(t => every('*', t.shadowRoot).filter("
        "e => /^pixels-[0-9a-f]{10}$/.test(e.textContent.trim()) && !e.children.length).length == 2)",
    ],
    "images": ["every('img').filter(i => i.naturalWidth > 300).length >= 4"],
    "histograms": ["every('vz-histogram-timeseries').filter(e => every('path', e.shadowRoot).length > 4).length >= 4"],
    "distributions": ["every('vz-distribution-chart').filter(e => every('path', e.shadowRoot).length > 4).length >= 4"],
    "timeseries": [says("accuracy/train"), "every('card-view scalar-card-component').length > 3"],
}
