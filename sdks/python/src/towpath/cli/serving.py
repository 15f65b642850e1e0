"""Options of `towpath endpoints` that say how an endpoint serves, and how that is shown."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from towpath.cli.group import Misuse
from towpath.types import Endpoint

SPREADS = click.Choice(["weighted", "least_outstanding", "peak_ewma", "prefix"])
MAX_FILE_BYTES = 1 << 20  # an endpoint is a page


def options(function: Any) -> Any:
    """Add the options."""
    for add in reversed(
        (
            click.option(
                "--fallback",
                multiple=True,
                metavar="WHAT",
                help="An endpoint, deployment:NAME or provider:NAME/MODEL; several in their order.",
            ),
            click.option(
                "--timeout",
                multiple=True,
                metavar="PHASE=TIME",
                help="connect, first_byte, silence, total or attempt, such as first_byte=30s.",
            ),
            click.option("--balance", type=SPREADS, help="How targets are chosen."),
            click.option("--replicas", type=SPREADS, help="How a target's replicas are chosen."),
            click.option(
                "--sticky", type=click.Choice(["key", "user"]), help="What keeps to one target."
            ),
            click.option("--attempts", type=int, help="Attempts of one call, the first included."),
            click.option("--retry-percent", type=int, help="Retries it may add, in percent."),
            click.option(
                "--stream-recovery",
                type=click.Choice(["none", "continue"]),
                help="What becomes of a stream that breaks.",
            ),
            click.option("--cache", metavar="TTL", help="Keep equal answers this long; or none."),
            click.option(
                "--file", metavar="FILE", help="YAML or JSON with the API's own fields, tiers too."
            ),
        )
    ):
        function = add(function)
    return function


def changes(
    *,
    fallback: tuple[str, ...],
    timeout: tuple[str, ...],
    balance: str | None,
    replicas: str | None,
    sticky: str | None,
    attempts: int | None,
    retry_percent: int | None,
    stream_recovery: str | None,
    cache: str | None,
) -> dict[str, Any]:
    """
    Read the options into the API's fields.

    Raises:
        Misuse: One cannot be read.
    """
    found: dict[str, Any] = {}
    if fallback:
        found["fallback"] = [place(text) for text in fallback]
    if timeout:
        found["timeouts"] = dict(phase(text) for text in timeout)
    spread = given(targets=balance, replicas=replicas, sticky=sticky)
    retries = given(attempts=attempts, budget_percent=retry_percent)
    found |= given(balance=spread or None, retries=retries or None, stream_recovery=stream_recovery)
    if cache is not None:
        found["cache"] = None if cache == "none" else {"ttl": cache}
    return found


def given(**values: Any) -> dict[str, Any]:
    """Keep what is not none."""
    return {name: value for name, value in values.items() if value is not None}


def phase(text: str) -> tuple[str, str]:
    """Read `first_byte=30s`."""
    name, separator, value = text.partition("=")
    if not separator:
        raise Misuse(f"`{text}` is not PHASE=TIME", fix="write it as first_byte=30s")
    return name, value


def place(text: str) -> dict[str, str]:
    """Read one part of a fallback chain."""
    kind, separator, rest = text.partition(":")
    if not separator:
        return {"endpoint": text}
    provider, slash, model = rest.partition("/")
    if kind == "provider" and slash:
        return {"provider": provider, "model": model}
    if kind in {"deployment", "endpoint"} and rest:
        return {kind: rest}
    raise Misuse(
        f"`{text}` is no fallback",
        fix="name an endpoint, deployment:NAME or provider:NAME/MODEL",
    )


def read(file: str | None) -> dict[str, Any]:
    """
    Read a file with the API's own fields.

    Raises:
        Misuse: It cannot be read, or is no object.
    """
    if file is None:
        return {}
    try:
        text = Path(file).read_bytes()[:MAX_FILE_BYTES].decode()
        document = json.loads(text) if file.endswith(".json") else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Misuse(f"`{file}` cannot be read: {error}", fix="give a YAML or JSON file") from error
    if not isinstance(document, Mapping):
        raise Misuse(f"`{file}` is no object", fix="write the fields of the API: `targets: […]`")
    return dict(document)


def lines(endpoint: Endpoint) -> list[str]:
    """Write how an endpoint serves, where that is more than the usual."""
    document = endpoint.to_dict()
    found = []
    timeouts = document.get("timeouts") or {}
    if timeouts:
        found.append("timeouts " + ", ".join(f"{name} {text}" for name, text in timeouts.items()))
    balance = {name: value for name, value in (document.get("balance") or {}).items() if value}
    if balance and balance != {"targets": "weighted"}:
        found.append("balance " + ", ".join(f"{name} {text}" for name, text in balance.items()))
    if cache := document.get("cache"):
        found.append(f"cache {cache['ttl']}")
    if document.get("stream_recovery") == "continue":
        found.append("broken streams continue")
    if tier := document.get("tier"):
        levels = " → ".join(f"{level['name']} ({level['target']})" for level in tier["levels"])
        found.append(f"tiers {levels}, {len(tier.get('rules', ()))} rules")
    return found
