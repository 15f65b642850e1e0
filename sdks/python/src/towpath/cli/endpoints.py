"""`towpath endpoints`."""

from collections.abc import Mapping
from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
)
from towpath.types import Endpoint


@click.group(cls=Noun, short_help="Show and change the names that callers use.")
def command() -> None:
    """Show and change endpoints: the names that callers use, in their environments."""


@command.command("list")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@environment_option(None)
@limit_option
@json_option
@session
def list_(
    current: Session, project: str | None, environment: str | None, limit: int, as_json: bool
) -> None:
    """List endpoints."""
    listing.page(
        current.client().endpoints.list(project=project, environment=environment, limit=limit),
        [
            Column("endpoint"),
            Column("environment"),
            Column("visible to"),
            Column("targets", flexible=True),
        ],
        row,
        as_json=as_json,
        empty="No endpoint yet: `towpath deploy FILE`, or `towpath endpoints create`",
        then="Call one: `towpath chat NAME \"…\"`, `towpath predict NAME \"…\"`",
    )


def row(endpoint: Endpoint) -> list[str]:
    """Write one endpoint."""
    access = endpoint.access or {}
    targets = ", ".join(target(one) for one in endpoint.targets)
    return [endpoint.name, endpoint.environment, str(access.get("visibility", "–")), targets or "–"]


def target(one: Mapping[str, Any]) -> str:
    """Write one target, with its weight when it does not take everything."""
    static = one.get("static")
    if one.get("deployment"):
        what = f"deployment {one['deployment']}"
    elif one.get("provider"):
        what = f"{one['provider']}: {one.get('model', '')}"
    else:
        what = str(static.get("url", static)) if isinstance(static, Mapping) else "static"
    weight = one.get("weight")
    return what if weight in {None, 100} else f"{what} ({weight} %)"


@command.command()
@click.argument("endpoint")
@json_option
@session
def show(current: Session, endpoint: str, as_json: bool) -> None:
    """Show one endpoint."""
    listing.resource(current.client().endpoints.get(endpoint), as_json=as_json)


@command.command()
@click.argument("name")
@environment_option("sandbox")
@click.option("--project", metavar="TEAM/NAME", help="Project it belongs to.")
@click.option("--provider", help="Point it to this provider…")
@click.option("--model", help="…and this model of it.")
@click.option("--deployment", help="Point it to this deployment.")
@click.option("--url", help="Point it to a server you already run (with --dialect and --model).")
@click.option("--dialect", type=click.Choice(["openai", "kserve_v2"]), help="What that one speaks.")
@click.option(
    "--visibility",
    type=click.Choice(["project", "team", "organization"]),
    default="project",
    show_default=True,
    help="Who may call it.",
)
@json_option
@session
def create(
    current: Session,
    name: str,
    environment: str,
    project: str | None,
    visibility: str,
    as_json: bool,
    **target_options: str | None,
) -> None:
    """Create an endpoint with one target; several targets are for the API."""
    made = current.client().endpoints.create(
        name=name,
        environment=environment,  # pyrefly: ignore[bad-argument-type]  a choice of the option
        targets=[target_of(name, **target_options)],
        access={"visibility": visibility},
        **listing.changes(project=project),
    )
    listing.resource(made, as_json=as_json, then=f"Next: `towpath chat {name} \"…\"`")


def target_of(
    name: str,
    *,
    provider: str | None,
    model: str | None,
    deployment: str | None,
    url: str | None,
    dialect: str | None,
) -> dict[str, Any]:
    """
    Read what the options point to.

    Raises:
        Misuse: Not exactly one thing.
    """
    if sum(one is not None for one in (provider, deployment, url)) != 1:
        raise Misuse(
            "an endpoint points to one of --provider, --deployment, --url",
            fix=f"`towpath endpoints create {name} --provider PROVIDER --model MODEL`",
        )
    if provider is not None:
        if model is None:
            raise Misuse("--provider needs --model", fix="name the vendor's model with --model")
        return {"provider": provider, "model": model, "weight": 100}
    if url is not None:
        if model is None or dialect is None:
            raise Misuse(
                "--url needs --dialect and --model", fix="say what that server speaks and serves"
            )
        return {"static": {"url": url, "dialect": dialect, "model": model}, "weight": 100}
    return {"deployment": deployment, "weight": 100}


@command.command()
@click.argument("endpoint")
@session
def delete(current: Session, endpoint: str) -> None:
    """Delete an endpoint; calls to it are refused from now on."""
    current.client().endpoints.delete(endpoint)
    output.note(f"Deleted `{endpoint}`.")
