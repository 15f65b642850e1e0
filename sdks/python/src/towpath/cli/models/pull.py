"""`towpath models pull`."""

from pathlib import Path

import click

from towpath import transfer
from towpath.cli import output
from towpath.cli.bar import Bar
from towpath.cli.session import Session, json_option, session


@click.command(short_help="Bring the files of a version here.")
@click.argument("ref", metavar="NAME[@ALIAS|/N]")
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@json_option
@session
def pull(current: Session, ref: str, folder: Path | None, as_json: bool) -> None:
    """
    Bring the files of a version into a folder (NAME otherwise), verified by digest.

    What is there already is not fetched again; what broke off goes on where it did.
    """
    client = current.client()
    version = transfer.resolve(client, ref)
    into = folder or Path(version.model)
    bar = Bar("received", version.size, current.now)
    output.note(f"{version.uri} → {into}")
    try:
        places = transfer.pull(client, version, into, report=bar)
    except BaseException:
        bar.clear()
        raise
    bar.end()
    if as_json:
        output.document({"version": version.to_dict(), "files": [str(path) for path in places]})
        return
    for path in places:
        output.data(str(path))
