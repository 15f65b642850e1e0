"""`towpath usage`."""

from datetime import UTC, datetime

import click

from towpath.cli import output
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, session, watch_option
from towpath.types import UsageLine


@click.command(short_help="Show requests, tokens and cost.")
@click.option("--by", "group_by", default="endpoint", show_default=True, help="Several by comma.")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@click.option("--since", metavar="TIME", help="RFC 3339; the first of this month otherwise.")
@click.option("--until", metavar="TIME", help="RFC 3339; now otherwise.")
@json_option
@watch_option
@session
def command(
    current: Session,
    *,
    group_by: str,
    project: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """
    Show requests, tokens and cost, of this month by endpoint.

    Group by team, project, application, endpoint, model, key, day and others.
    """
    begin = since or datetime.now(UTC).strftime("%Y-%m-01T00:00:00Z")
    report = current.client().usage.get(
        group_by=group_by, since=begin, until=until, project=project
    )
    if as_json:
        output.document(report.to_dict())
        return
    if not report.items:
        output.note(f"Nothing was used since {begin[:10]}.")
        return
    groups = report.group_by
    columns = [Column(name, flexible=True) for name in groups]
    columns += [Column(name, right=True) for name in ("requests", "failed", "in", "out", "cost")]
    output.table(columns, [[*grouped(line, groups), *sums(line)] for line in report.items])
    output.note()
    output.note("Other sums: `towpath usage --by team,day`; the rows: `towpath requests`")


def grouped(line: UsageLine, groups: list[str]) -> list[str]:
    """Write what a line is about, by name where it has one."""
    document = line.to_dict()
    found = [document.get(f"{group}_name") or document.get(group) for group in groups]
    return [
        "–" if value is None else str(value)[:10] if group == "day" else str(value)
        for group, value in zip(groups, found, strict=True)
    ]


def sums(line: UsageLine) -> list[str]:
    """Write what a line adds up."""
    return [
        output.number(line.requests),
        output.number(line.errors + line.refused),
        output.number(line.input_tokens),
        output.number(line.output_tokens),
        output.money(line.cost_nano, line.currency),
    ]
