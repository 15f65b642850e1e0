"""`towpath batches`: many calls in one file, made when there is room for them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse, Noun
from towpath.cli.output import Column
from towpath.cli.progress import Steps
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.errors import APIError
from towpath.generated.client import Towpath
from towpath.types import Batch

# Somebody who waits wants to see it move; a batch takes minutes to hours.
LOOK_AGAIN_S = 1.0
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
MAX_LIMIT = 100  # what OpenAI's API takes

COLUMNS = (
    Column("id", flexible=True),
    Column("status"),
    Column("endpoint", flexible=True),
    Column("done", right=True),
    Column("failed", right=True),
    Column("of", right=True),
)


@click.group(cls=Noun, short_help="Run many calls from a file.")
def command() -> None:
    """Run many calls from a file, when there is room for them."""


@command.command("list")
@limit_option
@json_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List batches, newest first."""
    listing.page(
        current.client().batches.list(limit=min(limit, MAX_LIMIT)),
        COLUMNS,
        row,
        as_json=as_json,
        empty="No batch yet: `towpath batches create FILE.jsonl`",
        then="One of them: `towpath batches show ID`; its answers: `towpath batches results ID`",
    )


def row(batch: Batch) -> list[str]:
    """Write one batch."""
    counts = batch.request_counts
    numbers = (counts.completed, counts.failed, counts.total)
    return [batch.id, batch.status, batch.endpoint, *(output.number(one) for one in numbers)]


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--endpoint", metavar="PATH", help="What the lines call; default: as they say.")
@click.option("--window", default="24h", show_default=True, help="How long it may take.")
@click.option("--metadata", metavar="NAME=VALUE", multiple=True, help="Kept with the batch.")
@click.option("--wait", is_flag=True, help="Wait for its end, and show how far it is.")
@json_option
@session
def create(
    current: Session,
    *,
    file: Path,
    endpoint: str | None,
    window: str,
    metadata: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> int:
    """Upload FILE, one request per line, and run it."""
    client = current.client()
    pairs = dict(_pair(text) for text in metadata)
    url = endpoint or _endpoint_of(file)
    uploaded = client.files.create(file=file)
    made = client.batches.create(
        input_file_id=uploaded.id,
        endpoint=url,
        completion_window=window,
        **({"metadata": pairs} if pairs else {}),
    )
    if not wait:
        listing.resource(
            made,
            as_json=as_json,
            fields=("id", "status", "endpoint", "input_file_id"),
            then=f"How far it is: `towpath batches show {made.id}`",
        )
        return 0
    return _report(_waited(current, client, made), as_json=as_json)


@command.command()
@click.argument("batch", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for its end.")
@json_option
@session
def show(current: Session, batch: str, wait: bool, as_json: bool) -> int:
    """Show a batch: where it is, and how many of its lines have ended."""
    client = current.client()
    found = client.batches.get(batch)
    return _report(_waited(current, client, found) if wait else found, as_json=as_json)


@command.command()
@click.argument("batch", metavar="ID")
@json_option
@session
def cancel(current: Session, batch: str, as_json: bool) -> None:
    """End a batch before its time; what was answered is kept."""
    listing.resource(
        current.client().batches.cancel(batch),
        as_json=as_json,
        fields=("id", "status"),
        then=f"What was answered: `towpath batches results {batch}`",
    )


@command.command()
@click.argument("batch", metavar="ID")
@click.option("--errors", is_flag=True, help="What failed, instead of what was answered.")
@click.option("-o", "--output", "to", type=click.Path(path_type=Path), help="Write to a file.")
@session
def results(current: Session, batch: str, errors: bool, to: Path | None) -> int:
    """Print what a batch was answered, one line per request."""
    client = current.client()
    found = client.batches.get(batch)
    file = found.error_file_id if errors else found.output_file_id
    if file is None:
        if found.status not in ENDED:
            raise APIError(
                f"the batch `{batch}` is `{found.status}` and has no results yet",
                code="batch_not_ended",
                fix=f"wait for it: `towpath batches show {batch} --wait`",
            )
        other = "Nothing failed" if errors else "Nothing was answered; what failed: `--errors`"
        output.note(other)
        return 0
    pieces = client.files.content(file).chunks()
    if to is None:
        _write_out(pieces)
    else:
        with to.open("wb") as target:
            for piece in pieces:
                target.write(piece)
        output.note(f"Written to {to}")
    return 0


def _write_out(pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        # The bytes as they came; text streams of tests have no buffer.
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(piece.decode("utf-8", "replace"))
        else:
            buffer.write(piece)
    sys.stdout.flush()


def _waited(current: Session, client: Towpath, batch: Batch) -> Batch:
    """Wait for the end of a batch, showing how far it is."""
    steps = Steps(current.now)
    while batch.status not in ENDED:
        counts = batch.request_counts
        ended = counts.completed + counts.failed
        steps.waiting(batch.status, f"{ended} of {counts.total} lines")
        current.sleep(LOOK_AGAIN_S)
        batch = client.batches.get(batch.id)
    counts = batch.request_counts
    steps.done(
        batch.status,
        f"{counts.completed} of {counts.total} lines answered, {counts.failed} failed",
        "true" if batch.status == "completed" else "false",
    )
    return batch


def _report(batch: Batch, *, as_json: bool) -> int:
    """Write a batch; a failed one ends with 1."""
    flaws = batch.errors.data if batch.errors else []
    listing.resource(
        batch,
        as_json=as_json,
        fields=(
            "id",
            "status",
            "endpoint",
            "request_counts",
            "input_file_id",
            "output_file_id",
            "error_file_id",
            "metadata",
        ),
        then=None if flaws else f"Its answers: `towpath batches results {batch.id}`",
    )
    if flaws and not as_json:
        output.note()
        for flaw in flaws:
            where = f"line {flaw.line}: " if flaw.line else ""
            output.note(f"{where}{flaw.message} ({flaw.code})")
    return 1 if batch.status in {"failed", "expired"} else 0


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise Misuse(f"`{text}` is not `NAME=VALUE`", fix="`--metadata job=nightly`")
    return name, value


def _endpoint_of(file: Path) -> str:
    """Read from the first line what the lines call; the platform checks them all."""
    with file.open("rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                document: Any = json.loads(line)
            except ValueError:
                break
            if isinstance(document, dict) and isinstance(document.get("url"), str):
                url: str = document["url"]
                return url
            break
    raise Misuse(
        f"the first line of {file} does not say what it calls",
        fix="give each line a `url`, such as `/v1/chat/completions`, or pass `--endpoint`",
    )
