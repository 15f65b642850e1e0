"""`towpath budgets`."""

from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.cli.subjects import subject_options
from towpath.types import Budget, BudgetState

COLUMNS = (Column("of", flexible=True), Column("amount"), Column("mode"), Column("id"))


def amount_options(function: Any) -> Any:
    """Add the options that say how much."""
    for add in (
        click.option("--warn-percent", type=click.IntRange(1, 100), help="Tell people from here."),
        click.option("--cost", metavar="AMOUNT", help="Money, such as 250.00."),
        click.option("--tokens", type=int, help="Input and output together."),
    ):
        function = add(function)
    return function


@click.group(cls=Noun, short_help="Show and change how much may be used in a period.")
def command() -> None:
    """Show and change budgets: tokens or money of keys, projects, teams and endpoints."""


@command.command("list")
@subject_options
@limit_option
@json_option
@watch_option
@session
def list_(current: Session, *, limit: int, as_json: bool, **subject: str | None) -> None:
    """List budgets."""
    listing.page(
        current.client().budgets.list(**listing.changes(**subject), limit=limit),
        COLUMNS,
        row,
        as_json=as_json,
        empty="No budget yet: `towpath budgets create --team NAME --cost 250 --period month`",
        then="What is left of one: `towpath budgets state ID`",
    )


def row(one: Budget) -> list[str]:
    """Write one budget."""
    return [one.label, f"{amount(one)} a {one.period}", one.mode, one.id]


def amount(one: Budget) -> str:
    """Write how much it is."""
    return f"{output.number(one.tokens)} tokens" if one.tokens is not None else str(one.cost)


@command.command()
@subject_options
@amount_options
@click.option("--period", type=click.Choice(["day", "week", "month"]), required=True)
@click.option(
    "--mode",
    type=click.Choice(["soft", "hard"]),
    default="soft",
    show_default=True,
    help="`hard` refuses calls when it is used up; `soft` tells people.",
)
@json_option
@session
def create(current: Session, *, as_json: bool, **given: Any) -> None:
    """
    Set a budget of one or two of --key, --project, --team and --endpoint.

    towpath budgets create --team care --cost 250.00 --period month --mode hard
    """
    if (given["tokens"] is None) == (given["cost"] is None):
        raise Misuse(
            "a budget is of --tokens or of --cost",
            fix="`towpath budgets create --team NAME --tokens 1000000 --period day`",
        )
    shown(current.client().budgets.create(**listing.changes(**given)), as_json=as_json)


def shown(one: Budget, *, as_json: bool) -> None:
    """Print a budget after a change."""
    if as_json:
        output.document(one.to_dict())
        return
    output.data(f"{one.label}: {amount(one)} a {one.period}, {one.mode}    {one.id}")
    listing.applied(one)
    output.note(f"What is left of it: `towpath budgets state {one.id}`")


@command.command()
@click.argument("budget")
@json_option
@session
def show(current: Session, budget: str, as_json: bool) -> None:
    """Show one budget."""
    listing.resource(current.client().budgets.get(budget), as_json=as_json)


@command.command()
@click.argument("budget")
@amount_options
@click.option("--mode", type=click.Choice(["soft", "hard"]))
@json_option
@session
def update(current: Session, budget: str, *, as_json: bool, **given: Any) -> None:
    """Change a budget's amount, mode or warning; what was used stays."""
    changes = listing.changes(**given)
    if not changes:
        raise Misuse("nothing to change", fix=f"`towpath budgets update {budget} --mode hard`")
    shown(current.client().budgets.update(budget, **changes), as_json=as_json)


@command.command()
@click.argument("budget")
@json_option
@session
def delete(current: Session, budget: str, as_json: bool) -> None:
    """Delete a budget; the requests that counted towards it stay in the log."""
    current.client().budgets.delete(budget)
    listing.removed(budget, f"Deleted `{budget}`.", as_json=as_json)


@command.command()
@click.argument("budget")
@json_option
@watch_option
@session
def state(current: Session, budget: str, as_json: bool) -> None:
    """Show what is used and left of a budget, and when it begins anew."""
    found = current.client().budgets.state(budget)
    if as_json:
        output.document(found.to_dict())
        return
    share = 100 * found.used // found.amount
    output.data(
        f"{found.label}: {of(found, found.used)} of {of(found, found.amount)}"
        f"{' tokens' if found.unit == 'tokens' else ''} ({share} %), {found.level}"
    )
    output.data(
        f"left {of(found, found.left)}, held for calls in flight {of(found, found.reserved)}, "
        f"on the way into the ledger {of(found, found.unshipped)}"
    )
    output.data(f"begins anew {found.resets_at:%Y-%m-%d %H:%M} UTC")


def of(state: BudgetState, value: int) -> str:
    """Write an amount of a budget."""
    return output.number(value) if state.unit == "tokens" else output.money(value, None)
