"""`towpath models import`."""

import re
import tempfile
from pathlib import Path
from typing import Any

import click

from towpath.auth import environment
from towpath.cli import formats, output
from towpath.cli.bar import Bar
from towpath.cli.group import Misuse
from towpath.cli.models import mlflow
from towpath.cli.models.mlflow import Remote, Tracking
from towpath.cli.models.push import sent, written
from towpath.cli.session import Session, json_option, session
from towpath.transfer import Description
from towpath.types import ModelVersion

_SOURCE = re.compile(r"mlflow:/{0,2}(?P<name>[^/@]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))")
# Of MLflow's own tags those stay behind that say how its server works.
_TAG = re.compile(r"(?!mlflow\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_MAX_TAG_CHARS = 256


@click.command("import", short_help="Take over a registered model of MLflow.")
@click.argument("source", metavar="mlflow:NAME/VERSION|mlflow:NAME@ALIAS")
@click.option("--tracking-uri", metavar="URL", help="Otherwise MLFLOW_TRACKING_URI.")
@click.option("--name", help="Of the model here; otherwise MLflow's.")
@click.option("--project", metavar="TEAM/PROJECT", help="Where a new model belongs.")
@click.option("--licence", help="By its SPDX name, such as Apache-2.0.")
@json_option
@session
def import_(
    current: Session,
    *,
    source: str,
    tracking_uri: str | None,
    as_json: bool,
    **given: str | None,
) -> None:
    """
    Take over a registered model of MLflow, with its run, tags and signature.

    An ONNX model, and a scikit-learn model that was saved with skops, are registered
    as such; every other one as a folder of MLflow, which may carry code.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise Misuse(
            f"`{source}` does not name a registered model of MLflow",
            fix="write `mlflow:NAME/3` or `mlflow:NAME@champion`",
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
        signature=mlflow.signature(model),
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
