"""`towpath deploy FILE`: upload what is local, hand in the manifest, watch it become ready."""

from pathlib import Path
from typing import Any

import click

from towpath import transfer
from towpath.cli import fetching, output
from towpath.cli import findings as remarks
from towpath.cli import manifest as manifests
from towpath.cli.deployments import verb
from towpath.cli.manifest import Manifest
from towpath.cli.progress import Steps
from towpath.cli.session import Session, environment_option, json_option, session
from towpath.errors import APIStatusError, TowpathError
from towpath.generated.client import Towpath
from towpath.types import Condition, Deployment, DeploymentCheck, Environment

POLL_S = 0.25
PATHS = {
    "chat": "/v1/chat/completions",
    "embed": "/v1/embeddings",
    "rerank": "/v1/rerank",
    "transcribe": "/v1/audio/transcriptions",
    "predict": "/v1/models/{name}/predict",
}


@click.command(short_help="Deploy a model from its manifest.")
@click.argument(
    "file", type=click.Path(path_type=Path), default=Path("towpath.yaml"), metavar="[FILE]"
)
@environment_option("sandbox")
@click.option("--dry-run", is_flag=True, help="Check only; what is local is uploaded.")
@click.option("--no-wait", is_flag=True, help="Do not watch it become ready.")
@click.option(
    "--timeout",
    type=click.IntRange(1),
    default=900,
    show_default=True,
    help="Seconds to watch; it goes on without you.",
)
@json_option
@session
def command(
    current: Session,
    *,
    file: Path,
    environment: Environment,
    dry_run: bool,
    no_wait: bool,
    timeout: int,
    as_json: bool,
) -> int:
    """
    Deploy a model from its manifest (towpath.yaml in this folder otherwise).

    A model named by `file:` is uploaded by digest; what is there already is not
    sent again. One named by `hf:`, `oci:`, `s3:` or `https:` is fetched by the
    platform, which goes on when you stop watching. All that is wrong is said at
    once, before anything is changed.
    """
    manifest = manifests.read(file)
    client = current.client()
    steps = Steps(current.now)
    output.note(f"{manifest.name or file} → {environment}")
    document = manifest.document
    if manifest.uri.startswith("file:"):
        document = manifest.with_uri(upload(client, manifest, steps))
    try:
        if dry_run:
            checked = client.deployments.check(manifest=document, environment=environment)
            return would_do(manifest, checked, steps, as_json=as_json)
        made = fetching.deploy(current, client, document, environment, steps)
    except APIStatusError as error:
        if not error.findings:
            raise
        return refused(manifest, environment, error, as_json=as_json)
    if not as_json and made.warnings:
        remarks.warned(manifest, made.warnings)
        output.note()
    if not no_wait:
        made = watch(current, client, made, steps, timeout)
    return finish(made, client.address, as_json=as_json)


def would_do(manifest: Manifest, checked: DeploymentCheck, steps: Steps, *, as_json: bool) -> int:
    """Say what a manifest would come to."""
    if as_json:
        output.document(checked.to_dict())
        return 0
    steps.done("Checked", checked.message)
    remarks.warned(manifest, checked.warnings or ())
    output.note()
    output.note("Nothing was changed. Next: the same without `--dry-run`")
    return 0


def upload(client: Towpath, manifest: Manifest, steps: Steps) -> str:
    """
    Register the local files as a version, and return its URI.

    Raises:
        TowpathError: The files or the upload are not in order; nothing was registered.
    """
    if not manifest.name or not manifest.format:
        missing = "/metadata/name" if not manifest.name else "/spec/model/format"
        raise TowpathError(
            f"{manifest.where(missing)}: a model that is uploaded needs its name and its format",
            fix="set `metadata.name` and `spec.model.format` (gguf, onnx)",
        )
    files = manifests.model_files(manifest)
    size = sum(file.size for file in files)
    counted = 0

    def report(doing: str, path: str, count: int) -> None:
        nonlocal counted
        counted += count if doing != "read" else 0
        what = "reading" if doing == "read" else "sending"
        sizes = f"{output.bytes_size(counted)} of {output.bytes_size(size)}"
        steps.waiting("Uploaded", f"{what} {path}, {sizes}")

    listed = transfer.send(client, files, report=report)
    more: dict[str, Any] = manifests.companions(manifest)
    if manifest.project:
        more["project"] = manifest.project
    version = client.registry.create_version(
        manifest.name, format=manifest.format, files=listed, **more
    )
    steps.done("Uploaded", f"{version.digest[:19]}… {output.bytes_size(size)} as {version.uri}")
    return version.uri


def watch(
    current: Session, client: Towpath, made: Deployment, steps: Steps, timeout: int
) -> Deployment:
    """Write conditions as they settle, until the deployment is over or the time is."""
    end = current.now() + timeout
    while True:
        for condition in made.conditions:
            if not steps.condition(condition):
                break
        if over(made) or current.now() >= end:
            steps.clear()
            return made
        current.sleep(POLL_S)
        made = client.deployments.get(made.id)


def over(made: Deployment) -> bool:
    """Tell whether there is nothing more to wait for."""
    if given_up(made) is not None:
        return True
    if made.answers:
        return made.serving_revision == made.revision
    return made.phase == "Failed" or (made.phase == "Degraded" and trouble(made) is not None)


def given_up(made: Deployment) -> Condition | None:
    """Return why the newest revision was rolled back; none: it was not."""
    back = ("RolledBack", "Aborted")
    return next((one for one in made.conditions if one.reason in back), None)


def trouble(made: Deployment) -> Condition | None:
    """Return the step that keeps it from being ready, if one is bad news."""
    return next((one for one in made.conditions if one.status == "False"), None)


def finish(made: Deployment, address: str, *, as_json: bool) -> int:
    """Say how it ended, and what to do next."""
    failed = over(made) and (not made.answers or given_up(made) is not None)
    if as_json:
        output.document(made.to_dict())
        return 1 if failed else 0
    output.note()
    if failed:
        bad = given_up(made) or trouble(made)
        what = f"{bad.type}: {bad.message or bad.reason}" if bad else "see its steps"
        still = "; the former revision still serves" if made.serving_revision else ""
        output.error(
            f"`{made.name}` is not ready{still}: {what}",
            fix=(bad.fix if bad else None) or f"`towpath logs {made.name}`",
        )
        output.note(f"  {made.id}; its log: `towpath logs {made.name}`")
        return 1
    if not over(made):
        output.note(f"Not ready yet ({made.phase}). See `towpath deployments show {made.id}`")
        return 0
    output.note(f"  {made.id}")
    output.data(f"POST {address}{PATHS[verb(made)].format(name=made.name)}")
    output.note(f'  Next: `towpath {verb(made)} {made.name} "…"`')
    return 0


def refused(manifest: Manifest, environment: str, error: APIStatusError, *, as_json: bool) -> int:
    """Write every finding with its line and its fix."""
    if as_json:
        output.document(error.body)
        return 1
    what = f"{manifest.name or manifest.file.name} → {environment}: refused, nothing was deployed"
    return remarks.refused(manifest, error, what)
