"""What `chat`, `predict` and `embed` share: the name that was meant, and the line at the end."""

import difflib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from towpath.cli import output
from towpath.cli.session import Session
from towpath.errors import NotFoundError, TowpathError
from towpath.generated.client import Towpath

_UNKNOWN = frozenset({"model_not_found", "endpoint_not_found"})


@contextmanager
def naming(current: Session, client: Towpath, model: str) -> Iterator[None]:
    """
    Turn "no such model" into the nearest name that exists.

    Raises:
        NotFoundError: With the nearest name as its fix.
    """
    try:
        yield
    except NotFoundError as error:
        if error.code not in _UNKNOWN:
            raise
        near: list[str] = []
        with suppress(TowpathError):
            near = difflib.get_close_matches(
                model, [one.id for one in client.models.list()], 1, 0.6
            )
        hint = f"did you mean `{near[0]}`?  " if near else ""
        where = place(current)
        raise NotFoundError(
            f"no endpoint called `{model}`{where} that you may use",
            status=error.status,
            code=error.code,
            fix=f"{hint}list: `towpath models`",
            request_id=error.request_id,
        ) from error


def place(current: Session) -> str:
    """Say in which environment a key calls, by its first letters."""
    word = current.credentials().api_key.split("_")
    known = {"sandbox", "staging", "production"}
    return f" in {word[1]}" if len(word) > 2 and word[1] in known else ""


def closing_line(
    model: str,
    seconds: float,
    tokens: tuple[int | None, int | None],
    cost: str | None,
    id_: str | None,
) -> None:
    """Write what a call took, used and cost to stderr."""
    counted = [
        f"{count} {side}"
        for count, side in zip(tokens, ("in", "out"), strict=True)
        if count is not None
    ]
    parts = [model, f"{seconds:.1f} s", ", ".join(counted), cost, id_]
    line = " · ".join(part for part in parts if part)
    output.note(output.style(line.rjust(output.WIDTH), "dim", sys.stderr))


def cost_of(
    client: Towpath, model: str, headers: Mapping[str, str], tokens: tuple[int | None, int | None]
) -> str | None:
    """Write what a call cost: as the platform says, or by its price; none where there is none."""
    with suppress(TowpathError, ValueError, KeyError):
        price = client.with_options(max_retries=0).models.get(model).price
        if price is None:
            return None
        said = headers.get("x-towpath-cost-nano")
        if said is not None:
            return output.money(int(said), price.currency)
        nano = (tokens[0] or 0) * price.input_nano_per_million
        nano += (tokens[1] or 0) * price.output_nano_per_million
        return output.money((nano + 500_000) // 1_000_000, price.currency)
    return None


def stopwatch(now: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Start measuring; each call returns the seconds since."""
    began = now()
    return lambda: now() - began
