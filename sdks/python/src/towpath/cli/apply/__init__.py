"""`towpath apply -f DIR`: make the platform what a folder says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from towpath.cli import fetching, output
from towpath.cli import manifest as manifests
from towpath.cli.apply import documents, show
from towpath.cli.apply.documents import Declared
from towpath.cli.apply.kinds import MANIFEST
from towpath.cli.apply.plan import CHANGE, CREATE, DELETE, REFUSED, Act, Inventory, plan, surplus
from towpath.cli.deploy import over, trouble, upload, watch
from towpath.cli.progress import Steps
from towpath.cli.session import Session, environment_option, json_option, session
from towpath.errors import APIStatusError, ConfigurationError, Finding
from towpath.generated.client import Towpath
from towpath.resources.noun import matching
from towpath.types import Deployment, Environment

DIFFERS = 3


@click.command(short_help="Make the platform what a folder of files says.")
@click.option(
    "-f",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE|DIR",
    help="Declarations: manifests and other nouns.",
)
@environment_option("sandbox")
@click.option("--diff", is_flag=True, help="Say what would change; exit code 3 if anything.")
@click.option("--markdown", is_flag=True, help="With --diff: write it for a merge request.")
@click.option("--prune", is_flag=True, help="Delete what the declared projects have beside it.")
@click.option("--project", "projects", multiple=True, help="With --prune: of this project, too.")
@click.option("--yes", is_flag=True, help="With --prune: do not ask.")
@click.option("--no-wait", is_flag=True, help="Do not watch deployments become ready.")
@click.option("--timeout", type=click.IntRange(1), default=900, help="Seconds to watch each.")
@json_option
@session
def command(
    current: Session,
    *,
    source: Path,
    environment: Environment,
    diff: bool,
    markdown: bool,
    prune: bool,
    projects: tuple[str, ...],
    yes: bool,
    no_wait: bool,
    timeout: int,
    as_json: bool,
) -> int:
    """
    Make the platform what a file or folder says; what is so already stays as it is.

    Each document has `apiVersion`, `kind`, `metadata` and `spec`; of all but a
    ModelDeployment, `spec` is what the noun's `POST` takes. All of it is checked
    before anything is changed. Models named by `file:` are uploaded and those of
    `hf:`, `oci:`, `s3:` and `https:` fetched, also by --diff.
    """
    declared = documents.read(source, environment)
    client = current.client()
    inventory = Inventory(client)
    acts = plan(declared, inventory, lambda one: checked(current, client, one))
    if prune:
        owned = {*projects, *(path(one) for one in declared if one.kind.name == "Project")}
        acts += surplus(declared, inventory, owned)
    show.acts(acts, as_json=as_json and diff, markdown=markdown)
    if any(act.verb == REFUSED for act in acts):
        return 1
    todo = [act for act in acts if act.verb in {CREATE, CHANGE, DELETE}]
    if diff:
        return DIFFERS if todo else 0
    if any(act.verb == DELETE for act in todo) and not yes:
        click.confirm("Delete what is marked?", abort=True, err=True)
    return carry_out(current, client, todo, timeout=0 if no_wait else timeout, as_json=as_json)


def path(project: Declared) -> str:
    """Return a project's path."""
    return f"{project.fields.get('team')}/{project.fields.get('name')}"


def checked(
    current: Session, client: Towpath, one: Declared
) -> tuple[dict[str, Any], Sequence[Finding]]:
    """Upload what a manifest names, and have it checked; returns it with what is wrong."""
    manifest = manifests.Manifest(one.file, one.document, {})
    document = one.document
    if manifest.uri.startswith("file:"):
        document = manifest.with_uri(upload(client, manifest, Steps(current.now)))
    elif fetching.is_outside(manifest.uri):
        try:
            document = manifest.with_uri(fetched(current, client, manifest))
        except APIStatusError as error:
            if not error.findings:
                raise
            moved = [replace(one, path="#/spec/model/uri") for one in error.findings]
            return document, moved
    try:
        client.deployments.check(manifest=document, environment=one.fields["environment"])
    except APIStatusError as error:
        if not error.findings:
            raise
        return document, error.findings
    return document, ()


def fetched(current: Session, client: Towpath, manifest: manifests.Manifest) -> str:
    """Bring the model of a manifest from outside, and return the URI of its version."""
    given = {"project": manifest.project, "format": manifest.format or None}
    more = {name: value for name, value in given.items() if value}
    steps = Steps(current.now)
    return fetching.fetch(current, client, manifest.name, manifest.uri, steps, **more)


def carry_out(
    current: Session, client: Towpath, todo: Sequence[Act], *, timeout: int, as_json: bool
) -> int:
    """Do it in order; returns 1 when a deployment did not become ready."""
    results: list[dict[str, Any]] = []
    failed = False
    for act in todo:
        if act.kind.name == MANIFEST and act.verb != DELETE:
            made = deploy(current, client, act, timeout)
            failed |= timeout > 0 and not (over(made) and made.answers)
            results.append(made.to_dict())
        else:
            results.append(send(client, act))
    if as_json:
        output.document({"items": results})
    output.note(f"{len(todo)} changed." if todo else "Nothing to change.")
    return 1 if failed else 0


def deploy(current: Session, client: Towpath, act: Act, timeout: int) -> Deployment:
    """Hand a manifest in and watch it."""
    one = act.declared
    if one is None:
        raise ConfigurationError(f"{act.called} has no manifest")
    made = client.deployments.create(manifest=one.document, environment=one.fields["environment"])
    if timeout:
        output.note(f"{made.name} → {made.environment}")
        made = watch(current, client, made, Steps(current.now), timeout)
        if over(made) and (bad := trouble(made)) is not None:
            output.error(
                f"`{made.name}` is not ready: {bad.type}: {bad.message or bad.reason}", fix=bad.fix
            )
    return made


def send(client: Towpath, act: Act) -> dict[str, Any]:
    """Create, change or delete one noun."""
    kind = act.kind
    if kind.whole and act.declared is not None:
        since = matching(act.present["revision"] if act.present else None)
        made, _ = client.call("POST", kind.path, body=act.declared.document, headers=since)
        return dict(made)
    if kind.put and act.declared is not None:
        fields = act.declared.fields
        body = {name: value for name, value in fields.items() if name not in kind.identity}
        since = matching(act.present["revision"] if act.present else None)
        made, _ = client.call("PUT", kind.place(fields), body=body, headers=since)
        return dict(made)
    if act.verb == CREATE and act.declared is not None:
        made, _ = client.call("POST", kind.path, body=act.declared.fields)
        return dict(made)
    present = act.present or {}
    at = f"{kind.path}/{present['id']}"
    revision = matching(present["revision"])
    if act.verb == DELETE:
        client.call("DELETE", at, headers=revision)
        return {"id": present["id"], "deleted": True}
    fields = act.declared.fields if act.declared else {}
    fixed = {*kind.identity, *kind.fixed}
    body = {name: value for name, value in fields.items() if name not in fixed}
    made, _ = client.call("PATCH", at, body=body, headers=revision)
    return dict(made)
