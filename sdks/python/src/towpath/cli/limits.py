"""`towpath limits`."""

from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.cli.subjects import subject_options
from towpath.types import Limit, Rate

_RATES = ("requests_per_second", "requests_per_minute", "tokens_per_minute")
_PARTS = (*_RATES, "concurrency")
_SHORT = {
    "requests_per_second": "requests/s",
    "requests_per_minute": "requests/min",
    "tokens_per_minute": "tokens/min",
}
COLUMNS = (Column("of", flexible=True), Column("at most", flexible=True), Column("id"))


class RateType(click.ParamType):
    """A rate on the command line: `600`, or `600:20` with its burst."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read it as the API takes it."""
        try:
            numbers = [int(part) for part in str(value).split(":")]
        except ValueError:
            numbers = []
        if len(numbers) == 1:
            return numbers[0]
        if len(numbers) == 2:
            return {"limit": numbers[0], "burst": numbers[1]}
        return self.fail(f"`{value}` is not a rate such as 600 or 600:20", param, ctx)


def rule_options(function: Any) -> Any:
    """Add the options that say how much."""
    for add in (
        click.option("--concurrency", type=int, help="Calls in flight, waiting ones included."),
        click.option("--tokens-per-minute", type=RateType(), metavar="N[:BURST]", help="In, out."),
        click.option("--requests-per-minute", type=RateType(), metavar="N[:BURST]"),
        click.option("--requests-per-second", type=RateType(), metavar="N[:BURST]"),
    ):
        function = add(function)
    return function


@click.group(cls=Noun, short_help="Show and change how much may be asked for at a time.")
def command() -> None:
    """Show and change limits: rates and concurrency of keys, projects, teams and endpoints."""


@command.command("list")
@subject_options
@limit_option
@json_option
@watch_option
@session
def list_(current: Session, *, limit: int, as_json: bool, **subject: str | None) -> None:
    """List limits."""
    listing.page(
        current.client().limits.list(**listing.changes(**subject), limit=limit),
        COLUMNS,
        row,
        as_json=as_json,
        empty="No limit yet: `towpath limits create --team NAME --requests-per-minute 600`",
        then="Where one stands: `towpath limits state ID`",
    )


def row(one: Limit) -> list[str]:
    """Write one limit."""
    return [one.label, allowed(one), one.id]


def allowed(one: Limit) -> str:
    """Write what a limit allows."""
    parts = [
        f"{output.number(rate.limit)} {_SHORT[name]}{burst(rate)}"
        for name in _RATES
        if (rate := getattr(one, name)) is not None
    ]
    if one.concurrency is not None:
        parts.append(f"{output.number(one.concurrency)} at once")
    return ", ".join(parts)


def burst(rate: Rate) -> str:
    """Write a burst that was set."""
    return "" if rate.burst is None else f" (burst {output.number(rate.burst)})"


@command.command()
@subject_options
@rule_options
@json_option
@session
def create(current: Session, *, as_json: bool, **given: Any) -> None:
    """
    Set a limit of one or two of --key, --project, --team and --endpoint.

    towpath limits create --team care --endpoint smollm2 --requests-per-minute 600
    """
    made = current.client().limits.create(**listing.changes(**given))
    shown(made, as_json=as_json)


def shown(one: Limit, *, as_json: bool) -> None:
    """Print a limit after a change."""
    if as_json:
        output.document(one.to_dict())
        return
    output.data(f"{one.label}: {allowed(one)}    {one.id}")
    listing.applied(one)
    output.note(f"Where it stands: `towpath limits state {one.id}`")


@command.command()
@click.argument("limit")
@json_option
@session
def show(current: Session, limit: str, as_json: bool) -> None:
    """Show one limit."""
    listing.resource(current.client().limits.get(limit), as_json=as_json)


@command.command()
@click.argument("limit")
@rule_options
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(_PARTS),
    metavar="PART",
    help="Take a part away, such as concurrency.",
)
@json_option
@session
def update(
    current: Session, limit: str, *, without: tuple[str, ...], as_json: bool, **given: Any
) -> None:
    """Change what a limit allows; what is not named stays."""
    changes: dict[str, Any] = {**listing.changes(**given), **dict.fromkeys(without)}
    if not changes:
        raise Misuse(
            "nothing to change", fix=f"`towpath limits update {limit} --requests-per-minute 600`"
        )
    shown(current.client().limits.update(limit, **changes), as_json=as_json)


@command.command()
@click.argument("limit")
@json_option
@session
def delete(current: Session, limit: str, as_json: bool) -> None:
    """Delete a limit."""
    current.client().limits.delete(limit)
    listing.removed(limit, f"Deleted `{limit}`.", as_json=as_json)


@command.command()
@click.argument("limit")
@json_option
@watch_option
@session
def state(current: Session, limit: str, as_json: bool) -> None:
    """Show where a limit stands, as the gateways said last."""
    found = current.client().limits.state(limit)
    if as_json:
        output.document(found.to_dict())
        return
    if found.reported_at is None:
        output.data(f"{found.label}: not used since the control plane began to listen")
        return
    left = [
        f"{output.number(count)} {what} left"
        for count, what in ((found.requests_left, "requests"), (found.tokens_left, "tokens"))
        if count is not None
    ]
    parts = [f"{output.number(found.in_flight)} in flight", *left]
    parts.append(f"{output.number(found.refused)} refused")
    output.data(f"{found.label}: {', '.join(parts)}    {output.ago(found.reported_at)}")
