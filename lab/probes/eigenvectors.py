"""The Hessian's leading eigenvectors as images, where the columns of X are pixels: the directions of most curvature.

An eigenvector lies in θ's space (D, K): for each class an image of D pixels. Data sets say that their columns are
pixels by names that end in the row and the column, as pixel_0_7.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from lab.picture.canvas import BAR, Canvas, short
from lab.picture.palette import diverging
from lab.probe import Probe, Reading, Step
from lab.probes._leading import classes_of, leading
from lab.record import Picture

LEFT, TOP, RIGHT, GAP = 112, 50, 78, 4
WIDE = 480  # about how many pixels all images of a row take together
_PIXEL = re.compile(r".*?(\d+)_(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Eigenvectors(Probe):
    """Draw the five leading eigenvectors of the whole training set's Hessian, where the features are pixels."""

    every: Annotated[int, Ge(1)] = 100

    def measure(self, step: Step) -> Mapping[str, Reading]:
        pixels = grid(step.features[: step.theta.shape[0]])
        if pixels is None:
            return {}
        values, vectors = leading(step)
        if not len(values):
            return {}
        images = [
            laid_out(v, pixels)
            for v in vectors.double().cpu().numpy().reshape(*step.theta.shape, -1).transpose(2, 1, 0)
        ]
        return {"picture/eigenvectors": draw(values.tolist(), images, classes_of(step), step.t)}


def grid(features: Sequence[str]) -> NDArray[np.int64] | None:
    """Row and column (D, 2) of the pixel that each feature is, −1 for the intercept; None where they are no pixels."""
    places = list[tuple[int, ...]]()
    for name in features:
        found = _PIXEL.fullmatch(name)
        if found is None and name != "intercept":
            return None
        places.append(tuple(map(int, found.groups())) if found else (-1, -1))
    at = np.array(places, dtype=np.int64)
    if not (at >= 0).any():
        return None
    known = at[at[:, 0] >= 0]
    rows, columns = known.max(axis=0) + 1
    return at if len(np.unique(known, axis=0)) == len(known) and rows * columns <= 4 * len(known) else None


def laid_out(vector: NDArray[np.float64], pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The images (K, rows, columns) of an eigenvector (K, D); nan where there is no pixel."""
    rows, columns = pixels.max(axis=0) + 1
    images = np.full((len(vector), rows, columns), np.nan)
    known = pixels[:, 0] >= 0
    images[:, pixels[known, 0], pixels[known, 1]] = vector[:, known]
    return images


def draw(values: Sequence[float], images: Sequence[NDArray[np.float64]], classes: tuple[str, ...], t: int) -> Picture:
    """The picture: a row for each eigenvector, an image (K, rows, columns) for each class, one scale for all."""
    K, rows, columns = images[0].shape
    size = max(1, WIDE // (K * columns))
    wide, high = columns * size + GAP, rows * size + GAP
    canvas = Canvas(LEFT + K * wide + RIGHT, max(TOP + len(images) * high + 8, 180))
    canvas.words((LEFT, 6), f"leading eigenvectors of the Hessian, step {t}")
    largest = max(float(np.nanmax(np.abs(image))) for image in images) or 1.0
    for k, name in enumerate(classes):
        canvas.words((LEFT + k * wide + wide / 2 - GAP, TOP - 6), name, anchor="ms", size=13)
    for i, (value, image) in enumerate(zip(values, images, strict=True)):
        top = TOP + i * high
        canvas.words((LEFT - 8, top + high / 2 - 9), f"eigenvalue {i + 1}", anchor="rm", size=13)
        canvas.words((LEFT - 8, top + high / 2 + 7), short(value), anchor="rm", size=13)
        for k in range(K):
            box = (LEFT + k * wide, top, columns * size, rows * size)
            canvas.field(diverging(image[k] / largest), box)
            canvas.frame(box)
    scale = (LEFT + K * wide + 8, TOP, BAR, max(len(images) * high - GAP, 120))
    ticks = [(0.0, short(-largest)), (0.5, "0"), (1.0, short(largest))]
    canvas.scale(scale, diverging(np.linspace(-1, 1, 101)), ticks)
    return canvas.picture(
        "A row for each of the largest eigenvalues: its eigenvector, class by class, as an image. Moving θ along it "
        "bends the loss most; grey pixels are not among the features."
    )
