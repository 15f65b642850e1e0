"""`towpath usage reconcile`: the ledger beside an upstream's own count."""

import csv
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click
import yaml

from towpath.cli import output
from towpath.cli.group import Misuse
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, session
from towpath.errors import NotFoundError
from towpath.generated.client import Towpath
from towpath.types import RequestRecord

# A page of counters is some hundred KB with every histogram on.
MAX_METRICS_BYTES = 8 << 20
METRICS_TIMEOUT_S = 10
# More rows than this are summed by somebody's database, not by a command.
MAX_RECORDS = 1_000_000
NANO = 1_000_000_000
ALL = "(all)"

COUNTERS = {
    "vllm:prompt_tokens_total": "input",
    "vllm:generation_tokens_total": "output",
    "llamacpp:prompt_tokens_total": "input",
    "llamacpp:tokens_predicted_total": "output",
}
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})?\s+([0-9.eE+-]+)(?:\s+[0-9-]+)?$")
MODEL_LABEL = re.compile(r'model_name="((?:[^"\\]|\\.)*)"')
EXPORT_COLUMNS = {
    "model": ("model", "model_id", "snapshot_id"),
    "input_tokens": ("input_tokens", "prompt_tokens", "n_context_tokens_total"),
    "output_tokens": ("output_tokens", "completion_tokens", "n_generated_tokens_total"),
    "cost": ("cost", "amount_value", "amount"),
}
"""Names of columns in exports, the first that is there; OpenAI's usage export among them."""


@dataclass
class Count:
    """What one side counted of one model."""

    input: int = 0
    output: int = 0
    cost_nano: int | None = None
    requests: int = 0
    own: int = 0
    """Requests whose tokens the gateway counted itself: the upstream was cut, or said nothing."""


@dataclass(frozen=True)
class Metrics:
    """An upstream's counters at a moment."""

    counts: Mapping[str, Count]
    at: datetime
    started: datetime | None = None
    cached_apart: bool = False
    """Whether tokens that were read from its cache are not among its input (llama.cpp)."""

    def document(self) -> dict[str, Any]:
        """Return it as it is saved."""
        counts = {model: [one.input, one.output] for model, one in self.counts.items()}
        return {"at": self.at.isoformat(), "counts": counts}


@dataclass
class Side:
    """The ledger's side, with the newest price of each model."""

    counts: dict[str, Count] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=dict)


@click.command()
@click.option("--metrics", "url", metavar="URL", help="The upstream's Prometheus counters.")
@click.option("--credential-stdin", is_flag=True, help="Read the bearer token for them from stdin.")
@click.option("--save", metavar="FILE", help="Save the counters as they are now, and end.")
@click.option(
    "--since-file", metavar="FILE", help="Counters saved before: the period begins there."
)
@click.option(
    "--export", "file", metavar="FILE", help="A vendor's CSV or JSON, instead of counters."
)
@click.option("--columns", metavar="FILE", help="YAML: names of the export's columns and models.")
@click.option("--endpoint", help="Only records of this endpoint.")
@click.option("--target", help="Only records that this target answered.")
@click.option("--provider", help="Only records of this provider.")
@click.option("--since", metavar="TIME", help="RFC 3339; else when the server started.")
@click.option("--until", metavar="TIME", help="RFC 3339; now otherwise.")
@click.option("--tolerance", default=1.0, show_default=True, help="Difference that is fine, in %.")
@json_option
@session
def reconcile(
    current: Session,
    *,
    url: str | None,
    credential_stdin: bool,
    save: str | None,
    since_file: str | None,
    file: str | None,
    columns: str | None,
    since: str | None,
    until: str | None,
    tolerance: float,
    as_json: bool,
    **only: str | None,
) -> int:
    """
    Compare the ledger with an upstream's own count; fails when they differ by more than is fine.

    The count is vLLM's or llama.cpp's /metrics, or a vendor's export of usage.
    """
    if (url is None) == (file is None):
        raise Misuse("give one of --metrics and --export", fix="`towpath usage reconcile --help`")
    if url is not None:
        token = sys.stdin.readline().strip() if credential_stdin else None
        now = read_metrics(fetch(url, token), at=datetime.now(UTC))
        if save is not None:
            Path(save).write_text(json.dumps(now.document()), encoding="utf-8")
            output.note(
                f"Saved: later `towpath usage reconcile --metrics {url} --since-file {save}`"
            )
            return 0
        theirs, begin = since_then(now, since_file, since)
        apart = now.cached_apart
    else:
        theirs, begin, apart = read_export(Path(file or ""), columns), since, False
        if begin is None:
            raise Misuse(
                "an export needs --since", fix="say which time it covers: --since, --until"
            )
    client = current.client()
    ours = ledger(client, only, since=begin, until=until, cached_apart=apart)
    lines = compare(ours, theirs, rates(client, ours.prices), tolerance)
    show(lines, since=begin, tolerance=tolerance, as_json=as_json)
    return 0 if all(line["within"] for line in lines) else 1


def fetch(url: str, token: str | None) -> str:
    """
    Read a page of counters.

    Raises:
        Misuse: It cannot be read.
    """
    if not url.startswith(("http://", "https://")):
        raise Misuse(f"`{url}` is no address", fix="write it as http://HOST:PORT/metrics")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme is checked)
    try:
        with urllib.request.urlopen(request, timeout=METRICS_TIMEOUT_S) as answer:  # noqa: S310
            return answer.read(MAX_METRICS_BYTES).decode("utf-8", "replace")
    except (OSError, urllib.error.URLError) as error:
        raise Misuse(
            f"`{url}` cannot be read: {error}",
            fix="llama.cpp needs --metrics; a secret goes through --credential-stdin",
        ) from error


def read_metrics(text: str, *, at: datetime) -> Metrics:
    """
    Read the counters of tokens of vLLM or llama.cpp.

    Raises:
        Misuse: There are none.
    """
    counts: dict[str, Count] = {}
    started, llama = None, False
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match is None:
            continue
        name, labels, value = match.groups()
        if name == "process_start_time_seconds":
            started = datetime.fromtimestamp(float(value), UTC)
        side = COUNTERS.get(name)
        if side is None:
            continue
        llama = llama or name.startswith("llamacpp:")
        label = MODEL_LABEL.search(labels or "")
        count = counts.setdefault(label.group(1) if label else ALL, Count())
        setattr(count, side, getattr(count, side) + int(float(value)))
    if not counts:
        raise Misuse(
            "the page has no counters of tokens that are known",
            fix=f"known are {', '.join(COUNTERS)}",
        )
    return Metrics(counts, at, started, cached_apart=llama)


def since_then(now: Metrics, file: str | None, since: str | None) -> tuple[dict[str, Count], str]:
    """
    Return what was counted since counters were saved, or since the server started.

    Raises:
        Misuse: Nobody knows since when it counts, or it was started anew in between.
    """
    if file is None:
        begin = since or (now.started.isoformat() if now.started else None)
        if begin is None:
            raise Misuse(
                "the server does not say since when it counts",
                fix="give --since with its start, or --save counters first and then --since-file",
            )
        return dict(now.counts), begin
    saved = json.loads(Path(file).read_text(encoding="utf-8"))
    found = {}
    for model, count in now.counts.items():
        tokens_in, tokens_out = saved["counts"].get(model, (0, 0))
        if count.input < tokens_in or count.output < tokens_out:
            raise Misuse(
                "the counters are below those that were saved: the server was started anew",
                fix="compare since its start: --since TIME",
            )
        found[model] = Count(count.input - tokens_in, count.output - tokens_out)
    return found, saved["at"]


def read_export(path: Path, columns: str | None) -> dict[str, Count]:
    """
    Read a vendor's export of usage, CSV or JSON.

    Raises:
        Misuse: It cannot be read, or lacks a column.
    """
    mapping = yaml.safe_load(Path(columns).read_text(encoding="utf-8")) if columns else {}
    rename: Mapping[str, str] = mapping.get("models", {})
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = (
            list(objects(json.loads(text)))
            if path.suffix == ".json"
            else [*csv.DictReader(text.splitlines())]
        )
    except (OSError, ValueError) as error:
        raise Misuse(f"`{path}` cannot be read: {error}", fix="give a CSV or JSON file") from error
    found: dict[str, Count] = {}
    for row in rows:
        names = {
            name: mapping.get(name) or next((one for one in known if one in row), None)
            for name, known in EXPORT_COLUMNS.items()
        }
        cells = {name: row[column] for name, column in names.items() if column in row}
        missing = [name for name in ("model", "input_tokens") if name not in cells]
        if missing:
            raise Misuse(
                f"the export has no column for {missing[0]}",
                fix=f"name it in --columns FILE: `{missing[0]}: COLUMN`; it has {', '.join(row)}",
            )
        model = str(cells["model"] or ALL)
        count = found.setdefault(rename.get(model, model), Count())
        count.input += whole(cells["input_tokens"])
        count.output += whole(cells.get("output_tokens", 0))
        if "cost" in cells:
            count.cost_nano = (count.cost_nano or 0) + int(amount(cells["cost"]) * NANO)
    return found


def objects(document: Any) -> Iterable[Mapping[str, Any]]:
    """Return the innermost objects of a document, which are its rows."""
    if isinstance(document, list):
        for one in document:
            yield from objects(one)
    elif isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        nested = [one for one in lists if any(isinstance(part, dict) for part in one)]
        if nested:
            yield from objects(nested)
        else:
            yield document


def whole(value: Any) -> int:
    """Read a count; nothing is none."""
    return int(amount(value))


def amount(value: Any) -> Decimal:
    """Read a decimal number; nothing is none."""
    try:
        return Decimal(str(value or 0).replace(",", ""))
    except InvalidOperation as error:
        raise Misuse(f"`{value}` in the export is no number", fix="correct --columns") from error


def ledger(
    client: Towpath,
    only: Mapping[str, str | None],
    *,
    since: str | None,
    until: str | None,
    cached_apart: bool,
) -> Side:
    """Add up the records that an upstream answered, by the model that was asked for there."""
    side = Side()
    asked = {"endpoint": only.get("endpoint"), "since": since, "until": until}
    query = {name: value for name, value in asked.items() if value is not None}
    for number, record in enumerate(client.requests.list(limit=1_000, **query)):
        if number >= MAX_RECORDS:
            raise Misuse("the period has too many records", fix="take a shorter one")
        if counts(record, only):
            add(side, record, cached_apart=cached_apart)
    return side


def counts(record: RequestRecord, only: Mapping[str, str | None]) -> bool:
    """Tell whether an upstream of those that are asked about has counted a record."""
    wanted = all(
        value is None or getattr(record, name) == value
        for name, value in only.items()
        if name != "endpoint"
    )
    return wanted and record.cache != "hit" and record.input_tokens is not None


def add(side: Side, record: RequestRecord, *, cached_apart: bool) -> None:
    """Add one record."""
    model = record.model or record.endpoint or ALL
    count = side.counts.setdefault(model, Count())
    cached = (record.cached_input_tokens or 0) if cached_apart else 0
    count.input += max(0, (record.input_tokens or 0) - cached)
    count.output += record.output_tokens or 0
    count.requests += record.count
    count.own += record.counted_by == "gateway"
    if record.cost_nano is not None:
        count.cost_nano = (count.cost_nano or 0) + record.cost_nano
    if record.price_id is not None:
        side.prices.setdefault(model, record.price_id)  # the log is newest first


def rates(client: Towpath, prices: Mapping[str, str]) -> dict[str, tuple[Decimal, Decimal]]:
    """Return what a token of input and of output costs in nano-units, by model."""
    found = {}
    for model, price_id in prices.items():
        try:
            price = client.prices.get(price_id)
        except NotFoundError:
            continue
        found[model] = (
            Decimal(price.input_per_million or 0) * NANO / 1_000_000,
            Decimal(price.output_per_million or 0) * NANO / 1_000_000,
        )
    return found


def compare(
    ours: Side,
    theirs: Mapping[str, Count],
    rate: Mapping[str, tuple[Decimal, Decimal]],
    tolerance: float,
) -> list[dict[str, Any]]:
    """Put both sides beside each other; a single model on each side is the same one."""
    counted = dict(ours.counts)
    if len(theirs) == 1 and (ALL in theirs or (len(counted) == 1 and not counted.keys() & theirs)):
        (name,) = theirs
        counted = {name: together(counted.values())}
        rate = {name: next(iter(rate.values()))} if len(rate) == 1 else {}
    lines = []
    for model in sorted(counted.keys() | theirs.keys()):
        mine, other = counted.get(model, Count()), theirs.get(model, Count())
        less_in, less_out = other.input - mine.input, other.output - mine.output
        money = None
        if other.cost_nano is not None:
            money = other.cost_nano - (mine.cost_nano or 0)
        elif model in rate:
            money = int(less_in * rate[model][0] + less_out * rate[model][1])
        lines.append(
            {
                "model": model,
                "ledger": {"input_tokens": mine.input, "output_tokens": mine.output},
                "upstream": {"input_tokens": other.input, "output_tokens": other.output},
                "difference": {"input_tokens": less_in, "output_tokens": less_out},
                "difference_nano": money,
                "requests": mine.requests,
                "counted_by_gateway": mine.own,
                "within": close(mine.input, other.input, tolerance)
                and close(mine.output, other.output, tolerance),
            }
        )
    return lines


def together(found: Iterable[Count]) -> Count:
    """Add up."""
    total = Count()
    for one in found:
        total.input += one.input
        total.output += one.output
        total.requests += one.requests
        total.own += one.own
        if one.cost_nano is not None:
            total.cost_nano = (total.cost_nano or 0) + one.cost_nano
    return total


def close(mine: int, other: int, tolerance: float) -> bool:
    """Tell whether two counts are the same, as far as the tolerance goes."""
    return abs(other - mine) * 100 <= tolerance * max(mine, other)


def signed(nano: int | None) -> str:
    """Write a difference of money."""
    if nano is None:
        return "–"
    return f"{'-' if nano < 0 else '+'}{output.money(abs(nano), '')}"


def show(
    lines: list[dict[str, Any]], *, since: str | None, tolerance: float, as_json: bool
) -> None:
    """Write the comparison."""
    if as_json:
        output.document({"since": since, "items": lines})
        return
    columns = [Column("model", flexible=True)]
    columns += [
        Column(name, right=True)
        for name in ("in", "upstream", "out", "upstream", "difference", "money")
    ]
    rows = [
        [
            line["model"],
            output.number(line["ledger"]["input_tokens"]),
            output.number(line["upstream"]["input_tokens"]),
            output.number(line["ledger"]["output_tokens"]),
            output.number(line["upstream"]["output_tokens"]),
            f"{line['difference']['input_tokens']:+d} {line['difference']['output_tokens']:+d}",
            signed(line["difference_nano"]),
        ]
        for line in lines
    ]
    output.table(columns, rows)
    output.note()
    own = sum(line["counted_by_gateway"] for line in lines)
    if own:
        output.note(f"{own} requests were counted by the gateway: cut, or without usage.")
    beyond = [line["model"] for line in lines if not line["within"]]
    output.note(
        f"Beyond the tolerance: {', '.join(beyond)}" if beyond else f"All within {tolerance:g} %."
    )
