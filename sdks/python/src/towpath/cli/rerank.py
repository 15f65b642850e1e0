"""`towpath rerank`."""

import click

from towpath.cli import output
from towpath.cli.group import Misuse
from towpath.cli.inference import closing_line, cost_of, naming, stopwatch
from towpath.cli.predict import read_lines
from towpath.cli.session import Session, json_option, session


@click.command(short_help="Order documents by how well they answer.")
@click.argument("model")
@click.argument("query")
@click.argument("documents", nargs=-1)
@click.option("--top", "top_n", type=click.IntRange(min=1), help="At most so many.")
@json_option
@session
def command(
    current: Session,
    *,
    model: str,
    query: str,
    documents: tuple[str, ...],
    top_n: int | None,
    as_json: bool,
) -> None:
    """
    Order documents by how well they answer QUERY: score and text, the best first.

    Without documents they are the lines of stdin.
    """
    given = list(documents) or read_lines()
    if not given:
        fix = f'`towpath rerank {model} "…" "…" "…"`, or lines on stdin'
        raise Misuse("there is no document", fix=fix)
    client = current.client()
    elapsed = stopwatch(current.now)
    with naming(current, client, model):
        made = client.rerank(model, query, given, top_n=top_n)
    if as_json:
        output.document(made.to_dict())
        return
    for one in made.results:
        known = 0 <= one.index < len(given)
        output.data(f"{one.relevance_score:.4f}\t{given[one.index] if known else one.index}")
    usage = made.usage
    tokens = ((usage.prompt_tokens or usage.total_tokens) if usage else None, None)
    cost = cost_of(client, model, made.response_headers, tokens)
    closing_line(model, elapsed(), tokens, cost, made.response_headers.get("x-request-id"))
