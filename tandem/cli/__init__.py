"""The `tandem` command. Exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage, 130 Ctrl-C."""

import sys

from tandem.errors import ReleaseFailed, TandemError, UsageError


def main() -> None:
    """Run the command line; a person's mistake is a message, a mistake of ours a traceback."""
    from tandem.cli.commands import tandem

    try:
        tandem(prog_name="tandem")
    except TandemError as error:
        if isinstance(error, ReleaseFailed) and error.log:
            print(f"The app's last lines:\n{error.log.rstrip()}", file=sys.stderr)
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except RuntimeError as error:
        if "ephemeral" not in str(error):
            raise
        said = str(error).strip().splitlines()[0][:300]
        remedy = "is the machine very busy? Try again, or start a lasting one with 'tandem up'"
        print(f"Unreachable: Prefect's temporary server did not start: {said} ({remedy})", file=sys.stderr)
        sys.exit(1)
