"""`towpath login`: save address and key, after they have been tried."""

import sys

import click

from towpath import auth
from towpath.cli import output
from towpath.cli.group import Misuse
from towpath.cli.session import Session, json_option, session
from towpath.generated.client import Towpath


@click.command(short_help="Save address and key for the next commands.")
@click.option("--address", metavar="URL", help="Where Towpath is.")
@click.option("--key-stdin", is_flag=True, help="Read the key from the first line of stdin.")
@click.option("--profile", metavar="NAME", help="Save under this name; `default` otherwise.")
@json_option
@session
def command(
    current: Session, address: str | None, key_stdin: bool, profile: str | None, as_json: bool
) -> None:
    """
    Save address and key for the next commands.

    The key is asked for without echo; scripts pass it with --key-stdin. It is
    tried before it is saved, and the file is readable by you alone.
    """
    name = profile or current.profile or auth.DEFAULT_PROFILE
    path = auth.config_path()
    saved = auth.read_profiles(path).get(name, {})
    asked = address or current.address
    if asked is None and sys.stdin.isatty() and not key_stdin:
        asked = click.prompt(
            "Address", default=saved.get("address", auth.DEFAULT_ADDRESS), err=True
        )
    target = auth.normal(asked or saved.get("address") or auth.DEFAULT_ADDRESS)
    if key_stdin:
        key = sys.stdin.readline().strip()
    elif sys.stdin.isatty():
        key = click.prompt("Key", hide_input=True, err=True).strip()
    else:
        raise Misuse("no terminal to ask for the key", fix="`towpath login --key-stdin < FILE`")
    if not key:
        raise Misuse("the key is empty", fix="make one with `towpath keys create`")
    with Towpath(address=target, api_key=key, max_retries=0) as client:
        kind = try_key(client, key)
    auth.save_profile(path, name, {"address": target, "key": key})
    if as_json:
        output.document({"profile": name, "address": target, "kind": kind, "path": str(path)})
        return
    output.note(f"Saved as profile `{name}` in {path}: {kind} at {target}.")
    output.note("Next: `towpath models`")


def try_key(client: Towpath, key: str) -> str:
    """
    Use a key where its kind works, and say what it is.

    Raises:
        APIError: It is refused, or nothing answers.
    """
    word = key.split("_")[1] if key.startswith("tp_") and key.count("_") >= 2 else "admin"
    if word in {"sandbox", "staging", "production"}:
        client.models.list()
        return f"a {word} key"
    client.teams.list(limit=1).first()
    return {"user": "a user's token", "service": "a service account"}.get(word, "the admin key")
