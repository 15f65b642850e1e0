"""`towpath deployments history`, `diff`, `rollback` and `events`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli import manifest as manifests
from towpath.cli.group import Misuse
from towpath.cli.output import Column
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
    watch_option,
)
from towpath.types import DeploymentRevision, Environment

_MISSING = object()


@click.command()
@click.argument("deployment")
@environment_option(None)
@limit_option
@json_option
@session
def history(
    current: Session, deployment: str, environment: str | None, limit: int, as_json: bool
) -> None:
    """List what was declared, newest first, and what of it took the traffic."""
    client = current.client()
    listing.page(
        client.deployments.revisions(deployment, environment=environment, limit=limit),
        [
            Column("revision", right=True),
            Column("model"),
            Column("declared"),
            Column("traffic"),
            Column("by"),
            Column("note", flexible=True),
        ],
        lambda one: [
            str(one.revision),
            f"{one.model.name}/{one.model.version}",
            output.ago(one.created_at),
            traffic(one),
            one.created_by,
            one.note or "",
        ],
        as_json=as_json,
        empty="Nothing was declared.",
        then=f"What changed: `towpath deployments diff {deployment}`; back to an earlier one: "
        f"`towpath deployments rollback {deployment} --revision N`",
    )


def traffic(one: DeploymentRevision) -> str:
    """Say whether a revision takes traffic, or took it."""
    if one.serving:
        return "now"
    if one.rollout in {"rolled_back", "aborted"}:
        return one.rollout.replace("_", " ")
    return "never" if one.exposed_at is None else output.ago(one.exposed_at)


@click.command()
@click.argument("deployment")
@click.argument("old", required=False, type=click.IntRange(1))
@click.argument("new", required=False, type=click.IntRange(1))
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    help="Compare this manifest with what is deployed.",
)
@environment_option(None)
@json_option
@session
def diff(
    current: Session,
    deployment: str,
    *,
    old: int | None,
    new: int | None,
    file: Path | None,
    environment: str | None,
    as_json: bool,
) -> None:
    """
    Show what changed between two revisions: by default the newest and the one before.

    With --file, what deploying that manifest would change.
    """
    client = current.client()
    found = client.deployments.get(deployment, environment=environment)
    if file is not None:
        if old is not None:
            raise Misuse("--file compares with what is deployed", fix="leave the numbers out")
        before, after = found.manifest, manifests.read(file).document
        words = f"revision {found.revision} → {file.name}"
    else:
        last = new or found.revision
        first = old or last - 1
        if first < 1:
            output.note(f"`{deployment}` has one revision; there is nothing to compare it with.")
            return
        before = client.deployments.revision(found.id, first).manifest
        after = client.deployments.revision(found.id, last).manifest
        words = f"revision {first} → {last}"
    changed = list(differences(before, after, given=file is not None))
    if as_json:
        output.document(
            [{"path": path, "old": shown(one), "new": shown(other)} for path, one, other in changed]
        )
        return
    output.note(f"{found.name} in {found.environment}: {words}")
    if not changed:
        output.note("Nothing differs.")
    for path, one, other in changed:
        output.data(f"{path}: {listing.written(shown(one))} → {listing.written(shown(other))}")


def shown(value: Any) -> Any:
    """Return a value for a document, in which what is missing is null."""
    return None if value is _MISSING else value


def differences(
    before: Any, after: Any, path: str = "", *, given: bool
) -> Iterator[tuple[str, Any, Any]]:
    """
    List what differs, by path.

    Args:
        given: `after` is a file, in which the platform has not filled in digest and format yet.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{path}.{name}" if path else str(name)
            if given and name not in after and inner in {"spec.model.digest", "spec.model.format"}:
                continue
            one, other = before.get(name, _MISSING), after.get(name, _MISSING)
            yield from differences(one, other, inner, given=given)
    elif _lists(before, after):
        for index in range(max(len(before), len(after))):
            one = before[index] if index < len(before) else _MISSING
            other = after[index] if index < len(after) else _MISSING
            yield from differences(one, other, f"{path}[{index}]", given=given)
    elif before is _MISSING or after is _MISSING or before != after:
        yield path, before, after


def _lists(before: Any, after: Any) -> bool:
    return all(isinstance(one, Sequence) and not isinstance(one, str) for one in (before, after))


@click.command()
@click.argument("deployment")
@click.option(
    "--revision",
    type=click.IntRange(1),
    help="Which one; by default the last that took traffic before.",
)
@environment_option(None)
@json_option
@session
def rollback(
    current: Session,
    deployment: str,
    revision: int | None,
    environment: Environment | None,
    as_json: bool,
) -> None:
    """Serve what an earlier revision served, with the very same content."""
    made = current.client().deployments.roll_back(deployment, to=revision, environment=environment)
    if as_json:
        output.document(made.to_dict())
        return
    served = f"{made.model.name}/{made.model.version}"
    output.data(f"{made.name} → {made.environment}: revision {made.revision} serves {served}")
    listing.applied(made)
    output.note(f"How far it is: `towpath deployments show {made.id}`")


@click.command()
@click.argument("deployment")
@environment_option(None)
@limit_option
@json_option
@watch_option
@session
def events(
    current: Session, deployment: str, environment: str | None, limit: int, as_json: bool
) -> None:
    """List what a deployment went through: every change of a condition."""
    listing.page(
        current.client().deployments.events(deployment, environment=environment, limit=limit),
        [
            Column("at"),
            Column("revision", right=True),
            Column("what"),
            Column("is"),
            Column("why", flexible=True),
        ],
        lambda one: [
            output.ago(one.at),
            str(one.revision),
            one.type,
            one.status,
            output.clean((one.message or one.reason).partition("\n")[0]),
        ],
        as_json=as_json,
        empty="Nothing has happened yet.",
        then=f"How it is now: `towpath deployments show {deployment}`",
    )


COMMANDS = (history, diff, rollback, events)
