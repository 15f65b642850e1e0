"""`towpath artifacts`."""

import click

from towpath.cli import output
from towpath.cli.group import Noun
from towpath.cli.session import Session, json_option, session


@click.group(cls=Noun, short_help="Remove the bytes of models that nothing needs.")
def command() -> None:
    """Bytes of models, by digest; `towpath deploy` uploads them."""


@command.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
@session
def collect(current: Session, *, dry_run: bool, as_json: bool) -> None:
    """
    Remove what no version, deployment or recent upload needs.

    The platform does it by itself every hour; what came in within the last day stays.
    """
    found = current.client().artifacts.collect(dry_run=dry_run)
    if as_json:
        output.document(found.to_dict())
        return
    files = f"{found.files} file{'s' * (found.files != 1)}, {output.bytes_size(found.size)}"
    uploads = f"{found.uploads} upload{'s' * (found.uploads != 1)} that nobody went on with"
    output.data(f"{'Would remove' if dry_run else 'Removed'}: {files}; {uploads}")
