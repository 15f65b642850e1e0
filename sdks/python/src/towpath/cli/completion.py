"""`towpath completion SHELL`: what the shell needs to complete our commands."""

import click
from click.shell_completion import get_completion_class

from towpath.cli import output
from towpath.cli.session import json_option


@click.command(short_help="Print the completion for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """
    Print the completion for a shell.

    bash: towpath completion bash > ~/.local/share/bash-completion/completions/towpath
    zsh, fish: into a folder of your completions.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"no completion for {shell}")
    text = found(ctx.find_root().command, {}, "towpath", "_TOWPATH_COMPLETE").source()
    if as_json:
        output.document({"shell": shell, "script": text})
    else:
        output.data(text)
