"""The registry: models that may be deployed, and their versions."""

from typing import Any

import click

from towpath.cli import listing, output
from towpath.cli.group import Misuse
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session
from towpath.transfer import resolve
from towpath.types import ModelVersion, RegisteredModel

VERSION_COLUMNS = (
    Column("uri"),
    Column("format"),
    Column("size", right=True),
    Column("made"),
    Column("digest", flexible=True),
)


@click.command(short_help="List or search the registry.")
@click.option("--search", metavar="WORDS", help="In name and description.")
@click.option("--tag", multiple=True, metavar="KEY[=VALUE]", help="Of model or version.")
@click.option("--format", help="Of any version: onnx, gguf, …")
@click.option("--licence", help="Of any version, by its SPDX name.")
@limit_option
@json_option
@session
def registered(current: Session, *, limit: int, as_json: bool, **wanted: Any) -> None:
    """List or search the registry: models that you may deploy."""
    filters = listing.changes(**wanted)
    listing.page(
        current.client().registry.list(limit=limit, **filters),
        [
            Column("model"),
            Column("newest", right=True),
            Column("visible to"),
            Column("changed"),
            Column("tags", flexible=True),
            Column("description", flexible=True),
        ],
        row,
        as_json=as_json,
        empty="No registered model is like that: `towpath models registered`"
        if filters
        else "Nothing is registered yet: `towpath models push FILE`",
        then="One of them: `towpath models show NAME`",
    )


def row(one: RegisteredModel) -> list[str]:
    """Write one model."""
    return [
        one.name,
        output.number(one.latest_version),
        one.visibility,
        output.ago(one.updated_at),
        tags(one.tags),
        one.description or "–",
    ]


def tags(found: dict[str, str]) -> str:
    """Write tags."""
    return ", ".join(f"{key}={value}" if value else key for key, value in found.items()) or "–"


@click.command(short_help="List the versions of a model.")
@click.argument("model")
@limit_option
@json_option
@session
def versions(current: Session, model: str, limit: int, as_json: bool) -> None:
    """List the versions of a registered model, oldest first."""
    listing.page(
        current.client().registry.versions(model, limit=limit),
        VERSION_COLUMNS,
        version_row,
        as_json=as_json,
        empty=f"`{model}` has no version yet: `towpath models push FILE --name {model}`",
        then="Deploy one: name its uri in `spec.model.uri` of a manifest",
    )


def version_row(one: ModelVersion) -> list[str]:
    """Write one version."""
    size = output.bytes_size(one.size)
    return [one.uri, one.format, size, output.ago(one.created_at), one.digest]


@click.command(short_help="Show a version: where it comes from, what it takes.")
@click.argument("ref", metavar="NAME[@ALIAS|/N]")
@click.option("--card", "with_card", is_flag=True, help="Print its card.")
@json_option
@session
def show(current: Session, ref: str, with_card: bool, as_json: bool) -> None:
    """Show a version of a model: the newest, one by its number, or one by an alias."""
    client = current.client()
    version = resolve(client, ref)
    if as_json:
        output.document(version.to_dict())
        return
    if with_card:
        if version.card:
            output.data(version.card)
        else:
            output.note(f"{version.uri} has no card: `towpath models card {version.model}`")
        return
    model = client.registry.get(version.model)
    pointers = [one.alias for one in client.registry.aliases(version.model)
                if one.version == version.version]  # fmt: skip
    for name, value in described(model, version, pointers):
        output.data(f"{name:<11}  {output.clean(value)}")
    output.note()
    output.note(f"Bring it here: `towpath models pull {version.model}/{version.version}`")


def described(
    model: RegisteredModel, version: ModelVersion, aliases: list[str]
) -> list[tuple[str, str]]:
    """Return what a person wants to know of a version, line by line."""
    lineage = {name: value for name, value in version.lineage.items() if name != "details"}
    files = "1 file" if len(version.files) == 1 else f"{len(version.files):,} files"
    lines = [
        ("uri", version.uri),
        ("aliases", ", ".join(aliases)),
        ("description", model.description or ""),
        ("format", version.format),
        ("size", f"{output.bytes_size(version.size)} in {files}"),
        ("digest", version.digest),
        ("made", output.ago(version.created_at)),
        ("licence", version.licence or ""),
        ("inputs", tensors(version, "inputs")),
        ("outputs", tensors(version, "outputs")),
        *((name.replace("_", " "), str(value)) for name, value in lineage.items()),
        ("tags", tags({**model.tags, **version.tags}) if model.tags or version.tags else ""),
        ("card", "yes: `--card` prints it" if version.card else ""),
    ]
    return [(name, value) for name, value in lines if value]


def tensors(version: ModelVersion, side: str) -> str:
    """Write the inputs or outputs of a signature."""
    found = (version.signature or {}).get(side, [])
    return ", ".join(
        f"{one['name']} {one['datatype']}[{', '.join(map(str, one['shape']))}]" for one in found
    )


@click.command(short_help="Change the tags of a model or a version.")
@click.argument("ref", metavar="NAME[@ALIAS|/N]")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--without", multiple=True, metavar="KEY", help="Take a tag away.")
@json_option
@session
def tag(
    current: Session, ref: str, pairs: tuple[str, ...], without: tuple[str, ...], as_json: bool
) -> None:
    """Change the tags of a model, or of one of its versions."""
    changes: dict[str, str | None] = {**pairs_of(pairs), **dict.fromkeys(without)}
    if not changes:
        raise Misuse("no tag to change", fix=f"`towpath models tag {ref} stage=trial`")
    client = current.client()
    made: ModelVersion | RegisteredModel
    if set(ref.removeprefix("models:/")) & {"/", "@"}:
        version = resolve(client, ref)
        made = client.registry.tag_version(version.model, version.version, tags=changes)
    else:
        made = client.registry.update(ref, tags=changes)
    if as_json:
        output.document(made.to_dict())
    else:
        output.data(f"{ref}: {tags(made.tags)}")


def pairs_of(given: tuple[str, ...]) -> dict[str, str]:
    """Read `key=value`; a key alone has an empty value."""
    return {key: value for key, _, value in (one.partition("=") for one in given)}


@click.command(short_help="Delete a model with all its versions.")
@click.argument("model")
@json_option
@session
def delete(current: Session, model: str, as_json: bool) -> None:
    """Delete a model with all its versions; one that is deployed stays."""
    current.client().registry.delete(model)
    listing.removed(model, f"Deleted `{model}` with its versions.", as_json=as_json)
