"""`towpath deployments scaling`: how the number of replicas follows the load."""

import click

from towpath.cli import listing, output
from towpath.cli.output import Column
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
    watch_option,
)
from towpath.types import ColdStarts, DeploymentScaling, Environment, ScalingDecision


@click.command()
@click.argument("deployment")
@environment_option(None)
@limit_option
@json_option
@watch_option
@session
def scaling(
    current: Session, deployment: str, environment: Environment | None, limit: int, as_json: bool
) -> None:
    """Show by what the number of replicas is decided, the load, and the last decisions."""
    client = current.client()
    found = client.deployments.scaling(deployment, environment=environment)
    page = client.deployments.scaling_decisions(found.deployment, limit=limit)
    if as_json:
        decisions = [one.to_dict() for one in page.first().items]
        output.document({**found.to_dict(), "decisions": decisions})
        return
    for line in standing(found):
        output.data(line)
    output.data("")
    listing.page(
        page,
        [
            Column("at"),
            Column("replicas"),
            Column("why"),
            Column(found.metric, right=True),
            Column("a minute", right=True),
            Column("target", right=True),
            Column("limited by", flexible=True),
        ],
        row,
        as_json=False,
        empty="The number of replicas has not changed yet.",
        then=f"How it is now: `towpath deployments show {deployment}`",
    )


def standing(found: DeploymentScaling) -> list[str]:
    """Say in a few lines how it is scaled and where it stands."""
    load = found.load
    bounds = f"{found.min_replicas} to {found.max_replicas} replicas"
    if found.min_replicas == found.max_replicas:
        return [f"always {found.max_replicas}: the number of replicas is fixed"]
    now = f"now {found.replicas_ready} of {found.replicas_wanted} ready ({found.phase})"
    lines = [
        f"{bounds}, one for every {found.target:g} of {found.metric}",
        f"{now}, {load.in_flight} calls in flight, {load.queued} waiting",
    ]
    if found.idle_timeout_ms is not None:
        last = f", last call {output.ago(found.busy_at)}" if found.busy_at else ""
        lines.append(f"sleeps after {found.idle_timeout_ms / 1000:g} s without a call{last}")
    lines += [
        f"at least {one.min_replicas} from `{one.cron}` ({one.timezone}) on, for "
        f"{one.duration_ms / 3_600_000:g} h"
        for one in found.schedule
    ]
    return [*lines, *([waking(found.cold_starts)] if found.cold_starts else [])]


def waking(found: ColdStarts) -> str:
    """Say how fast it wakes, the platform's part apart from the engine's."""
    count = len(found.last)
    times = "the last time" if count == 1 else f"the last {count} times"
    total, engine, rest = found.total_ms, found.engine_ms, found.platform_ms
    return (
        f"wakes within {total.p50} ms (p95 {total.p95}): the engine {engine.p50} ({engine.p95}), "
        f"the platform {rest.p50} ({rest.p95}); {times}"
    )


def row(one: ScalingDecision) -> list[str]:
    """Write one decision."""
    return [
        output.ago(one.at),
        f"{one.before} → {one.after}",
        one.reason,
        f"{one.value:g}",
        f"{one.stable:g}",
        f"{one.target:g}",
        one.limited_by or "",
    ]
