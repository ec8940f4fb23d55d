"""Print docs/commands.md: what `tandem --help` and each command's help say, so that the two never differ."""

import inspect

import typer.main

from tandem.cli.commands import tandem


def page() -> str:
    """The whole page."""
    parts = [
        "# Commands\n\nGenerated from the command itself by `make docs`.\n\n"
        "Exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage, 130 Ctrl-C. "
        "`tandem --install-completion` completes apps and environments in your shell.\n\n"
        "A command runs its flow in its own process. The run is recorded by the Prefect server that `PREFECT_API_URL` "
        "names, else by the one that `tandem up` started for this folder, else by a temporary one.\n"
    ]
    group = typer.main.get_command(tandem)
    context = group.make_context("tandem", [], resilient_parsing=True)
    for registered in tandem.registered_commands:
        callback = registered.callback
        name = str(callback.__name__)
        text, _, example = (inspect.getdoc(callback) or "").partition("Example: ")
        command = group.get_command(context, name)
        rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
        parts.append(f"\n## tandem {name}\n\n{text.strip()}\n\n```\n{example.strip()}\n```\n")
        if rows:
            parts.append("\n| | |\n|---|---|\n" + "".join(rows))
    return "".join(parts)


def _row(parameter: object) -> str:
    help_text = str(getattr(parameter, "help", "") or "")
    if parameter.param_type_name == "argument":
        return f"| `{str(parameter.name).upper()}` | {help_text} |\n"
    default = parameter.default if isinstance(parameter.default, str) and parameter.default else ""
    value = f" {parameter.metavar or 'TEXT'}" if not parameter.is_flag else ""
    return f"| `{parameter.opts[0]}{value}` | {help_text}{f' Default: {default}.' if default else ''} |\n"


if __name__ == "__main__":
    print(page(), end="")
