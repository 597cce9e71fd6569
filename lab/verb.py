"""Verb: something that the program does, `lab VERB`."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

KEYS = "The keys of a config: `lab keys` explains them, `lab schema` is for editors, docs/runs.md has examples."


class Verb(ABC):
    """One verb of the command line, named as its file; its docstring is its line of `lab --help`.

    Importing a verb must cost nothing, for every call of the program imports them all to know what it can do: what
    `run` needs it imports itself.
    """

    example: ClassVar[str]  # a call that works, shown by its own --help
    usage: ClassVar[str | None] = None  # in place of argparse's own
    also: ClassVar[str] = ""  # what its --help says below the example
    instead: ClassVar[str] = ""  # what an option that there is not may have been meant as

    @abstractmethod
    def options(self, parser: argparse.ArgumentParser) -> None:
        """Add what the verb takes; free words are called `words`, so that options may stand before and after them."""

    @abstractmethod
    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        """Do it, and return the exit code: 0 well, 1 a check failed. `argv` is the command line as given, after `lab`.

        Raises: InputError where the user's input is wrong.
        """
