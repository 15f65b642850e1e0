"""`towpath transcribe`."""

from pathlib import Path
from typing import Any

import click

from towpath.cli import output
from towpath.cli.inference import closing_line, cost_of, naming, stopwatch
from towpath.cli.session import Session, json_option, session


@click.command(short_help="Write down what is said in a file.")
@click.argument("model")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--language", help="What is spoken, as `en`; default: the model finds out.")
@click.option("--prompt", help="Names and words that may come.")
@click.option("--format", "form", type=click.Choice(["text", "srt", "vtt"]), help="Or subtitles.")
@json_option
@session
def command(
    current: Session,
    *,
    model: str,
    file: Path,
    language: str | None,
    prompt: str | None,
    form: str | None,
    as_json: bool,
) -> None:
    """Write down what is said in FILE."""
    given: dict[str, Any] = {"language": language, "prompt": prompt, "response_format": form}
    client = current.client()
    elapsed = stopwatch(current.now)
    with naming(current, client, model):
        made = client.audio.transcriptions.create(
            model=model, file=file, **{name: value for name, value in given.items() if value}
        )
    if as_json:
        output.document(made.to_dict())
        return
    output.data(made.text.strip("\n"))
    usage = made.usage
    tokens = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    cost = cost_of(client, model, made.response_headers, tokens) if any(tokens) else None
    closing_line(model, elapsed(), tokens, cost, made.response_headers.get("x-request-id"))
