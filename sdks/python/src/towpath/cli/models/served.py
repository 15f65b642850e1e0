"""`towpath models served`: which version took traffic when, and who put it there."""

import click

from towpath.cli import listing, output
from towpath.cli.output import Column
from towpath.cli.session import Session, environment_option, json_option, limit_option, session
from towpath.types import Served


@click.command()
@click.argument("model")
@environment_option(None)
@click.option(
    "--at", metavar="TIME", help="What took traffic then: a day (its beginning) or RFC 3339."
)
@limit_option
@json_option
@session
def served(
    current: Session,
    *,
    model: str,
    environment: str | None,
    at: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show which versions took traffic when, by whom and with whose approval."""
    moment = f"{at}T00:00:00Z" if at and len(at) == len("2026-11-01") else at
    listing.page(
        current.client().registry.served(model, environment=environment, at=moment, limit=limit),
        [
            Column("version", right=True),
            Column("environment"),
            Column("from"),
            Column("until"),
            Column("by", flexible=True),
            Column("approved by", flexible=True),
        ],
        row,
        as_json=as_json,
        empty=f"No version of `{model}` took traffic there" + (" then." if at else "."),
        then="The digests, and how each came about: `--json`",
    )


def row(one: Served) -> list[str]:
    """Write one stretch of time."""
    origin = one.origin
    return [
        str(one.version),
        one.environment,
        minute(one["from"]),
        minute(one["until"]) if one["until"] else "now",
        origin.by if origin else "–",
        ", ".join(origin.approved_by) or "–" if origin else "–",
    ]


def minute(text: str) -> str:
    """Write a time of the API's to the minute, in UTC."""
    return output.clean(text[:16].replace("T", " "))
