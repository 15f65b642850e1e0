"""`towpath models push`, and the card that goes with a model."""

import json
from pathlib import Path
from typing import Any

import click

from towpath import transfer
from towpath.cli import formats, output
from towpath.cli.bar import Bar
from towpath.cli.group import Misuse
from towpath.cli.models.registry import pairs_of
from towpath.cli.session import Session, json_option, session
from towpath.errors import ConfigurationError, NotFoundError
from towpath.generated.client import Towpath
from towpath.transfer import Description
from towpath.types import ModelVersion

# What the platform takes of a card.
MAX_CARD_CHARS = 200_000
CARD = """# {name}

## Description

What it does, in two sentences: what goes in, what comes out.

## Intended use

Who should use it for what, and what it is not for.

## Limitations

Where it is wrong, and what it has not been tried on.

## Training data

Where the data comes from, what time it covers, what was left out.

## Evaluation

How good it is, on which data, against what.

## Example

The request that a new version is tried with.

```json
{{"inputs": ["…"]}}
```

## Licence

The licence of the model, and those of its base and its data.
"""


@click.command(short_help="Register a file or folder as the next version.")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE|DIR")
@click.option("--name", help="Of the model; otherwise that of the file.")
@click.option("--format", help=f"One of {', '.join(formats.FORMATS)}; otherwise guessed.")
@click.option("--project", metavar="TEAM/PROJECT", help="Where a new model belongs.")
@click.option("--card", type=click.Path(path_type=Path), metavar="FILE", help="Markdown.")
@click.option("--signature", type=click.Path(path_type=Path), metavar="FILE", help="JSON.")
@click.option("--licence", help="By its SPDX name, such as Apache-2.0.")
@click.option("--tag", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--base-model", metavar="TEXT", help="What it was made from.")
@click.option("--dataset", metavar="TEXT", help="What it was trained on.")
@click.option("--run", metavar="TEXT", help="Of the training: its id or URL.")
@json_option
@session
def push(current: Session, *, source: Path, as_json: bool, **given: Any) -> None:
    """
    Register a file or folder as the next version of a model.

    Only what is missing is sent. Hidden files stay here.
    """
    made = sent(
        current,
        current.client(),
        given["name"] or formats.model_name(source),
        source,
        described(source, given),
    )
    written(made, as_json=as_json)


def described(source: Path, given: dict[str, Any]) -> Description:
    """
    Read what is said of a version.

    Raises:
        Misuse: The format cannot be guessed.
        ConfigurationError: Card or signature cannot be read.
    """
    form = given["format"] or formats.guess(source)
    if form is None and source.exists():
        raise Misuse(
            f"what {source} is cannot be told by its name",
            fix=f"say it: --format, one of {', '.join(formats.FORMATS)}",
        )
    lineage = {name: given[name] for name in ("base_model", "dataset", "run") if given[name]}
    return Description(
        format=form or "",
        project=given["project"],
        signature=_json(given["signature"]) if given["signature"] else None,
        card=_text(given["card"]) if given["card"] else None,
        licence=given["licence"],
        lineage=lineage,
        tags=pairs_of(given["tag"]),
    )


def sent(
    current: Session, client: Towpath, name: str, source: Path, about: Description
) -> ModelVersion:
    """
    Send a model with a progress bar.

    Raises:
        TowpathError: It was not registered.
    """
    files = transfer.local_files(source)
    bar = Bar("sent", sum(file.size for file in files), current.now)
    output.note(f"{source} → models:/{name}")
    try:
        made = transfer.push(client, name, source, about, report=bar)
    except NotFoundError as error:
        bar.clear()
        if about.project is None:
            error.fix = "when the model is new, say where it belongs: `--project TEAM/PROJECT`"
        raise
    except BaseException:
        bar.clear()
        raise
    bar.end()
    return made


def written(made: ModelVersion, *, as_json: bool) -> None:
    """Print the new version, and what to do with it."""
    if as_json:
        output.document(made.to_dict())
        return
    output.data(made.uri)
    output.note(
        f"Next: `uri: {made.uri}` in a manifest, or "
        f'`towpath models alias {made.model} candidate {made.version} --reason "…"`'
    )


@click.command(short_help="Write a card to fill in.")
@click.argument("name")
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path),
    default=Path("card.md"),
    show_default=True,
    metavar="FILE",
)
def card(name: str, target: Path) -> None:
    """Write a model card with the usual headings, to fill in and to push with --card."""
    if target.exists():
        raise ConfigurationError(f"{target} is there already", fix="name another: --output FILE")
    target.write_text(CARD.format(name=name), encoding="utf-8")
    output.data(str(target))
    output.note(f"Fill it in, then: `towpath models push FILE --name {name} --card {target}`")


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text", fix="save it as UTF-8") from error
    if len(text) > MAX_CARD_CHARS:
        raise ConfigurationError(
            f"{path} has more than {MAX_CARD_CHARS:,} characters", fix="name the card"
        )
    return text


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is not JSON: {error}", fix="correct it, or leave --signature out"
        ) from error
