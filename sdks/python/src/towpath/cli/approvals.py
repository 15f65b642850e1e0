"""`towpath approvals`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.types import Approval

STATES = click.Choice(["pending", "approved", "rejected", "void", "expired", "all"])


@click.group(cls=Noun, short_help="Show and decide what others ask for.")
def command() -> None:
    """Show what was asked for, and agree to it or refuse it."""


@command.command("list")
@click.option("--state", type=STATES, default="pending", show_default=True, help="Where it stands.")
@click.option("--kind", help="Of this kind alone, such as `promotion`.")
@limit_option
@json_option
@watch_option
@session
def list_(current: Session, state: str, kind: str | None, limit: int, as_json: bool) -> None:
    """List requests, newest first."""
    wanted = None if state == "all" else state
    listing.page(
        current.client().approvals.list(state=wanted, kind=kind, limit=limit),
        [
            Column("what", flexible=True),
            Column("by", flexible=True),
            Column("state"),
            Column("asked"),
            Column("id"),
        ],
        lambda one: [
            f"{one.name} → {one.environment}" if one.name else one.summary,
            one.requested_by,
            one.state,
            output.ago(one.created_at),
            one.id,
        ],
        as_json=as_json,
        empty="Nothing waits for an approval.",
        then="Why, and what exactly: `towpath approvals show ID`",
    )


@command.command()
@click.argument("approval")
@json_option
@session
def show(current: Session, approval: str, as_json: bool) -> None:
    """Show one request, with every word that was said on it."""
    found = current.client().approvals.get(approval)
    if as_json:
        output.document(found.to_dict())
        return
    tell(found)
    output.note()
    if found.state == "pending":
        output.note(
            f"Decide: `towpath approvals approve {found.id}`, `towpath approvals reject {found.id}`"
        )


@command.command()
@click.argument("approval")
@click.option("--comment", metavar="TEXT", help="What is said with it.")
@json_option
@session
def approve(current: Session, approval: str, comment: str | None, as_json: bool) -> None:
    """Agree; the last word that is needed carries it out."""
    decided(current.client().approvals.approve(approval, comment=comment), as_json=as_json)


@command.command()
@click.argument("approval")
@click.option("--comment", metavar="TEXT", help="What is said with it.")
@json_option
@session
def reject(current: Session, approval: str, comment: str | None, as_json: bool) -> None:
    """Refuse; one word is enough."""
    decided(current.client().approvals.reject(approval, comment=comment), as_json=as_json)


def decided(found: Approval, *, as_json: bool) -> None:
    """Say what came of a decision."""
    if as_json:
        output.document(found.to_dict())
        return
    tell(found)
    output.note()
    if found.result and "deployment" in found.result:
        output.note(f"See it become ready: `towpath deployments show {found.result['deployment']}`")
    elif found.state == "pending":
        agreed = sum(one.answer == "approve" for one in found.decisions)
        output.note(f"{agreed} of {found.needed} have agreed; it waits for the others.")


def tell(found: Approval) -> None:
    """Write a request."""
    output.data(f"{found.summary}: {found.state}    {found.id}")
    lines = [("asked by", found.requested_by), ("because", found.reason), ("digest", found.digest)]
    if found.state == "pending":
        lines.append(("until", output.ago(found.expires_at)))
    lines.append(("note", found.note))
    for title, text in lines:
        if text:
            output.data(f"  {title:<10} {output.clean(text)}")
    for one in found.decisions:
        said = f": {output.clean(one.comment)}" if one.comment else ""
        word = "agreed" if one.answer == "approve" else "refused"
        output.data(f"  {word:<10} {one.by}, {output.ago(one.at)}{said}")
