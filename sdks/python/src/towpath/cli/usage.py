"""`towpath usage`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import click

from towpath.cli import output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.reconcile import reconcile
from towpath.cli.session import Session, json_option, session, watch_option
from towpath.types import UsageLine


@click.group(cls=Noun, short_help="Show requests, tokens and cost.")
def command() -> None:
    """Show requests, tokens and cost, and compare them with what upstreams count."""


command.add_command(reconcile)


@command.command("list")
@click.option("--by", "group_by", default="endpoint", show_default=True, help="Several by comma.")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@click.option("--since", metavar="TIME", help="RFC 3339; the first of this month otherwise.")
@click.option("--until", metavar="TIME", help="RFC 3339; now otherwise.")
@json_option
@watch_option
@session
def list_(
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
    sums = shown(report.items)
    columns += [Column(name, right=True) for name in sums]
    output.table(
        columns,
        [
            [*grouped(line, groups), *(write(line) for write in sums.values())]
            for line in report.items
        ],
    )
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


def shown(lines: Sequence[UsageLine]) -> Mapping[str, Callable[[UsageLine], str]]:
    """Return what is shown of lines, by heading; what none of them has is left out."""
    columns: dict[str, Callable[[UsageLine], str]] = {
        "requests": lambda line: output.number(line.requests),
        "failed": lambda line: output.number(line.errors + line.refused),
        "in": lambda line: output.number(line.input_tokens),
    }
    if any(line.cached_input_tokens for line in lines):
        columns["cached"] = lambda line: f"{round(100 * (line.cached_share or 0))} %"
    columns["out"] = lambda line: output.number(line.output_tokens)
    if any(line.cache_hits for line in lines):
        columns["hits"] = lambda line: output.number(line.cache_hits)
    columns["cost"] = lambda line: output.money(line.cost_nano, line.currency)
    if any(line.saved_nano for line in lines):
        columns["saved"] = lambda line: output.money(line.saved_nano, line.currency)
    return columns
