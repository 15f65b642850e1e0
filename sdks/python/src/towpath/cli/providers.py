"""`towpath providers`."""

import sys
from typing import Any

import click

from towpath.cli import listing
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.types import Price


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
        empty="No provider yet: `towpath providers vendors`, `towpath providers create --help`",
        then="Offer one's model: `towpath endpoints create NAME --provider PROVIDER --model MODEL`",
    )


@command.command()
@json_option
@session
def vendors(current: Session, as_json: bool) -> None:
    """List the vendors that a provider can be made from."""
    listing.page(
        current.client().vendors.list(),
        [
            Column("vendor"),
            Column("dialect"),
            Column("at", flexible=True),
            Column("credential"),
            Column("documentation", flexible=True),
        ],
        lambda one: [
            one.name,
            one.dialect if one.spoken else f"{one.dialect} (not yet)",
            one.base_url,
            one.credential,
            one.docs,
        ],
        as_json=as_json,
        empty="The catalogue is empty.",
        then="Next: `towpath providers create NAME --vendor VENDOR --credential-stdin`",
    )


@command.command()
@click.argument("name")
@click.option("--vendor", help="Fill what is not given from this row of the catalogue.")
@click.option("--base-url", help="As in the dialect's clients; for OpenAI's with /v1.")
@click.option("--dialect", help="The vendor's, else openai.")
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


AMOUNTS = {
    "input": ("input_per_million", "A million tokens of input."),
    "output": ("output_per_million", "A million tokens of output."),
    "cached-input": ("cached_input_per_million", "Read from the vendor's cache; else as input."),
    "cache-write": ("cache_write_per_million", "Written into its cache; else as input."),
    "reasoning": ("reasoning_per_million", "A million tokens of thought; else as output."),
    "audio-input": ("audio_input_per_million", "A million tokens of sound; else as input."),
    "audio-output": ("audio_output_per_million", "A million tokens of sound; else as output."),
    "per-request": ("per_request", "Each answered request."),
    "gpu-second": ("gpu_second", "A second of one GPU."),
}
"""Options that are amounts: the API's name, and what it is for."""


def amounts(function: Any) -> Any:
    """Add an option for every amount."""
    for option, (name, what) in reversed(AMOUNTS.items()):
        function = click.option(f"--{option}", name, metavar="AMOUNT", help=what)(function)
    return function


@command.command()
@click.argument("provider")
@click.argument("model")
@amounts
@click.option("--from", "begin", metavar="TIME", help="RFC 3339; from now on otherwise.")
@json_option
@session
def price(
    current: Session,
    *,
    provider: str,
    model: str,
    begin: str | None,
    as_json: bool,
    **given: str | None,
) -> None:
    """Set what a model costs; what was recorded before keeps its price."""
    said = listing.changes(**given)
    if not said:
        raise Misuse(
            "a price needs an amount",
            fix=f"`towpath providers price {provider} {model} --input 0.15 --output 0.60`",
        )
    added = current.client().providers.add_price(provider, model=model, from_=begin, **said)
    listing.resource(added, as_json=as_json, then=f"All: `towpath providers prices {provider}`")


@command.command()
@click.argument("provider")
@click.option("--model", help="Of this model alone.")
@json_option
@session
def prices(current: Session, provider: str, model: str | None, as_json: bool) -> None:
    """List what a provider's models cost, cost before and will cost."""
    client = current.client()
    owner = client.providers.get(provider).id
    listing.page(
        client.prices.list(owner=owner, model=model),
        [
            Column("model", flexible=True),
            Column("from"),
            Column("costs", flexible=True),
            Column("counts"),
            Column("id"),
        ],
        price_row,
        as_json=as_json,
        empty=f"No price yet: `towpath providers price {provider} MODEL --input 0.15`",
        then="A record names its price: `towpath requests show ID`",
    )


def price_row(one: Price) -> list[str]:
    """Write one price."""
    document = one.to_dict()
    names = {name: option for option, (name, _) in AMOUNTS.items()}
    costs = [f"{names[key]} {value}" for key, value in document.items() if key in names and value]
    begin = str(document.get("from") or "always")[:16].replace("T", " ")
    counts = "no more" if one.retired_at is not None else "yes"
    return [one.model or "–", begin, ", ".join(costs), counts, one.id]


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
