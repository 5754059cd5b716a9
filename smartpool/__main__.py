"""The command `smartpool`, also as ``python -m smartpool``.

Each subcommand is an entry of `COMMANDS`; what it needs is imported when it is run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from . import __version__


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand.

    Attributes:
        help: What it does, in a line.
        add_arguments: Adds its arguments to its parser.
        run: Does it, and returns the exit status.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Its arguments; those of this program if left out.

    Returns:
        The exit status.
    """
    arguments = _parser().parse_args(argv)
    return COMMANDS[arguments.command].run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smartpool",
        description="Puts Python work where it runs fastest, and says why.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(
            commands.add_parser(name, help=command.help, description=command.help)
        )
    return parser


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick", action="store_true", help="do less: enough for a look"
    )


def _demo(arguments: argparse.Namespace) -> int:
    from ._demo.demo import run

    try:
        return run(partial(print, flush=True), quick=arguments.quick)
    except FileNotFoundError as exc:
        print(f"smartpool demo: {exc}", file=sys.stderr)
        return 1


COMMANDS: Final = {
    "demo": Command(
        "Do real work in six ways, and show what is decided and gained.",
        _demo_arguments,
        _demo,
    )
}


if __name__ == "__main__":
    sys.exit(main())
