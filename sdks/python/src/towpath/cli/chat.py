"""`towpath chat`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from towpath.cli import output
from towpath.cli.group import Misuse
from towpath.cli.inference import closing_line, cost_of, naming, stopwatch
from towpath.cli.session import Session, json_option, session
from towpath.generated.client import Towpath

# A prompt from a pipe is read whole; the platform's own limit for a body is 32 MiB.
MAX_STDIN_CHARS = 32 << 20


@click.command(short_help="Talk to a model.")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", help="What the model is told before the conversation.")
@click.option("--max-tokens", type=click.IntRange(1), help="Most tokens of an answer.")
@click.option("--temperature", type=float, help="0 is the most certain answer.")
@json_option
@session
def command(
    current: Session,
    *,
    model: str,
    prompt: str | None,
    system: str | None,
    as_json: bool,
    **params: Any,
) -> None:
    """
    Talk to a model. The answer goes to stdout as it is made.

    Without a prompt: what stdin has, or a conversation at a terminal.
    """
    client = current.client()
    options = {name: value for name, value in params.items() if value is not None}
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    if prompt is None and sys.stdin.isatty():
        converse(current, client, {"model": model, "messages": messages, **options})
        return
    if prompt is None or prompt == "-":
        prompt = sys.stdin.read(MAX_STDIN_CHARS).strip()
    if not prompt:
        raise Misuse("there is no prompt", fix=f'`towpath chat {model} "…"`, or write it to stdin')
    messages.append({"role": "user", "content": prompt})
    asked: Any = {"model": model, "messages": messages, **options}
    with naming(current, client, model):
        if as_json:
            output.document(client.chat.completions.create(**asked).to_dict())
        else:
            answer(current, client, asked)


def answer(current: Session, client: Towpath, asked: dict[str, Any]) -> str:
    """Stream one answer to stdout and return it."""
    elapsed = stopwatch(current.now)
    tokens: tuple[int | None, int | None] = (None, None)
    said: list[str] = []
    stream = client.chat.completions.create(
        stream=True, stream_options={"include_usage": True}, **asked
    )
    with stream, ending_line(said):
        stream.on_comment = lambda text: output.note(f"  {output.clean(text)}")
        for chunk in stream:
            if chunk.usage is not None:
                tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            for choice in chunk.choices:
                if choice.delta.content:
                    said.append(choice.delta.content)
                    sys.stdout.write(safe(choice.delta.content))
                    sys.stdout.flush()
    cost = cost_of(client, asked["model"], stream.headers, tokens)
    closing_line(asked["model"], elapsed(), tokens, cost, stream.request_id)
    return "".join(said)


@contextmanager
def ending_line(said: list[str]) -> Iterator[None]:
    """End the answer's line, however the answer ends."""
    try:
        yield
    finally:
        if said:
            sys.stdout.write("\n")
            sys.stdout.flush()


def safe(text: str) -> str:
    """Keep a model from steering the terminal: a bare escape has no business in an answer."""
    if not sys.stdout.isatty():
        return text
    return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())


def converse(current: Session, client: Towpath, asked: dict[str, Any]) -> None:
    """Go on asking until the end of input."""
    output.note(f"Talking to {asked['model']}; Ctrl-D ends.")
    while True:
        output.note()
        sys.stderr.write(output.style("> ", "bold", sys.stderr))
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            output.note()
            return
        if not line.strip():
            continue
        asked["messages"].append({"role": "user", "content": line.strip()})
        with naming(current, client, asked["model"]):
            said = answer(current, client, asked)
        asked["messages"].append({"role": "assistant", "content": said})
