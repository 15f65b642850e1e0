"""`towpath quotas`: one page of everything that says how much."""

import click

from towpath.cli import budgets, limits, output
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.cli.subjects import subject_options


@click.command(short_help="Show limits, budgets and capacity on one page.")
@subject_options
@limit_option
@json_option
@session
def command(current: Session, *, limit: int, as_json: bool, **subject: str | None) -> None:
    """Show how much may be asked for, how much may be used, and what there is."""
    given = {name: value for name, value in subject.items() if value is not None}
    rates = current.client().limits.list(**given, limit=limit).first()
    amounts = current.client().budgets.list(**given, limit=limit).first()
    if as_json:
        output.document({"limits": rates.document, "budgets": amounts.document})
        return
    if rates.items:
        output.table(limits.COLUMNS, [limits.row(one) for one in rates.items])
    if amounts.items:
        if rates.items:
            output.data("")
        output.table(budgets.COLUMNS, [budgets.row(one) for one in amounts.items])
    if not rates.items and not amounts.items:
        output.note("Nothing is limited.")
    output.note()
    output.note("Rates: `towpath limits`; amounts: `towpath budgets`; machines: `towpath nodes`")
