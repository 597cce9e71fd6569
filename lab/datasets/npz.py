"""An npz file, as `numpy.savez(path, X=X, y=y)` writes it. Pickled objects are never loaded.

X (N, D) of numbers, nan where one is missing. y (N,) of class labels, whole numbers or text; or (N, L) of 0 and 1 for
multi-label. Where `weight` is named, (N,) of the rows' weights or (N, L) of the labels'. Columns are named x0, x1, …
after the array's key, and label columns y0, y1, ….
"""

import hashlib
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.dataset import DataPath, Dataset, Integers, Table, encode, require_both
from lab.errors import InputError, suggest
from lab.sheet import Floats, Matrix, Sheet, read_bytes

Array = NDArray[Any]


@dataclass(frozen=True)
class Npz(Dataset):
    """An npz file with an array of features and an array of labels; `weight` names one of weights in the loss."""

    path: DataPath
    """The file; a relative path starts from the config's folder."""
    X: str = "X"
    """The array of X's name."""
    y: str = "y"
    """The array of the targets' name."""
    weight: str | None = None
    """The array of the weights' name."""

    def load(self) -> Table:
        content = read_bytes(self.path)
        sheet = self._matrix(content)
        X = sheet.X
        y, classes = self._targets(self._array(content, self.y), len(X))
        missing = ""
        if np.isnan(X).any():
            row, column = np.argwhere(np.isnan(X))[0]
            missing = f"{self.path}: {self.X}[{row}, {column}] is nan, which is missing"
        weight = None if self.weight is None else self._weights(self._array(content, self.weight), y)
        return Table(X, y, sheet.names, classes, sheet.sha256, missing=missing, weight=weight)

    def sheet(self, path: str) -> Sheet:
        return replace(self, path=path)._matrix(read_bytes(path))

    def _matrix(self, content: bytes) -> Matrix:
        X = self._features(self._array(content, self.X))
        names = tuple(f"{self.X.lower()}{column}" for column in range(X.shape[1]))
        return Matrix(self.path, hashlib.sha256(content).hexdigest(), names, X)

    def _array(self, content: bytes, key: str) -> Array:
        """One array of the file, by its key."""
        try:
            stored = np.load(io.BytesIO(content), allow_pickle=False)
            names = list(stored.files)
        except Exception:  # the zip and npy readers raise a dozen kinds, all of which mean this
            raise InputError(f"{self.path}: not an npz file; write one with numpy.savez(path, X=X, y=y)") from None
        if key not in names:
            raise InputError(f"{self.path}: no array {key!r}{suggest(key, names)}")
        try:
            array = np.asarray(stored[key])
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{self.path}: array {key!r} cannot be read ({why}); store plain numbers or text, not objects"
            ) from None
        return array

    def _features(self, X: Array) -> Floats:
        if X.ndim != 2 or X.size == 0:
            raise InputError(f"{self.path}: array {self.X!r} has shape {X.shape}; store rows by columns, (N, D)")
        if X.dtype.kind not in "biuf":
            raise InputError(f"{self.path}: array {self.X!r} holds {X.dtype}; store real numbers")
        with np.errstate(over="ignore"):
            X = np.ascontiguousarray(X, dtype=np.float64)
        self._refuse(self.X, X, np.isinf(X), "store finite numbers, or leave the row out")
        return X

    def _weights(self, w: Array, y: Integers) -> Floats:
        """The rows' weights (N, 1), or the labels' (N, L)."""
        if w.shape not in {y.shape[:1], (len(y), 1), y.shape} or w.dtype.kind not in "biuf":
            due = f"real numbers, ({len(y)},)" + (f" or {y.shape}" if y.ndim > 1 else "")
            raise InputError(f"{self.path}: array {self.weight!r} is {w.dtype} {w.shape}; store {due}")
        self._refuse(str(self.weight), w, ~(np.isfinite(w) & (w >= 0)), "store finite numbers of at least 0")
        return w.reshape(len(y), -1).astype(np.float64)

    def _targets(self, y: Array, rows: int) -> tuple[Integers, tuple[str, ...]]:
        """Class indices (N,) and class names, or flags (N, L) and label names."""
        if y.ndim not in (1, 2) or len(y) != rows or y.shape[1:] in ((0,), (1,)):
            due = f"({rows},) for classes, or ({rows}, L) with L > 1 for labels"
            raise InputError(f"{self.path}: array {self.y!r} has shape {y.shape}; store {due}")
        if y.ndim == 1:
            return encode(self._labels(y), f"{self.path}: array {self.y!r}")
        if y.dtype.kind not in "biuf":
            raise InputError(f"{self.path}: array {self.y!r} holds {y.dtype}; store 0 or 1 for each label")
        self._refuse(self.y, y, (y != 0) & (y != 1), "store 0 or 1 for each label")
        names = tuple(f"{self.y.lower()}{column}" for column in range(y.shape[1]))
        flags = y.astype(np.int64)
        require_both(flags, names, self.path)
        return flags, names

    def _labels(self, y: Array) -> list[str]:
        """Class labels as text: a whole number without its point, text as it is."""
        if y.dtype.kind in "biu":
            return [str(label) for label in y.tolist()]
        if y.dtype.kind == "f":
            self._refuse(self.y, y, ~np.isfinite(y) | (y != np.round(y)), "store whole numbers for classes")
            return [str(int(label)) for label in y.tolist()]
        if y.dtype.kind in "US":
            self._refuse(self.y, y, np.char.str_len(y) == 0, "store a label for every row")
            return [one.decode(errors="backslashreplace") if isinstance(one, bytes) else one for one in y.tolist()]
        raise InputError(f"{self.path}: array {self.y!r} holds {y.dtype}; store whole numbers or text for classes")

    def _refuse(self, key: str, array: Array, bad: NDArray[np.bool_], advice: str) -> None:
        """Raise InputError, naming the first bad entry, if there is one."""
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(f"{self.path}: {key}[{', '.join(map(str, place))}] is {array[place].item()!r}; {advice}")
