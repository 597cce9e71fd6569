"""Make the README's screenshots of TensorBoard: `python docs/screenshots.py`. It needs Chromium, and some minutes.

Trains digits for a short while and two settings of breast_cancer with two seeds each, opens them, and writes
docs/charts.png, docs/pictures.png, docs/histograms.png and docs/settings.png.
"""

import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
from browser import Browser  # noqa: E402

from lab import launch  # noqa: E402
from lab.board import board_flags  # noqa: E402
from lab.events.server import serve  # noqa: E402

WIDTH = 1500
CARDS = "tf-custom-scalar-multi-line-chart-card, tf-custom-scalar-margin-chart-card"
# Of each picture: which runs, which dashboard, how high, and what is there when it is complete.
DRAWN = "filter(e => every('path', e.shadowRoot).length > 4)"
SHOTS = {
    "charts": (
        "digits",
        "custom_scalars",
        1640,
        f"every('{CARDS}').length > 8"
        f" && every('{CARDS}').slice(0, 9).every(e => /Matches \\([1-9]/.test(e.shadowRoot.textContent))",
    ),
    "pictures": ("digits", "images", 1040, "every('img').filter(i => i.naturalWidth > 300).length >= 4"),
    "histograms": ("digits", "histograms", 720, f"every('vz-histogram-timeseries').{DRAWN}.length >= 5"),
    "settings": ("breast_cancer", "hparams", 560, "every('tf-hparams-table-view').length > 0"),
}
PROBES = {"hessian": {"every": 12}, "spectrum": {"every": 2}, "histograms": {"every": 4}, "waterfall": {"every": 12}}
UNSMOOTHED = "every('tf-custom-scalar-dashboard').forEach(e => { e._smoothingWeight = 0 })"  # the numbers as they are


def train(root: Path) -> None:
    """The runs that are shown."""
    configs = HERE.parent / "configs"
    launch.train(configs / "digits.yaml", runs=root, steps=24, data={"validation": 0.2}, probes=PROBES)
    for lr in (0.1, 0.5):
        for seed in (0, 1):
            launch.train(configs / "breast_cancer.yaml", runs=root, seed=seed, steps=20, optimizer={"lr": lr})


def shoot(root: Path) -> None:
    """Open each dashboard and save what is to be seen."""
    urls = {name: serve([*board_flags([root / name], root), "--port=0"]) for name in ("digits", "breast_cancer")}
    for name, (runs, dashboard, height, complete) in SHOTS.items():
        with Browser((WIDTH, height)) as browser:
            url = f"{urls[runs]}#{dashboard}"
            browser.open(url)
            browser.wait(complete, seconds=400)
            browser.evaluate(UNSMOOTHED)
            time.sleep(3)  # what has just come in is drawn
            path = HERE / f"{name}.png"
            browser.shoot(path)
            shrink(path)
            print(path, path.stat().st_size)


def shrink(path: Path) -> None:
    """Make a screenshot small: 128 colours are enough for lines and words."""
    image = Image.open(BytesIO(path.read_bytes())).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        shoot(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            train(Path(folder))
            shoot(Path(folder))
