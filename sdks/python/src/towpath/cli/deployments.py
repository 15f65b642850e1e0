"""`towpath deployments`."""

from datetime import UTC, datetime

import click

from towpath.cli import listing, output, revisions
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.rollout import rollout
from towpath.cli.scaling import scaling
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
    watch_option,
)
from towpath.types import Deployment, Environment, Origin

# Operation → the command that calls it, the likeliest first.
VERBS = (
    ("chat", "chat"),
    ("embeddings", "embed"),
    ("rerank", "rerank"),
    ("transcriptions", "transcribe"),
)


@click.group(cls=Noun, short_help="Show and remove what is served.")
def command() -> None:
    """Show and remove what is served; `towpath deploy` adds and changes it."""


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
    """List deployments."""
    listing.page(
        current.client().deployments.list(project=project, environment=environment, limit=limit),
        [
            Column("deployment"),
            Column("environment"),
            Column("phase"),
            Column("replicas", right=True),
            Column("id"),
        ],
        lambda one: [
            one.name,
            one.environment,
            one.phase,
            f"{one.replicas_ready}/{one.replicas_wanted}",
            one.id,
        ],
        as_json=as_json,
        empty="Nothing is deployed yet: `towpath deploy FILE`",
        then="Why one is not ready: `towpath deployments show ID`; its log: `towpath logs NAME`",
    )


@command.command()
@click.argument("deployment")
@environment_option(None)
@json_option
@session
def show(current: Session, deployment: str, environment: str | None, as_json: bool) -> None:
    """Show one deployment, with the state of every step."""
    found = current.client().deployments.get(deployment, environment=environment)
    if as_json:
        output.document(found.to_dict())
        return
    of = "" if found.gpus is None else f", {found.gpus} GPU{'s' * (found.gpus > 1)} a replica"
    output.data(f"{found.name} → {found.environment}: {found.phase}{of}    {found.id}")
    for condition in found.conditions:
        status = str(condition.status).lower()
        mark = {"true": "✓", "false": "✗"}.get(status, "…")
        mark = "–" if condition.reason == "NotAskedFor" else mark
        lines = (condition.message or condition.reason or "").splitlines() or [""]
        output.data(f"  {mark} {condition.type:<13} {output.clean(lines[0])}".rstrip())
        for line in lines[1 : 1 + output.MAX_CAUSE_LINES]:
            output.data(f"    {'':<13} {output.clean(line)}".rstrip())
        if condition.fix and status != "true":
            output.data(f"    {'':<13} fix: {output.clean(condition.fix)}")
    if found.origin and found.origin.how == "promotion":
        output.data(f"  {came(found.origin)}")
    if found.expires_at:
        renew_ = f"`towpath deployments renew {found.name}`"
        output.data(f"  expires {remaining(found.expires_at)} unless it is renewed: {renew_}")
    output.note()
    output.note(advice(found))


def came(origin: Origin) -> str:
    """Say how a revision came about."""
    source = origin.source
    where = f" from {source.environment} (revision {source.revision})" if source else ""
    agreed = f", approved by {', '.join(origin.approved_by)}" if origin.approved_by else ""
    why = f", without approval: {output.clean(origin.reason)}" if origin.reason else ""
    return f"promoted{where} by {origin.by}{agreed}{why}"


def remaining(end: datetime) -> str:
    """Write how long it is until a time."""
    hours = int((end - datetime.now(UTC)).total_seconds() // 3_600)
    if hours < 1:
        return "within the hour"
    return f"in {hours // 24} d" if hours >= 48 else f"in {hours} h"


@command.command()
@click.argument("deployment")
@environment_option(None)
@json_option
@session
def renew(
    current: Session, deployment: str, environment: Environment | None, as_json: bool
) -> None:
    """Let a deployment stay in the sandbox for another lifetime."""
    found = current.client().deployments.renew(deployment, environment=environment)
    if as_json:
        output.document(found.to_dict())
        return
    output.data(f"`{found.name}` stays until {found.expires_at:%Y-%m-%d %H:%M} UTC.")


def verb(found: Deployment) -> str:
    """Return the command that calls it."""
    for operation, command_name in VERBS:
        if operation in (found.operations or []):
            return command_name
    return "predict"


def advice(found: Deployment) -> str:
    """Say what to do next."""
    if found.answers:
        return f'Call it: `towpath {verb(found)} {found.name} "…"`'
    return f"Its log: `towpath logs {found.name}`"


@command.command()
@click.argument("deployment")
@environment_option(None)
@json_option
@session
def delete(current: Session, deployment: str, environment: str | None, as_json: bool) -> None:
    """Stop a deployment and take its endpoint away."""
    current.client().deployments.delete(deployment, environment=environment)
    listing.removed(deployment, f"`{deployment}` is being stopped.", as_json=as_json)


for _command in (*revisions.COMMANDS, rollout, scaling):
    command.add_command(_command)
