"""`towpath doctor`: every step of a call, tried one by one, each with its fix."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import click

from towpath import auth
from towpath.cli import health, login, output
from towpath.cli.session import Session, json_option, session
from towpath.errors import APIConnectionError, APIError, ConfigurationError, TowpathError

# Larger differences make expiries and logs hard to believe.
MAX_SKEW_S = 30


@dataclass(frozen=True)
class Check:
    """What was tried, whether it is well, and what to do when it is not."""

    name: str
    ok: bool
    detail: str
    fix: str | None = None


@click.command(short_help="Find out why it does not work from here.")
@json_option
@session
def command(current: Session, as_json: bool) -> int:
    """Try every step of a call from here, and say what to do about the first that fails."""
    checks = list(examine(current))
    good = all(check.ok for check in checks)
    if as_json:
        output.document({"ok": good, "checks": [asdict(check) for check in checks]})
        return 0 if good else 1
    for check in checks:
        mark = output.style("✓", "green") if check.ok else output.style("✗", "red")
        output.data(f"{mark} {check.name:<14} {output.clean(check.detail)}")
        if check.fix:
            output.data(f"  {'':<14} fix: {output.clean(check.fix)}")
    output.note()
    bad = sum(not check.ok for check in checks)
    output.note("All is well. Next: `towpath models`" if good else f"{bad} to be repaired.")
    return 0 if good else 1


def examine(current: Session) -> Iterator[Check]:
    """Yield checks in the order of a call; what depends on one that failed is left out."""
    try:
        credentials = current.credentials()
    except ConfigurationError as error:
        yield Check("configuration", ok=False, detail=error.message, fix=error.fix)
        credentials = None
    else:
        source = f"profile `{credentials.profile}`" if credentials.profile else "the environment"
        yield Check("configuration", ok=True, detail=f"{source} ({auth.config_path()})")
    try:
        address = (credentials or current.credentials(keyless=True)).address
    except ConfigurationError:
        return  # said already
    try:
        client = current.client(keyless=True, timeout=10, max_retries=0)
        _, headers = client.call("GET", "/healthz")
    except APIConnectionError as error:
        yield Check("address", ok=False, detail=error.message, fix=error.fix)
        return
    except TowpathError as error:
        fix = error.fix or "`towpath login` with the address of Towpath"
        yield Check("address", ok=False, detail=error.message, fix=fix)
        return
    yield Check("address", ok=True, detail=address)
    yield clock(headers.get("date"))
    state = client.health()
    because = "; ".join(health.reasons(state))
    fix = (
        None
        if state.ready
        else "wait while models load; its log is in the data folder, under `logs/`"
    )
    yield Check("platform", ok=state.ready, detail="ready" if state.ready else because, fix=fix)
    if credentials is not None:
        yield from key(current, credentials)


def clock(date: str | None) -> Check:
    """Compare this machine's clock with the platform's."""
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return Check("clock", ok=True, detail="the platform does not tell its time")
    skew = abs((datetime.now(UTC) - theirs).total_seconds())
    if skew <= MAX_SKEW_S:
        return Check("clock", ok=True, detail="agrees with the platform's")
    return Check(
        "clock",
        ok=False,
        detail=f"differs by {skew:.0f} s from the platform's",
        fix="synchronise it: NTP",
    )


def key(current: Session, credentials: auth.Credentials) -> Iterator[Check]:
    """Try the key, and what it may call."""
    client = current.client(max_retries=0)
    try:
        kind = login.try_key(client, credentials.api_key)
    except APIError as error:
        fix = error.fix or "`towpath login` with another key"
        yield Check("key", ok=False, detail=error.message, fix=fix)
        return
    yield Check("key", ok=True, detail=f"{kind}, accepted")
    found = health.deployments(current) or []
    waiting = [one for one in found if not one.answers]
    for one in waiting:
        yield Check(
            "deployment",
            ok=False,
            detail=f"{one.name} is {one.phase}: {health.because(one)}",
            fix=f"`towpath deployments show {one.id}`, `towpath logs {one.name}`",
        )
    if not waiting:
        yield Check("deployments", ok=True, detail=f"{len(found)} ready")
