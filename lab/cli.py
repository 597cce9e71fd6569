"""The command line: `lab VERB`, for every verb in lab/verbs."""

import argparse
import errno
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from lab import catalog
from lab.blame import fault
from lab.errors import RAISED, InputError, guess, suggest
from lab.verb import KEYS, Verb

INTERRUPTED = 130
UNREAD = 141  # as of any program whose reader went away before it was done
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's share of it, or what a file may hold
_OF_THE_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM)  # what even asking for a path can meet


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError in place of printing the usage and leaving."""
        raise InputError(f"{self.prog}: {message}; see `{self.prog} --help`")


class _Version(argparse.Action):
    """Prints the version, which is looked up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata

        try:
            print(parser.prog, metadata.version("lab"))
        except metadata.PackageNotFoundError:
            raise InputError("lab --version: lab is run without being installed; install it with pip") from None
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 well, 1 a check failed, 2 wrong input, 130 Ctrl-C, 141 unread."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parsed(argv)
        run: Callable[[argparse.Namespace, Sequence[str]], int] = options.run
        code = run(options, argv)
        sys.stdout.flush()
        return code
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except RAISED as error:
        return _raised(error, argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _raised(error: BaseException, argv: Sequence[str]) -> int:
    """Say what was raised that is no InputError, and return the exit code; raise it again where the lab is at fault."""
    if isinstance(error, BrokenPipeError):  # as when piped into `head`: nobody reads on, so nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    if isinstance(error, OSError) and error.errno in _FULL:
        goes_on = "; a run that was under way goes on with `lab train --resume RUN`" if argv[:1] == ["train"] else ""
        print(f"lab: {error.strerror}; what was written may be incomplete{goes_on}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor can the rest be
        return 2
    if isinstance(error, OSError) and error.filename is not None and error.errno in _OF_THE_NAME:
        print(f"{error.filename!r}: {error.strerror}; name another file or folder", file=sys.stderr)
        return 2
    if (told := fault(error)) is None:
        raise error
    print(InputError(told), file=sys.stderr)
    return 2


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `argv`, in which words and options may stand in any order; argparse alone stops at an option."""
    verbs = catalog.names("verbs")
    if argv and not argv[0].startswith("-") and argv[0] not in verbs:
        raise InputError(f"lab: unknown verb {argv[0]!r}{suggest(argv[0], verbs)}; see `lab --help`")
    options, rest = parser().parse_known_args(argv)
    if rest and (not hasattr(options, "words") or any(word.startswith("-") for word in rest)):
        name = f"lab {argv[0]}"
        option = next((word.partition("=")[0] for word in rest if word.startswith("-")), rest[0])
        meant = guess(option, options.known, 0.7) or options.instead
        if not option.startswith("-"):
            raise InputError(f"{name}: {option!r} is a word too many{meant or '; leave it out'} (see `{name} --help`)")
        raise InputError(f"{name}: unknown option {option!r}{meant} (see `{name} --help`)")
    if rest:
        options.words += rest
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    what = "Trust a derivative made by hand, and watch curvature while a model trains."
    top = Parser(prog="lab", description=what, epilog=KEYS)
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Parser)
    for name, kind in catalog.members("verbs").items():
        verb: Verb = kind()
        what = inspect.cleandoc(kind.__doc__ or "")
        epilog = "\n".join(filter(None, (f"example: {verb.example}", verb.also)))
        made = verbs.add_parser(
            name, help=what, description=what, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.usage = verb.usage
        made.set_defaults(run=verb.run, instead=verb.instead)
        verb.options(made)
        made.set_defaults(known=[word for action in made._actions for word in action.option_strings])
    return top
