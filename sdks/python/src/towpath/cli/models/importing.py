"""`towpath models import`."""

import re
import tempfile
from pathlib import Path
from typing import Any

import click

from towpath.auth import environment
from towpath.cli import fetching, formats, listing, output
from towpath.cli.bar import Bar
from towpath.cli.group import Misuse
from towpath.cli.models import mlflow
from towpath.cli.models.mlflow import Remote, Tracking
from towpath.cli.models.push import sent, written
from towpath.cli.session import Session, json_option, session
from towpath.generated.client import Towpath
from towpath.transfer import Description
from towpath.types import Import, ModelVersion

_SOURCE = re.compile(r"mlflow:/{0,2}(?P<name>[^/@]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))")
# Of MLflow's own tags those stay behind that say how its server works.
_TAG = re.compile(r"(?!mlflow\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_MAX_TAG_CHARS = 256


@click.command("import", short_help="Bring a model from the Hub, a bucket, MLflow.")
@click.argument("source", metavar="URI")
@click.option("--tracking-uri", metavar="URL", help="Of MLflow; otherwise MLFLOW_TRACKING_URI.")
@click.option("--name", help="Of the model here; otherwise as it is called there.")
@click.option("--project", metavar="TEAM/PROJECT", help="Where a new model belongs.")
@click.option("--licence", help="By its SPDX name, such as Apache-2.0.")
@click.option("--format", "form", help="Of what is fetched; otherwise told by the files' names.")
@click.option("--no-wait", is_flag=True, help="Do not watch it come.")
@json_option
@session
def import_(
    current: Session,
    *,
    source: str,
    tracking_uri: str | None,
    form: str | None,
    no_wait: bool,
    as_json: bool,
    **given: str | None,
) -> None:
    """
    Bring a model from elsewhere into the registry.

    The platform fetches hf://OWNER/NAME[:REVISION], oci://REGISTRY/REPOSITORY[:TAG],
    s3://BUCKET/PREFIX and https://HOST/FILE#sha256=…, and goes on when you stop
    watching.

    mlflow:NAME/VERSION and mlflow:NAME@ALIAS are fetched from here, with run, tags
    and signature. An ONNX model, and a scikit-learn model that was saved with skops,
    are registered as such; every other one as a folder of MLflow, which may carry
    code.
    """
    if fetching.is_outside(source):
        brought(current, source, {**given, "format": form}, wait=not no_wait, as_json=as_json)
        return
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise Misuse(
            f"`{source}` names no model outside",
            fix="write `hf://OWNER/NAME`, `oci://…`, `s3://…`, `https://…#sha256=…` or "
            "`mlflow:NAME/3`",
        )
    uri = tracking_uri or environment().get("MLFLOW_TRACKING_URI")
    if not uri:
        raise Misuse(
            "no tracking server is named", fix="`--tracking-uri URL`, or MLFLOW_TRACKING_URI"
        )
    tracking = Tracking(uri)
    try:
        remote = tracking.find(match["name"], version=match["version"], alias=match["alias"])
        with tempfile.TemporaryDirectory(prefix="towpath-mlflow-") as folder:
            fetched(current, tracking, remote, Path(folder))
            made = registered(current, remote, Path(folder), given)
    finally:
        tracking.close()
    written(made, as_json=as_json)


def brought(
    current: Session, uri: str, given: dict[str, str | None], *, wait: bool, as_json: bool
) -> None:
    """Have the platform bring a model, and watch it come."""
    name = given.pop("name") or fetching.name_of(uri)
    client = current.client()
    begun = client.imports.create(name, uri=uri, **listing.changes(**given))
    if not wait:
        listing.resource(begun, as_json=as_json, then=f"See: `towpath imports show {begun.id}`")
        return
    output.note(f"{uri} → models:/{name}")
    found = watched(current, client, begun)
    version = client.registry.version(found.model, found.version or 0)
    written(version, as_json=as_json)


def watched(current: Session, client: Towpath, begun: Import) -> Import:
    """
    Show how far an import is, until it has ended.

    Raises:
        TowpathError: It failed; the error has its fix.
    """
    bar: Bar | None = None
    counted = 0

    def show(found: Import) -> None:
        nonlocal bar, counted
        if bar is None and found.bytes.total:
            bar = Bar("received", found.bytes.total, current.now)
        if bar is not None:
            bar("received", fetching.said(found), max(found.bytes.done - counted, 0))
            counted = max(found.bytes.done, counted)

    try:
        found = fetching.ended(current, client, begun.id, show)
    except BaseException:
        if bar is not None:
            bar.clear()
        raise
    if bar is not None:
        show(found)
        bar.end()
    return found


def fetched(current: Session, tracking: Tracking, remote: Remote, folder: Path) -> None:
    """Bring all files of a model into a folder."""
    files = tracking.files(remote)
    bar = Bar("received", sum(file.size for file in files), current.now)
    output.note(f"{remote.uri} → here")
    try:
        for file in files:
            path = file.path
            tracking.fetch(remote, file, folder, lambda n, path=path: bar("received", path, n))
    except BaseException:
        bar.clear()
        raise
    bar.end()


def registered(
    current: Session, remote: Remote, folder: Path, given: dict[str, str | None]
) -> ModelVersion:
    """
    Register what was brought here.

    Raises:
        ConfigurationError: It is not a model folder of MLflow.
    """
    described = folder / "MLmodel"
    model = mlflow.described(described.read_text("utf-8") if described.is_file() else "")
    form, only = mlflow.served_as(model)
    details: dict[str, Any] = {
        "flavours": sorted(model["flavors"]),
        "tags": dict(remote.tags),
        "metrics": dict(remote.metrics),
        "mlflow": model.get("mlflow_version"),
        "description": remote.description,
    }
    about = Description(
        format=form,
        project=given["project"],
        # Of an ONNX file, MLflow tells the columns of the table that its own wrapper takes.
        signature=None if form == "onnx" else mlflow.signature(model),
        licence=given["licence"],
        lineage={
            **({"run": remote.run} if remote.run else {}),
            "source": remote.uri,
            "details": {name: value for name, value in details.items() if value},
        },
        tags={
            key: value
            for key, value in remote.tags.items()
            if _TAG.fullmatch(key) and len(value) <= _MAX_TAG_CHARS
        },
    )
    name = given["name"] or formats.slug(remote.name)
    source = folder / only if only is not None else folder
    return sent(current, current.client(), name, source, about)
