"""`python -m tandem.cli.mend`: what the supervisor runs to start again what died."""

import sys

from tandem.cli import up
from tandem.cli.arguments import loadable
from tandem.errors import TandemError
from tandem.settings import find_root


def main() -> None:
    """Start server, worker and receiver where they do not run; a person's mistake is a line."""
    try:
        up.mend(find_root(), loadable(), print)
    except TandemError as trouble:
        sys.exit(f"{type(trouble).__name__}: {trouble}")


if __name__ == "__main__":
    main()
