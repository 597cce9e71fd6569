"""A canvas: fields of colours, words, lines and a scale, and the PNG that comes of them.

The font that Pillow brings has no Greek, so words in pictures are spelt out; what explains them, beside, is not.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.picture.palette import Colours
from lab.record import Picture

if TYPE_CHECKING:
    from PIL import ImageFont

Box = tuple[int, int, int, int]  # left, top, width, height
Point = tuple[float, float]
INK, FAINT = (40, 40, 40), (150, 150, 150)
BAR = 14  # the width of a scale


class Canvas:
    """A white sheet of `width` × `height` pixels, the origin at its left top."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self.size = (width, height)
        self._image = Image.new("RGB", self.size, "white")
        self._draw = ImageDraw.Draw(self._image)

    def field(self, colours: Colours, box: Box) -> None:
        """Fill `box` with the cells (rows, columns, 3), the first row at the top; every cell is a rectangle."""
        from PIL import Image

        left, top, width, height = box
        whole = Image.fromarray(np.ascontiguousarray(colours))
        self._image.paste(whole.resize((width, height), Image.Resampling.NEAREST), (left, top))

    def words(self, place: Point, words: str, anchor: str = "la", size: int = 15) -> None:
        """Write at `place`; `anchor` as Pillow has it: l, m, r across and a, m, s down."""
        self._draw.text(place, words, fill=INK, font=_font(size), anchor=anchor)

    def line(self, points: Sequence[Point], colour: tuple[int, int, int] = FAINT, width: int = 1) -> None:
        """Draw through the points."""
        self._draw.line(list(points), fill=colour, width=width)

    def dot(self, place: Point, radius: float, fill: tuple[int, int, int]) -> None:
        """Draw a dot with a dark rim."""
        x, y = place
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=INK)

    def frame(self, box: Box) -> None:
        """Draw a line around `box`."""
        left, top, width, height = box
        self._draw.rectangle((left - 1, top - 1, left + width, top + height), outline=FAINT)

    def scale(self, box: Box, colours: Colours, ticks: Sequence[tuple[float, str]]) -> None:
        """Draw a legend: `colours` (n, 3) from the bottom of `box` to its top, with words at shares of its height."""
        left, top, width, height = box
        self.field(colours[::-1, None, :], box)
        self.frame(box)
        for share, words in ticks:
            y = top + round((1 - share) * (height - 1))
            self.line([(left + width, y), (left + width + 3, y)])
            self.words((left + width + 6, y), words, anchor="lm", size=13)

    def picture(self, says: str) -> Picture:
        """What was drawn, as a PNG."""
        held = BytesIO()
        self._image.save(held, format="PNG", compress_level=3)
        return Picture(held.getvalue(), *self.size, says)


@cache
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


def short(value: float) -> str:
    """A number in a few characters."""
    return f"{value:.2g}"


def smooth(grid: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """The grid (m, n) at `rows` × `columns` points between its corners, linear from each of its points to the next."""

    def weights(many: int, few: int) -> NDArray[np.float64]:
        at = np.linspace(0, few - 1, many)
        hats: NDArray[np.float64] = np.clip(1 - np.abs(at[:, None] - np.arange(few)), 0, None)
        return hats

    return weights(rows, grid.shape[0]) @ grid @ weights(columns, grid.shape[1]).T
