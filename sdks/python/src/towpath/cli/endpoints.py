"""`towpath endpoints`."""

from typing import Any

import click

from towpath.cli import listing, output, serving
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
    watch_option,
)
from towpath.types import Endpoint, Environment, Target, TargetHealth


@click.group(cls=Noun, short_help="Show and change the names that callers use.")
def command() -> None:
    """Show and change endpoints: the names that callers use, in their environments."""


@command.command("list")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@environment_option(None)
@limit_option
@json_option
@watch_option
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
            Column("answers"),
            Column("visible to"),
            Column("targets", flexible=True),
        ],
        row,
        as_json=as_json,
        empty="No endpoint yet: `towpath deploy FILE`, or `towpath endpoints create`",
        then='Call one: `towpath chat NAME "…"`, `towpath predict NAME "…"`',
    )


def row(endpoint: Endpoint) -> list[str]:
    """Write one endpoint."""
    targets = ", ".join(target(one) for one in endpoint.targets)
    ready = "yes" if endpoint.status.ready else "no"
    return [endpoint.name, endpoint.environment, ready, endpoint.access.visibility, targets or "–"]


def target(one: Target) -> str:
    """Write one target, with its weight when it does not take everything."""
    what = f"{one.kind} {one.name}"
    return what if one.weight in {None, 100} else f"{what} (weight {one.weight})"


@command.command()
@click.argument("endpoint")
@environment_option(None)
@json_option
@session
def show(current: Session, endpoint: str, environment: Environment | None, as_json: bool) -> None:
    """Show one endpoint, by id or by name in an environment."""
    found = current.client().endpoints.get(endpoint, environment=environment)
    if as_json:
        output.document(found.to_dict())
        return
    state = "answers" if found.status.ready else f"does not answer: {found.status.reason or '–'}"
    output.data(f"{found.name} in {found.environment}: {state}    {found.id}")
    output.data(f"visible to {found.access.visibility}, callers {', '.join(found.access.callers)}")
    for line in serving.lines(found):
        output.data(line)
    columns = [
        Column("target", flexible=True),
        Column("operations"),
        Column("ready"),
        Column("note", flexible=True),
    ]
    ends = [*found.targets, *found.fallback]
    output.table(
        columns,
        [
            [target(one), ", ".join(one.operations), "yes" if one.ready else "no", one.note or ""]
            for one in ends
        ],
    )


@command.command()
@click.argument("endpoint")
@environment_option(None)
@json_option
@session
def health(current: Session, endpoint: str, environment: Environment | None, as_json: bool) -> int:
    """Show how an endpoint's targets are; fails when none of them answers."""
    found = current.client().endpoints.health(endpoint, environment=environment)
    code = 1 if found.state == "down" else 0
    if as_json:
        output.document(found.to_dict())
        return code
    output.data(f"{found.name} in {found.environment}: {found.state}    {found.id}")
    output.table(
        [
            Column("target", flexible=True),
            Column("state"),
            Column("in flight", right=True),
            Column("queued", right=True),
            Column("because", flexible=True),
        ],
        [health_row(one) for one in found.targets],
    )
    output.note()
    ages = [one.age_ms for one in found.gateways]
    output.note(
        f"As {len(ages)} gateways said, the oldest word {output.took(max(ages))} old."
        if ages
        else "No gateway has spoken yet."
    )
    return code


def health_row(one: TargetHealth) -> list[str]:
    """Write how one target is."""
    kind = f"fallback {one.kind}" if one.fallback else one.kind
    state = one.state
    if one.ejected_until is not None:
        state = f"{state} until {one.ejected_until.astimezone().strftime('%H:%M:%S')}"
    errors = [replica.last_error for replica in one.replicas or () if replica.last_error]
    because = one.note or (errors[0] if errors and one.state != "ok" else "")
    return [
        f"{kind} {one.name}",
        state,
        output.number(one.in_flight),
        output.number(one.queued),
        output.clean(because),
    ]


@command.command()
@click.argument("name")
@environment_option("sandbox")
@click.option("--project", metavar="TEAM/NAME", help="Project it belongs to.")
@click.option("--provider", help="Point it to this provider…")
@click.option("--model", help="…and this model of it.")
@click.option("--deployment", help="Point it to this deployment.")
@click.option("--url", help="Point it to a server you already run (with --dialect and --model).")
@click.option("--dialect", help="What that one speaks.")
@click.option(
    "--visibility",
    type=click.Choice(["project", "team", "organization"]),
    help="Who may call it: project, unless it is said otherwise.",
)
@serving.options
@json_option
@session
def create(
    current: Session,
    *,
    name: str,
    environment: Environment,
    project: str | None,
    visibility: str | None,
    file: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """
    Create an endpoint: with one target by options, or from a file with all that the API knows.

    What an option says wins over the file.
    """
    targets = {name: options.pop(name) for name in TARGETS}
    body: dict[str, Any] = {**serving.read(file), **serving.changes(**options)}
    if any(targets.values()) or "targets" not in body:
        body["targets"] = [target_of(name, **targets)]
    if visibility is not None or "access" not in body:
        body["access"] = {**body.get("access", {}), "visibility": visibility or "project"}
    body |= {"name": name, "environment": environment, **listing.changes(project=project)}
    made = current.client().endpoints.create(**body)
    listing.resource(
        made,
        as_json=as_json,
        fields=("id", "name", "environment", "project", "revision"),
        then=f"Next: `towpath endpoints show {name}`, or call it",
    )


@command.command()
@click.argument("endpoint")
@environment_option(None)
@serving.options
@json_option
@session
def update(
    current: Session,
    *,
    endpoint: str,
    environment: Environment | None,
    file: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Change how an endpoint serves; each part that is given is replaced, the others stay."""
    body = {**serving.read(file), **serving.changes(**options)}
    if not body:
        raise Misuse(
            "nothing to change",
            fix=f"`towpath endpoints update {endpoint} --timeout first_byte=30s`, or --file FILE",
        )
    changed = current.client().endpoints.update(endpoint, environment=environment, **body)
    listing.resource(
        changed, as_json=as_json, fields=("id", "name", "environment", "revision", *body)
    )


TARGETS = ("provider", "model", "deployment", "url", "dialect")
"""Options of `create` that say what stands behind the endpoint."""


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
@environment_option(None)
@json_option
@session
def delete(current: Session, endpoint: str, environment: str | None, as_json: bool) -> None:
    """Delete an endpoint; calls to it are refused from now on."""
    current.client().endpoints.delete(endpoint, environment=environment)
    listing.removed(endpoint, f"Deleted `{endpoint}`.", as_json=as_json)
