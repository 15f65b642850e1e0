"""`towpath quotas`: what teams may reserve; the list is one page of all that says how much."""

from typing import Any

import click

from towpath.cli import budgets, limits, listing, output
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
from towpath.cli.subjects import subject_options
from towpath.types import Amounts, Quota, QuotaState

ENVIRONMENTS = ("sandbox", "staging", "production")
PARTS = ("replicas", "cpu", "memory", "gpus")
COLUMNS = (Column("team"), Column("environment"), Column("at most", flexible=True), Column("id"))


class GpuType(click.ParamType):
    """A number of GPUs of a class on the command line: `h100-80gb=8`."""

    name = "class=n"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        """Read it."""
        name, _, count = str(value).partition("=")
        if not name or not count.isdecimal():
            self.fail(f"`{value}` is not a number of GPUs such as h100-80gb=8", param, ctx)
        return name, int(count)


@click.group(cls=Noun, short_help="Show limits, budgets and capacity; set what teams may reserve.")
def command() -> None:
    """Show how much there is of everything, and set what teams may reserve."""


@command.command("list")
@subject_options
@limit_option
@json_option
@session
def list_(current: Session, *, limit: int, as_json: bool, **subject: str | None) -> None:
    """Show how much may be asked for, how much may be used, and how much may be reserved."""
    given = listing.changes(**subject)
    client = current.client()
    rates = client.limits.list(**given, limit=limit).first()
    amounts = client.budgets.list(**given, limit=limit).first()
    tables: list[tuple[Any, list[list[str]]]] = [
        (limits.COLUMNS, [limits.row(one) for one in rates.items]),
        (budgets.COLUMNS, [budgets.row(one) for one in amounts.items]),
    ]
    documents = {"limits": rates.document, "budgets": amounts.document}
    if given.keys() <= {"team", "environment"}:  # capacity is of teams alone
        capacity = client.quotas.list(**given, limit=limit).first()
        tables.append((COLUMNS, [row(one) for one in capacity.items]))
        documents["quotas"] = capacity.document
    if as_json:
        output.document(documents)
        return
    filled = [table for table in tables if table[1]]
    for number, (columns, rows) in enumerate(filled):
        if number:
            output.data("")
        output.table(columns, rows)
    if not filled:
        output.note("Nothing is limited, beyond the defaults of the settings.")
    output.note()
    output.note("Rates: `towpath limits`; amounts: `towpath budgets`")
    output.note("What a team has free: `towpath quotas show TEAM`; machines: `towpath nodes`")


def row(one: Quota) -> list[str]:
    """Write one quota."""
    return [one.team_name, one.environment, allowed(one), one.id]


def allowed(one: Quota | Amounts) -> str:
    """Write what may be reserved."""
    parts = []
    if one.replicas is not None:
        parts.append(f"{output.number(one.replicas)} replicas")
    if one.cpu is not None:
        parts.append(f"{one.cpu} CPUs")
    if one.memory is not None:
        parts.append(one.memory)
    if one.gpus is not None:
        classes = [
            f"{count} × {'any other GPU' if name == '*' else name}"
            for name, count in one.gpus.items()
        ]
        parts.append(", ".join(classes) or "no GPUs")
    return ", ".join(parts) or "not limited"


@command.command()
@click.argument("team")
@environment_option(None)
@json_option
@watch_option
@session
def show(current: Session, team: str, environment: str | None, as_json: bool) -> None:
    """
    Show what a team may reserve, what is used and free, and who holds it.

    towpath quotas show customer-care --environment production
    """
    chosen = [environment] if environment else ENVIRONMENTS
    states = [current.client().quotas.state(f"{team}:{one}") for one in chosen]
    if as_json:
        output.document({"items": [state.to_dict() for state in states]})
        return
    for number, state in enumerate(states):
        if number:
            output.data("")
        standing(state)
    output.note()
    output.note(f"Change it: `towpath quotas set {team} --environment {chosen[0]} --replicas 20`")


def standing(state: QuotaState) -> None:
    """Print where a team stands in one environment."""
    which = "" if state.quota else " (default)"
    output.data(f"{state.team_name} in {state.environment}{which}")
    rows = [
        [what, str(used), "not limited" if most is None else str(most), free]
        for what, used, most, free in lines(state)
    ]
    columns = (
        Column("what"),
        Column("used", right=True),
        Column("at most", right=True),
        Column("free", right=True),
    )
    output.table(columns, rows)
    for one in state.holders:
        until = ", is ending" if one.ending else ""
        until += f", until {one.until:%Y-%m-%d %H:%M} UTC" if one.until else ""
        output.data(f"  {one.name}: {held(one.held)}{until}")
    if state.hidden:
        output.data(f"  and {state.hidden} that you may not see")


def lines(state: QuotaState) -> list[tuple[str, str | int, str | int | None, str]]:
    """List everything that is limited or used: what, used, at most, free."""
    found: list[tuple[str, str | int, str | int | None, str]] = []
    for part in ("replicas", "cpu", "memory"):
        used = getattr(state.used, part)
        most, free = getattr(state.allowed, part), getattr(state.free, part)
        found.append((part, used or 0, most, "" if free is None else str(free)))
    most_gpus, free_gpus = state.allowed.gpus, state.free.gpus or {}
    used_gpus = state.used.gpus or {}
    for name in sorted({*(most_gpus or {}), *used_gpus}):
        most = None
        if most_gpus is not None:
            most = most_gpus.get(name, most_gpus.get("*", 0))
        called = "any other GPU" if name == "*" else name
        free = "" if most is None else str(free_gpus.get(name, 0))
        found.append((called, used_gpus.get(name, 0), most, free))
    return found


def held(amounts: Amounts) -> str:
    """Write what a deployment holds."""
    some = Amounts.of(
        {
            **amounts.to_dict(),
            "memory": amounts.memory if amounts.memory != "0" else None,
            "gpus": amounts.gpus or None,
        },
        {},
    )
    return allowed(some).replace("1 replicas", "1 replica").replace("1 CPUs", "1 CPU")


@command.command("set")
@click.argument("team")
@environment_option("sandbox")
@click.option("--replicas", type=click.IntRange(0), help="Model servers.")
@click.option("--cpu", metavar="N", help="CPUs, such as 16 or 1500m.")
@click.option("--memory", metavar="N", help="Such as 64Gi.")
@click.option(
    "--gpu",
    "gpus",
    type=GpuType(),
    multiple=True,
    help="GPUs by class, such as h100-80gb=8; `*=2` is every class that is not named.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(PARTS),
    metavar="PART",
    help="Lift a part, such as memory.",
)
@json_option
@session
def set_(
    current: Session,
    team: str,
    *,
    environment: str,
    gpus: tuple[tuple[str, int], ...],
    without: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> None:
    """
    Set what a team may reserve in an environment; what is not named stays as it is.

    towpath quotas set customer-care --environment production --gpu h100-80gb=8
    """
    changes: dict[str, Any] = {**listing.changes(**given), **dict.fromkeys(without)}
    if not changes and not gpus:
        raise Misuse("nothing to set", fix=f"`towpath quotas set {team} --replicas 20`")
    client = current.client()
    present = client.quotas.list(team=team, environment=environment).first().items
    if gpus:
        changes["gpus"] = {**((present[0].gpus if present else None) or {}), **dict(gpus)}
    if present:
        made = client.quotas.update(present[0].id, **changes)
    else:
        made = client.quotas.create(team=team, environment=environment, **changes)  # type: ignore[arg-type]
    if as_json:
        output.document(made.to_dict())
        return
    output.data(f"{made.team_name} in {made.environment}: {allowed(made)}    {made.id}")
    output.note(f"What is free: `towpath quotas show {team} --environment {environment}`")


@command.command()
@click.argument("team")
@environment_option("sandbox")
@click.option("--replicas", type=click.IntRange(0), help="Model servers.")
@click.option("--cpu", metavar="N", help="CPUs, such as 16 or 1500m.")
@click.option("--memory", metavar="N", help="Such as 64Gi.")
@click.option(
    "--gpu", "gpus", type=GpuType(), multiple=True, help="GPUs by class, such as h100-80gb=8."
)
@click.option("--reason", metavar="TEXT", help="Why, for those who run the platform.")
@json_option
@session
def request(
    current: Session,
    team: str,
    *,
    environment: str,
    gpus: tuple[tuple[str, int], ...],
    reason: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """
    Ask those who run the platform for what a team may reserve; what is not named stays.

    towpath quotas request customer-care --environment production --gpu h100-80gb=8
    """
    wanted: dict[str, Any] = listing.changes(**given)
    if not wanted and not gpus:
        raise Misuse("nothing to ask for", fix=f"`towpath quotas request {team} --replicas 20`")
    client = current.client()
    if gpus:
        present = client.quotas.list(team=team, environment=environment).first().items
        wanted["gpus"] = {**((present[0].gpus if present else None) or {}), **dict(gpus)}
    made = client.approvals.create(
        kind="quota", payload={"team": team, "environment": environment, **wanted}, reason=reason
    )
    if as_json:
        output.document(made.to_dict())
        return
    output.data(f"{made.summary}    {made.id}")
    output.note(f"It waits for those who run the platform: `towpath approvals show {made.id}`")


@command.command()
@click.argument("team")
@environment_option("sandbox")
@json_option
@session
def unset(current: Session, team: str, environment: str, as_json: bool) -> None:
    """Delete a team's quota in an environment; the default of the settings holds again."""
    quota = current.client().quotas.get(f"{team}:{environment}")
    current.client().quotas.delete(quota.id)
    listing.removed(quota.id, f"The default holds for `{team}` in {environment}.", as_json=as_json)
