"""Lists and single resources, written the same way for every noun."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from towpath.cli import output
from towpath.cli.output import Column
from towpath.generated.paging import Pages
from towpath.model import Model


def page(
    pages: Pages[Any],
    columns: Sequence[Column],
    row: Callable[[Any], Sequence[str]],
    *,
    as_json: bool,
    empty: str,
    then: str,
) -> None:
    """
    Write one page of a list.

    Args:
        empty: Said when there is nothing, with what to do about it.
        then: What to do next.
    """
    first = pages.first()
    if as_json:
        output.document(first.document)
        return
    if not first.items:
        output.note(empty)
        return
    output.table(columns, [row(item) for item in first.items])
    output.note()
    if first.next is not None:
        output.note(f"There are more than these {len(first.items)}: raise --limit.")
    output.note(then)


def resource(
    one: Model, *, as_json: bool, fields: Sequence[str] | None = None, then: str | None = None
) -> None:
    """Write one resource: its fields in the API's order, or those that are named."""
    document = one.to_dict()
    if as_json:
        output.document(document)
        return
    names = [name for name in (fields or document) if document.get(name) is not None]
    room = max((len(name) for name in names), default=0)
    for name in names:
        output.data(f"{name.ljust(room)}  {output.clean(written(document[name]))}")
    applied(one)
    if then:
        output.note()
        output.note(then)


def removed(ref: str, said: str, *, as_json: bool) -> None:
    """
    Say that something is gone; the API answers with nothing, a program still wants a document.

    Args:
        ref: What the caller called it.
        said: The sentence for a person.
    """
    if as_json:
        output.document({"id": ref, "deleted": True})
    else:
        output.note(said)


def applied(one: Model) -> None:
    """Say so when not every gateway has heard of a change yet."""
    if one.response_headers.get("x-towpath-applied") == "pending":
        output.note("Not every gateway has it yet; each takes it as soon as it can be reached.")


def written(value: Any) -> str:
    """Write a value of a document for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {written(inner)}" for name, inner in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(written(inner) for inner in value) or "–"
    return "–" if value is None else str(value)


def changes(**given: Any) -> dict[str, Any]:
    """Keep what was given on the command line."""
    return {name: value for name, value in given.items() if value is not None and value != ()}
