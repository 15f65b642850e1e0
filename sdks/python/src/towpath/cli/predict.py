"""`towpath predict`."""

import json
import sys
from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse
from towpath.cli.inference import closing_line, naming, stopwatch
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, session


@click.command(short_help="Ask any model, by its signature.")
@click.argument("model")
@click.argument("inputs", nargs=-1)
@click.option("--version", type=click.IntRange(1), help="Exactly this version.")
@click.option("--text", is_flag=True, help="Take inputs as text, whatever they look like.")
@click.option("--parameters", metavar="JSON", help="Parameters of the model.")
@json_option
@session
def command(
    current: Session,
    *,
    model: str,
    inputs: tuple[str, ...],
    version: int | None,
    text: bool,
    parameters: str | None,
    as_json: bool,
) -> None:
    """
    Ask any model, by its signature: one prediction per input.

    An input is a text, a number, or a JSON object by input name. Without inputs
    they are the lines of stdin.
    """
    given = list(inputs) or read_lines()
    if not given:
        raise Misuse("there is no input", fix=f'`towpath predict {model} "…"`, or lines on stdin')
    values = given if text else [read_input(one) for one in given]
    client = current.client()
    elapsed = stopwatch(current.now)
    with naming(current, client, model):
        made = client.predict(
            model, values, version=version, parameters=read_parameters(parameters)
        )
    if as_json:
        output.document(made.to_dict())
        return
    names = sorted({name for one in made.outputs for name in one})
    rows = [
        [output.shortened(source, 40), *(written(one.get(name)) for name in names)]
        for source, one in zip(given, made.outputs, strict=False)
    ]
    output.table([Column("input", flexible=True), *(Column(name) for name in names)], rows)
    served = f"{made.model.name}@{made.model.version}" if made.model.version else made.model.name
    used = (made.usage.input_tokens if made.usage else None, None)
    closing_line(served, elapsed(), used, None, made.request_id)


def read_input(text: str) -> Any:
    """Take a JSON object, array or number for what it is, and everything else for text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list | int | float) else text


def read_parameters(text: str | None) -> dict[str, Any] | None:
    """
    Read `--parameters`.

    Raises:
        Misuse: It is not a JSON object.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Misuse("`--parameters` is not a JSON object", fix="write it like '{\"top_k\": 3}'")
    return value


def read_lines() -> list[str]:
    """Return the lines of stdin; none at a terminal."""
    if sys.stdin.isatty():
        return []
    return [line.rstrip("\n") for line in sys.stdin if line.strip()]


def written(value: Any) -> str:
    """Write an output for a person."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        shown = ", ".join(written(one) for one in value[:4])
        return f"[{shown}{', …' if len(value) > 4 else ''}]"
    return listing.written(value)
