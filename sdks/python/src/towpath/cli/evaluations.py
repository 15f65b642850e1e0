"""`towpath evaluations`."""

from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.types import Evaluation


@click.group(cls=Noun, short_help="Record and show what suites found out.")
def command() -> None:
    """Record and show what suites found out about versions; gates read it."""


@command.command("list")
@click.option("--model", metavar="NAME", help="Of this model alone.")
@click.option("--suite", metavar="NAME", help="Of this suite alone.")
@limit_option
@json_option
@watch_option
@session
def list_(
    current: Session, model: str | None, suite: str | None, limit: int, as_json: bool
) -> None:
    """List results, oldest first."""
    listing.page(
        current.client().evaluations.list(**listing.changes(model=model, suite=suite), limit=limit),
        [Column("model"), Column("suite"), Column("found", flexible=True), Column("id")],
        lambda one: [
            f"{one.model}/{one.version}",
            f"{one.suite}@{one.suite_version}",
            found(one),
            one.id,
        ],
        as_json=as_json,
        empty="Nothing is recorded yet: `towpath evaluations record --help`",
        then="One of them: `towpath evaluations show ID`",
    )


def found(one: Evaluation) -> str:
    """Write what was found out."""
    parts = [f"{name} {metric['value']:g}" for name, metric in one.metrics.items()]
    return ", ".join([*([one.verdict] if one.verdict else []), *parts])


@command.command()
@click.argument("evaluation")
@json_option
@session
def show(current: Session, evaluation: str, as_json: bool) -> None:
    """Show one result."""
    listing.resource(current.client().evaluations.get(evaluation), as_json=as_json)


@command.command()
@click.argument("version", metavar="MODEL/VERSION")
@click.option("--suite", required=True, metavar="NAME@VERSION", help="Which suite was run.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=VALUE[:LOW:HIGH]",
    help="What it measured, with its interval.",
)
@click.option("--n", type=click.IntRange(1), help="Items that the metrics were taken over.")
@click.option("--verdict", type=click.Choice(["pass", "fail", "inconclusive"]))
@click.option("--runtime", metavar="NAME", help="What served it, where that matters.")
@click.option("--digest", help="Of what was evaluated; refused when the version has another.")
@click.option("--source", default="recorded by hand", show_default=True, help="Which run it was.")
@json_option
@session
def record(
    current: Session,
    version: str,
    *,
    suite: str,
    metrics: tuple[str, ...],
    n: int | None,
    as_json: bool,
    **more: Any,
) -> None:
    """
    Record what a run of a suite found out; gates that wait for it look again.

    towpath evaluations record triage/3 --suite golden@7 --metric accuracy=0.87:0.85:0.89 --n 600
    """
    model, _, number = version.rpartition("/")
    name, _, suite_version = suite.partition("@")
    if not model or not number.isdecimal() or not suite_version:
        raise Misuse(
            "a version is `MODEL/NUMBER`, and a suite is `NAME@VERSION`",
            fix="`towpath evaluations record triage/3 --suite golden@7 --metric accuracy=0.87`",
        )
    made = current.client().evaluations.record(
        model=model,
        version=int(number),
        suite=name,
        suite_version=suite_version,
        metrics=dict(read_metric(text, n) for text in metrics),
        **listing.changes(**more),
    )
    if as_json:
        output.document(made.to_dict())
        return
    output.data(f"{made.model}/{made.version} {suite}: {found(made)}    {made.id}")


def read_metric(text: str, n: int | None) -> tuple[str, dict[str, Any]]:
    """
    Read a metric from the command line.

    Raises:
        Misuse: It is none.
    """
    name, _, numbers = text.partition("=")
    try:
        values = [float(part) for part in numbers.split(":")]
    except ValueError:
        values = []
    if not name or len(values) not in {1, 3}:
        raise Misuse(
            f"`{text}` is no metric",
            fix="write it as `accuracy=0.87`, or `accuracy=0.87:0.85:0.89` with its interval",
        )
    interval = {"low": values[1], "high": values[2]} if len(values) == 3 else {}
    return name, {"value": values[0], **interval, **({"n": n} if n else {})}
