"""Every command of `tandem`, in the order in which a person meets them."""

import typer

from tandem.cli import begin, line, looking, machine, marks, receive, say
from tandem.cli.service import service

tandem = typer.Typer(
    name="tandem",
    help="Code and model ride together: a commit and a model become one tested image, and that image a release.",
    epilog="Start with 'tandem init' in your app's repository.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    begin.init,
    begin.check,
    machine.up,
    machine.down,
    receive.receive,
    line.publish,
    line.integrate,
    line.release,
    line.approve,
    line.rollback,
    marks.block,
    marks.unblock,
    marks.adopt,
    say.say,
    looking.status,
    looking.candidates,
    line.prune,
    line.reconcile,
):
    tandem.command()(command)
tandem.add_typer(service)
