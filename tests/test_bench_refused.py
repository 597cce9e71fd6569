"""What a file of one's own may not do, though its numbers be right, is told as that and never passed over."""

import re

import pytest

from lab.cli import main

HEAD = """
import sys
import torch
import lab
from dataclasses import dataclass
"""
CUBES = '''
class Cubes(lab.Derivation):
    """Σ x³."""

    shapes = {"x": "d"}

    def value(self, x): return (x ** 3).sum()
    def gradient(self, x): return 3 * x ** 2
    def hvp(self, x, v): return 6 * x * v
'''


@pytest.fixture
def mine(tmp_path):
    """Write a file of the user's; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("what", ["value", "gradient", "hvp"])
def test_who_leaves_the_program_is_a_failed_check_with_its_place(what, mine, capsys):
    left = re.sub(rf"(def {what}\(.*\)): return .*", r"\1: sys.exit(0)", CUBES)
    assert left != CUBES
    assert main(["check", mine(HEAD + left)]) == 1
    assert re.search(rf"Cubes {what}, float64: WRONG; raises .*mine\.py:\d+: SystemExit: 0", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["__init__", "examples"])
def test_who_leaves_the_program_before_there_is_something_to_judge_is_wrong_input(name, mine, capsys):
    assert main(["check", mine(HEAD + CUBES + f"    def {name}(self, *rng): sys.exit(0)\n")]) == 2
    assert re.search(r"mine\.py:\d+: Cubes.* raises .*mine\.py:\d+: SystemExit: 0", capsys.readouterr().err)
