"""The whole spectrum: log10 |λ| of every eigenvalue as a histogram, signs apart, and over time as a picture.

What the spectrum probe found at a step is taken as it is: all eigenvalues, or the largest alone where the others were
too dear. What cannot be told from zero is counted apart, for it has no logarithm worth showing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor

from lab.picture.canvas import BAR, Canvas
from lab.picture.counts import histogram_of_sizes
from lab.picture.palette import sequential
from lab.probe import Probe, Reading, Step
from lab.record import Picture
from lab.spectrum import Spectrum

LOW, HIGH, PER_DECADE = -20, 12, 8
BINS = (HIGH - LOW) * PER_DECADE
ROWS = 200  # of the history; when there are more, every second one is forgotten
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM, STRIP = 420, 300, 66, 34, 64, 30, 14


@dataclass(frozen=True)
class Waterfall(Probe):
    """Show log10 of the sizes of each spectrum that the spectrum probe finds, and draw how they move over time."""

    every: Annotated[int, Ge(1)] = 100
    last: ClassVar[bool] = True

    def due(self, step: Step) -> bool:
        """Every step is, for it may have a spectrum."""
        return True

    def measure(self, step: Step) -> Mapping[str, Reading]:
        found: Spectrum | None = step.seen.get("spectrum")
        shown: dict[str, Reading] = {}
        if found is not None:
            values = found.values.double().cpu().numpy()
            sure = values[np.abs(values) > found.radius]
            for sign, kept in (("positive", sure[sure > 0]), ("negative", sure[sure < 0])):
                counts = histogram_of_sizes(kept)
                if counts is not None:
                    shown[f"distribution/log10_eigenvalues/{sign}"] = counts
            _keep(step.memory, step.t, counted(found))
        if super().due(step) and step.memory.get("steps"):
            shown["picture/spectrum"] = draw(step.memory["steps"], torch.stack(step.memory["counts"]).numpy())
        return shown


def counted(spectrum: Spectrum) -> Tensor:
    """Numbers (2·BINS + 1,): negative eigenvalues from the largest size down, zeros, positive ones from 0 up."""
    values = spectrum.values.double().cpu()
    sure = values.abs() > spectrum.radius
    bins = ((values.abs().clamp(min=1e-300).log10() - LOW) * PER_DECADE).floor().clamp(0, BINS - 1).long()
    place = torch.where(values > 0, BINS + 1 + bins, BINS - 1 - bins)
    return torch.bincount(torch.where(sure, place, BINS), minlength=2 * BINS + 1).int()


def _keep(memory: dict[str, Any], t: int, counts: Tensor) -> None:
    steps, rows = [*memory.get("steps", []), t], [*memory.get("counts", []), counts]
    if len(steps) > ROWS:
        steps, rows = steps[::2], rows[::2]
    memory.update(steps=steps, counts=rows)


def draw(steps: list[int], history: NDArray[Any]) -> Picture:
    """The picture of counts (T, 2·BINS + 1): a column each, log10 |λ| upwards, negative ones below the zeros."""
    positive, zeros, negative = history[:, BINS + 1 :].T, history[:, BINS], history[:, :BINS][:, ::-1].T
    largest = max(int(history.max()), 1)
    below = bool(negative.any())
    canvas = Canvas(LEFT + WIDTH + RIGHT, TOP + HEIGHT + STRIP + 4 + (STRIP * 6 + 4) * below + BOTTOM)
    canvas.words((LEFT, 8), "how many eigenvalues have which size, a column a measurement")
    top = _strip(canvas, positive, (TOP, HEIGHT), largest)
    canvas.field(_coloured(zeros[None], largest), (LEFT, top, WIDTH, STRIP))
    canvas.frame((LEFT, top, WIDTH, STRIP))
    canvas.words((LEFT - 6, top + STRIP / 2), "zero", anchor="rm", size=13)
    top += STRIP + 4
    if below:
        top = _strip(canvas, negative, (top, 6 * STRIP), largest, down=True)
    canvas.words((LEFT - 6, top + 6), "step", anchor="ra", size=13)
    for at, step in ticks(steps):
        canvas.line([(LEFT + at * WIDTH, top - 4), (LEFT + at * WIDTH, top + 2)])
        canvas.words((LEFT + at * WIDTH, top + 6), str(step), anchor="ma", size=13)
    marks = [(share, str(round((1 + largest) ** share - 1))) for share in (0.0, 0.5, 1.0)]
    canvas.scale((LEFT + WIDTH + 14, TOP, BAR, HEIGHT), sequential(np.linspace(0, 1, 101)), marks)
    return canvas.picture(
        "Every measured spectrum of the Hessian as a column: how many eigenvalues lie in each eighth of a decade. "
        "All columns are equally wide, however many steps lie between two measurements. "
        "Those that cannot be told from zero are counted in the strip below."
    )


def ticks(steps: list[int]) -> list[tuple[float, int]]:
    """Five steps at most to name below columns of equal width, each at the middle of its own, as a share of all."""
    named = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), 5)).round().astype(int))
    return [((i + 0.5) / len(steps), steps[i]) for i in named.tolist()]


def _strip(canvas: Canvas, counts: NDArray[Any], place: tuple[int, int], largest: int, down: bool = False) -> int:
    """Draw the decades that are not empty, of counts by size ascending, upwards or down; return where it ends."""
    top, height = place
    filled = np.flatnonzero(counts.any(axis=1))
    low, high = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, BINS)
    colours = _coloured(counts[low:high], largest)
    canvas.field(colours if down else colours[::-1], (LEFT, top, WIDTH, height))
    canvas.frame((LEFT, top, WIDTH, height))
    for decade in range(LOW, HIGH + 1):
        share = ((decade - LOW) * PER_DECADE - low) / (high - low)
        if 0 <= share <= 1 and (high - low < 12 * PER_DECADE or decade % 2 == 0):
            y = top + height * (share if down else 1 - share)
            canvas.line([(LEFT - 4, y), (LEFT, y)])
            canvas.words((LEFT - 6, y), f"{'-' if down else ''}1e{decade}", anchor="rm", size=13)
    return top + height + 4


def _coloured(counts: NDArray[Any], largest: int) -> NDArray[np.uint8]:
    """Colours of counts by the logarithm of 1 + count; none is white."""
    colours = sequential(np.log1p(counts) / np.log1p(largest))
    colours[counts == 0] = 255
    return colours
