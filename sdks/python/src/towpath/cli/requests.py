"""`towpath requests`: the log."""

from datetime import UTC, datetime
from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.generated.client import Towpath
from towpath.types import RequestBodies, RequestRecord

# A live tail asks this often; the log itself is behind by up to 0.1 s.
FOLLOW_S = 1.0
# Rows that a tail looks at per turn; more at once are counted, not shown.
FOLLOW_ROWS = 1_000

COLUMNS = (
    Column("time"),
    Column("endpoint", flexible=True),
    Column("ended", flexible=True),
    Column("in", right=True),
    Column("out", right=True),
    Column("took", right=True),
    Column("id"),
)


@click.group(cls=Noun, short_help="Show the log of requests.")
def command() -> None:
    """Show the log: one row per request, with its tokens, cost and end."""


@command.command("list")
@click.option("--project", metavar="TEAM/NAME", help="Of this project alone.")
@click.option("--endpoint", help="Of this endpoint alone.")
@click.option("--since", metavar="TIME", help="RFC 3339, from this time on.")
@click.option("--errors", is_flag=True, help="Only what did not end well.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@limit_option
@json_option
@session
def list_(
    current: Session, limit: int, as_json: bool, follow: bool, errors: bool, **filters: str | None
) -> None:
    """List requests, newest first; with -f, as they come."""
    client = current.client()
    wanted = listing.changes(errors=errors or None, **filters)
    if follow:
        tail(current, client, wanted, as_json=as_json)
        return
    listing.page(
        client.requests.list(limit=limit, **wanted),
        COLUMNS,
        row,
        as_json=as_json,
        empty='No request in the log yet: `towpath chat MODEL "…"`',
        then="One of them: `towpath requests show ID`; as they come: `towpath requests -f`",
    )


def row(record: RequestRecord) -> list[str]:
    """Write one request."""
    moment = record.time
    shown = moment.astimezone().strftime("%H:%M:%S") if isinstance(moment, datetime) else moment
    return [
        shown,
        record.endpoint or f"({record.operation})",
        ending(record),
        output.number(record.input_tokens),
        output.number(record.output_tokens),
        output.took(record.latency_ms),
        record.id,
    ]


def ending(record: RequestRecord) -> str:
    """Write how a request ended: the code when it failed."""
    times = f" ×{record.count}" if record.count > 1 else ""
    return f"{record.error_code or record.ended}{times}"


def tail(current: Session, client: Towpath, wanted: dict[str, Any], *, as_json: bool) -> None:
    """Write requests as they come, until interrupted."""
    asked: dict[str, Any] = {"since": datetime.now(UTC), **wanted}
    seen: dict[str, None] = {}
    if not as_json:
        output.note("Waiting for requests; Ctrl-C ends.")
    while True:
        page = client.requests.list(limit=FOLLOW_ROWS, **asked).first()
        fresh = [one for one in reversed(page.items) if one.id not in seen]
        for record in fresh:
            if as_json:
                output.data(record.to_json())
            else:
                output.data(tail_line(record))
        seen.update(dict.fromkeys(one.id for one in fresh))
        for old in list(seen)[: -2 * FOLLOW_ROWS]:
            del seen[old]
        current.sleep(FOLLOW_S)


def tail_line(record: RequestRecord) -> str:
    """Write one request in 80 columns whose widths do not depend on the others."""
    when, endpoint, end, tokens_in, tokens_out, took, id_ = row(record)
    counted = record.input_tokens is not None or record.output_tokens is not None
    both = f"{output.shortened(end, 9):<9} {tokens_in:>4} {tokens_out:>4}"
    middle = both if counted else f"{end:<19}"
    name = f"{output.shortened(endpoint, 12):<12}"
    return f"{when} {name} {output.shortened(middle, 19)} {took:>6} {id_}"


@command.command()
@click.argument("request_id", metavar="ID")
@click.option("--bodies", is_flag=True, help="What it sent and was answered, where it is logged.")
@json_option
@session
def show(current: Session, request_id: str, bodies: bool, as_json: bool) -> None:
    """Show one request, by the id that its caller saw."""
    if bodies:
        show_bodies(current.client().requests.bodies(request_id), as_json=as_json)
        return
    record = current.client().requests.get(request_id)
    if as_json:
        output.document(record.to_dict())
        return
    moment = record.time
    when = moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if isinstance(moment, datetime) else "–"
    whose = (record.project_name or record.team_name or "–").replace("/", " / ")
    pairs = [
        (("time", when), ("team", f"{whose} ({record.environment or '–'})")),
        (("endpoint", record.endpoint or "–"), ("target", served(record))),
        (("tokens", tokens(record)), ("cost", output.money(record.cost_nano, record.currency))),
    ]
    for (left, value), (right, other) in pairs:
        output.data(f"{left:<9} {value:<25} {right:<9} {other}")
    if record.decision:
        output.data(f"{'decision':<9} {output.clean(decided(record))}")
    output.data(f"{'took':<9} {timing(record)}")
    output.data(f"{'ended':<9} {how(record)}")


def show_bodies(found: RequestBodies, *, as_json: bool) -> None:
    """Write both bodies of a request as they were, redacted."""
    if as_json:
        output.document(found.to_dict())
        return
    for name, body in (("request", found.request), ("response", found.response)):
        cut = ", cut off" if body.truncated else ""
        status = f"status {found.status}, " if name == "response" else ""
        output.note(f"{name}: {status}{body.bytes} bytes{cut}")
        for line in body.text.splitlines():
            output.data(output.clean(line))


def served(record: RequestRecord) -> str:
    """Write what answered."""
    version = f"@{record.model_version}" if record.model_version is not None else ""
    what = f"{record.model or record.target or '–'}{version}"
    if record.provider:
        return f"provider {record.provider}, {what}"
    kind = record.target_kind or ""
    return f"{kind} {what}".strip()


def decided(record: RequestRecord) -> str:
    """Write why this target was chosen, and what that saved."""
    saved = record.saved_nano
    money = f", saved {output.money(saved, record.currency)}" if saved and saved > 0 else ""
    return f"{record.decision}{money}"


def tokens(record: RequestRecord) -> str:
    """Write the tokens and who counted them."""
    if record.input_tokens is None and record.output_tokens is None:
        return "not counted"
    if record.cache == "hit":
        return "none: the cache answered"
    cached = record.cached_input_tokens
    came = f" ({output.number(cached)} cached)" if cached else ""
    thought = record.reasoning_tokens
    went = f" ({output.number(thought)} thought)" if thought else ""
    counts = f"{output.number(record.input_tokens)} in{came}, "
    counts += f"{output.number(record.output_tokens)} out{went}"
    return f"{counts} ({record.counted_by})"


def timing(record: RequestRecord) -> str:
    """Write how long it took, and how much of that was ours."""
    parts = [output.took(record.latency_ms)]
    if record.first_byte_ms is not None:
        parts.append(f"first token {output.took(record.first_byte_ms)}")
    if record.queue_ms:
        parts.append(f"waited {output.took(record.queue_ms)} for room")
    if record.cold_start_ms:
        parts.append(f"waking the model {output.took(record.cold_start_ms)}")
    if record.overhead_us is not None:
        parts.append(f"of which Towpath {record.overhead_us / 1000:.3f} ms")
    return ", ".join(parts)


def how(record: RequestRecord) -> str:
    """Write the end, with status and code where it was not a good one."""
    parts = [record.ended]
    if record.error_code:
        parts.append(f"{record.error_code} (status {record.status or 'none'})")
    if record.attempts > 1:
        parts.append(f"{record.attempts} attempts")
    return ", ".join(parts)
