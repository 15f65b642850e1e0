"""`towpath embed`."""

import json

import click

from towpath.cli import output
from towpath.cli.group import Misuse
from towpath.cli.inference import closing_line, cost_of, naming, stopwatch
from towpath.cli.predict import read_lines
from towpath.cli.session import Session, json_option, session


@click.command(short_help="Turn texts into vectors.")
@click.argument("model")
@click.argument("texts", nargs=-1)
@json_option
@session
def command(current: Session, model: str, texts: tuple[str, ...], as_json: bool) -> None:
    """
    Turn texts into vectors: one JSON array per text, in their order.

    Without texts they are the lines of stdin.
    """
    given = list(texts) or read_lines()
    if not given:
        raise Misuse("there is no text", fix=f'`towpath embed {model} "…"`, or lines on stdin')
    client = current.client()
    elapsed = stopwatch(current.now)
    with naming(current, client, model):
        made = client.embeddings.create(model=model, input=given)
    if as_json:
        output.document(made.to_dict())
        return
    for one in made.data:
        output.data(json.dumps(one.embedding))
    tokens = (made.usage.prompt_tokens if made.usage else None, None)
    cost = cost_of(client, model, made.response_headers, tokens)
    closing_line(model, elapsed(), tokens, cost, made.response_headers.get("x-request-id"))
