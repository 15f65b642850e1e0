"""The command line's entry: the table of commands, and how a run ends."""

import os
import signal
import sys
from collections.abc import Sequence

import click

from towpath.cli import output
from towpath.cli.group import Lazy, Misuse
from towpath.cli.session import Session
from towpath.errors import TowpathError
from towpath.version import __version__

DONE, FAILED, MISUSED = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT

# Name → module, one line of help. A test compares the lines with the commands' own.
COMMANDS = {
    "login": ("login", "Save address and key for the next commands."),
    "connect": ("connect", "Print how to connect a program, ready to paste."),
    "models": ("models", "Show what you may call, and the registry."),
    "chat": ("chat", "Talk to a model."),
    "predict": ("predict", "Ask any model, by its signature."),
    "embed": ("embed", "Turn texts into vectors."),
    "rerank": ("rerank", "Order documents by how well they answer."),
    "transcribe": ("transcribe", "Write down what is said in a file."),
    "batches": ("batches", "Run many calls from a file."),
    "init": ("init", "Write a manifest for a model that lies here."),
    "convert": ("convert", "Make manifests out of other platforms' resources."),
    "deploy": ("deploy", "Deploy a model from its manifest."),
    "deployments": ("deployments", "Show and remove what is served."),
    "promote": ("promote", "Serve in the next environment what serves here."),
    "approvals": ("approvals", "Show and decide what others ask for."),
    "diagnose": ("diagnose", "Say why a deployment is not ready, and what to do."),
    "apply": ("apply", "Make the platform what a folder of files says."),
    "evaluations": ("evaluations", "Record and show what suites found out."),
    "logs": ("logs", "Print the log of a deployment."),
    "endpoints": ("endpoints", "Show and change the names that callers use."),
    "providers": ("providers", "Show and change vendors' APIs outside."),
    "connections": ("connections", "Show and change how models outside are reached."),
    "imports": ("imports", "Show and cancel what is brought from outside."),
    "requests": ("requests", "Show the log of requests."),
    "usage": ("usage", "Show requests, tokens and cost."),
    "quotas": ("quotas", "Show limits, budgets and capacity; set what teams may reserve."),
    "policies": ("policies", "Show, set and test the rules for what may be deployed."),
    "limits": ("limits", "Show and change how much may be asked for at a time."),
    "budgets": ("budgets", "Show and change how much may be used in a period."),
    "block": ("block", "Stop an endpoint, provider, key or model at once."),
    "unblock": ("unblock", "Let go what was blocked."),
    "blocks": ("blocks", "Show what is stopped."),
    "keys": ("keys", "Make, rotate and revoke API keys."),
    "teams": ("teams", "Show and change teams."),
    "members": ("members", "Show and change roles in teams."),
    "users": ("users", "Show and change users."),
    "projects": ("projects", "Show and change projects."),
    "applications": ("applications", "Show and change programs of projects."),
    "service-accounts": ("service_accounts", "Show and change programs that act for projects."),
    "adoption": ("adoption", "Show how much goes on without the platform team."),
    "audit": ("audit", "Show who changed what."),
    "artifacts": ("artifacts", "Remove the bytes of models that nothing needs."),
    "nodes": ("nodes", "Show the machines that models run on."),
    "health": ("health", "Show whether the platform is well."),
    "doctor": ("doctor", "Find out why it does not work from here."),
    "completion": ("completion", "Print the completion for a shell."),
}


@click.command(
    cls=Lazy,
    table=COMMANDS,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option("--profile", metavar="NAME", help="Part of the configuration file to use.")
@click.option("--address", metavar="URL", help="Where Towpath is.")
@click.version_option(__version__, message="towpath %(version)s")
@click.pass_context
def towpath(ctx: click.Context, profile: str | None, address: str | None) -> None:
    """The internal AI developer platform, from the command line."""
    made = ctx.ensure_object(Session)
    made.profile = profile or made.profile
    made.address = address or made.address
    if ctx.invoked_subcommand is None:
        output.data(ctx.get_help())


def run(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run one command and return its exit code."""
    with (session or Session()).closing() as current:
        try:
            result = towpath.main(
                list(arguments), prog_name="towpath", standalone_mode=False, obj=current
            )
        except (
            click.ClickException,
            click.Abort,
            TowpathError,
            OSError,
            KeyboardInterrupt,
        ) as error:
            return ended(error, current)
    return result if isinstance(result, int) else DONE


def ended(error: BaseException, current: Session) -> int:
    """Say what ended a run, and return its exit code."""
    code = FAILED
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "towpath"
        fix = error.fix if isinstance(error, Misuse) else f"`{where} --help`"
        output.error(error.format_message(), fix=fix)
        code = MISUSED
    elif isinstance(error, click.ClickException):
        output.error(error.format_message())
    elif isinstance(error, TowpathError):
        output.failed(error, hint=current.other_profile(error))
    elif isinstance(error, click.Abort | KeyboardInterrupt):
        output.note()
        code = INTERRUPTED
    elif isinstance(error, BrokenPipeError):
        # The reader (`head`) has enough; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    else:
        output.error(str(error), fix="check the file, or `towpath doctor`")
    return code


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))
