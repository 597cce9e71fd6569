"""Validation rows, drawn with a seed, stratified by class where the classes allow it."""

import math

import numpy as np

from lab.dataset import Integers, Table
from lab.errors import InputError


def split(table: Table, rows: Integers, validation: float, seed: int) -> tuple[Integers, Integers, list[str]]:
    """Of `rows` those to train on, those to validate on (both sorted), and notes for the user.

    Raises InputError where `validation` is no share in [0, 1), or leaves no row to train on.
    """
    if validation == 0:
        return rows, rows[:0], _absent(table, rows)
    if not 0 < validation < 1:
        raise InputError(f"data.validation: {validation} is no share of the rows; give a number in [0, 1)")
    held_out = math.ceil(validation * len(rows))
    if held_out == len(rows):
        raise InputError(f"data.validation: {validation} of {len(rows)} rows leaves none to train on; give less")
    y = table.y[rows]
    why_not = _why_not_stratified(table, rows, held_out)
    order = np.random.default_rng(seed % 2**64).permutation(len(rows))  # a seed here is not negative
    if not why_not:
        order = order[np.argsort(y[order], kind="stable")]
    # At equal steps along rows in the order of their classes, each class gives its share to within one row.
    taken = (np.arange(held_out) * 2 + 1) * len(rows) // (2 * held_out)
    validating, training = rows[np.sort(order[taken])], rows[np.sort(np.delete(order, taken))]
    how = f"not stratified: {why_not}" if why_not else "stratified by class"
    return training, validating, [f"validation rows are {how}", *_absent(table, training)]


def _absent(table: Table, training: Integers) -> list[str]:
    """A note on each class that no row to train on has."""
    if table.multilabel:
        return []
    absent = sorted(set(range(len(table.classes))) - set(table.y[training].tolist()))
    return [f"class {table.classes[c]!r} has no training row" for c in absent]


def _why_not_stratified(table: Table, rows: Integers, held_out: int) -> str | None:
    """What forbids a stratified split, or None."""
    if table.multilabel:
        return "there are several labels a row"
    counts = np.bincount(table.y[rows], minlength=len(table.classes))
    if counts.min() < 2:
        rare = table.classes[int(counts.argmin())]
        return f"class {rare!r} has fewer than two rows"
    if min(held_out, len(rows) - held_out) < len(table.classes):
        return f"a part has fewer rows than there are classes ({len(table.classes)})"
    return None
