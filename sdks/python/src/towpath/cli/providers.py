"""`towpath providers`."""

import sys

import click

from towpath.cli import listing
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session


@click.group(cls=Noun, short_help="Show and change vendors' APIs outside.")
def command() -> None:
    """Show and change providers: vendors' APIs that endpoints may point to."""


@command.command("list")
@limit_option
@json_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List providers."""
    listing.page(
        current.client().providers.list(limit=limit),
        [Column("provider"), Column("dialect"), Column("at", flexible=True), Column("credential")],
        lambda one: [
            one.name,
            one.dialect,
            one.base_url,
            "sealed" if one.has_credential else "none",
        ],
        as_json=as_json,
        empty="No provider yet: `towpath providers create NAME --base-url URL`",
        then="Offer one's model: `towpath endpoints create NAME --provider PROVIDER --model MODEL`",
    )


@command.command()
@click.argument("name")
@click.option("--base-url", required=True, help="As in OpenAI clients, with /v1.")
@click.option("--dialect", default="openai", show_default=True)
@click.option("--credential-stdin", is_flag=True, help="Read its credential from stdin.")
@click.option(
    "--max-data-class", type=click.Choice(["public", "internal", "confidential", "restricted"])
)
@click.option("--region", help="Where it is.")
@json_option
@session
def create(
    current: Session, name: str, credential_stdin: bool, as_json: bool, **more: str | None
) -> None:
    """Add a provider. Its credential is sealed, and never shown or logged."""
    credential = read_credential() if credential_stdin else None
    made = current.client().providers.create(
        name=name, **listing.changes(credential=credential, **more)
    )
    then = f"Next: `towpath endpoints create NAME --provider {name} --model MODEL`"
    listing.resource(made, as_json=as_json, then=then)


def read_credential() -> str:
    """Read the first line of stdin."""
    return sys.stdin.readline().strip()


@command.command()
@click.argument("provider")
@json_option
@session
def show(current: Session, provider: str, as_json: bool) -> None:
    """Show one provider."""
    listing.resource(current.client().providers.get(provider), as_json=as_json)


@command.command()
@click.argument("provider")
@click.option("--base-url", help="As in OpenAI clients, with /v1.")
@click.option("--credential-stdin", is_flag=True, help="Replace its credential; from stdin.")
@json_option
@session
def update(
    current: Session, provider: str, base_url: str | None, credential_stdin: bool, as_json: bool
) -> None:
    """Change a provider, or rotate its credential."""
    credential = read_credential() if credential_stdin else None
    changed = current.client().providers.update(
        provider, **listing.changes(base_url=base_url, credential=credential)
    )
    listing.resource(changed, as_json=as_json)


@command.command()
@click.argument("provider")
@json_option
@session
def delete(current: Session, provider: str, as_json: bool) -> None:
    """Delete a provider that no endpoint uses."""
    current.client().providers.delete(provider)
    listing.removed(provider, f"Deleted `{provider}`.", as_json=as_json)
