"""The data sets that scikit-learn carries with it: real, small, and there without a network.

breast_cancer  569 ×  30,  2 classes   30 measures of cell nuclei on scales from 1e-3 to 1e3: standardise
iris           150 ×   4,  3 classes   setosa is linearly separable from the others
wine           178 ×  13,  3 classes   separable: without ridge the weights grow without end
digits       1,797 ×  64, 10 classes   8 × 8 pixels, three of them 0 in every row

The files are read where scikit-learn keeps them, and scikit-learn is not imported: that takes as long as importing
torch. The tests hold every table against what its own loader gives.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from lab.dataset import Dataset, Table, digest
from lab.errors import InputError

CELL = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)


class Bundled(NamedTuple):
    """A file of scikit-learn's, numbers with the class last, and the names that belong to it."""

    file: str
    header_lines: int
    features: tuple[str, ...]
    classes: tuple[str, ...]


BUNDLED = {
    "breast_cancer": Bundled(
        "breast_cancer.csv",
        1,
        (*(f"mean {one}" for one in CELL), *(f"{one} error" for one in CELL), *(f"worst {one}" for one in CELL)),
        ("malignant", "benign"),
    ),
    "iris": Bundled(
        "iris.csv",
        1,
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        ("setosa", "versicolor", "virginica"),
    ),
    "wine": Bundled(
        "wine_data.csv",
        1,
        (
            "alcohol",
            "malic_acid",
            "ash",
            "alcalinity_of_ash",
            "magnesium",
            "total_phenols",
            "flavanoids",
            "nonflavanoid_phenols",
            "proanthocyanins",
            "color_intensity",
            "hue",
            "od280/od315_of_diluted_wines",
            "proline",
        ),
        ("class_0", "class_1", "class_2"),
    ),
    "digits": Bundled(
        "digits.csv.gz",
        0,
        tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
        tuple(map(str, range(10))),
    ),
}


@dataclass(frozen=True)
class Sklearn(Dataset):
    """A data set bundled with scikit-learn, by its name."""

    name: Literal["breast_cancer", "iris", "wine", "digits"]
    """Which of scikit-learn's data sets."""

    def load(self) -> Table:
        if self.name not in BUNDLED:
            raise InputError(f"data.name: no bundled data set {self.name!r}; choose one of {', '.join(BUNDLED)}")
        file, header_lines, features, classes = BUNDLED[self.name]
        package = find_spec("sklearn")
        if package is None or package.origin is None:
            raise InputError("data.kind: sklearn is not installed; pip install scikit-learn")
        path = Path(package.origin).parent / "datasets" / "data" / file
        rows = np.loadtxt(path, delimiter=",", skiprows=header_lines)
        X, y = np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64)
        return Table(X, y, features, classes, digest(X, y, features, classes))
