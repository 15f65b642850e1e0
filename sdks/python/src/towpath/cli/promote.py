"""`towpath promote NAME --to ENVIRONMENT`: carry on what serves, or ask for it."""

from pathlib import Path
from typing import Any

import click
import yaml

from towpath.cli import output
from towpath.cli.deploy import finish, watch
from towpath.cli.progress import Steps
from towpath.cli.session import Session, json_option, session
from towpath.errors import APIStatusError, ConfigurationError
from towpath.generated.client import Towpath
from towpath.types import Approval, DeploymentCheck, Environment

ENVIRONMENTS = click.Choice(["sandbox", "staging", "production"])


@click.command(short_help="Serve in the next environment what serves here.")
@click.argument("deployment")
@click.option("--to", type=ENVIRONMENTS, required=True, help="Where it is to be served.")
@click.option(
    "--from", "environment", type=ENVIRONMENTS, help="Where it serves; the nearest otherwise."
)
@click.option(
    "--overrides",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML with the parts of `spec` that differ there.",
)
@click.option("--request", is_flag=True, help="Ask for the approval of somebody else.")
@click.option("--reason", metavar="TEXT", help="Why, for who approves.")
@click.option(
    "--force-reason", metavar="TEXT", help="Why nobody else is asked; for those who may approve."
)
@click.option("--dry-run", is_flag=True, help="Check only.")
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
    deployment: str,
    to: Environment,
    environment: Environment | None,
    overrides: Path | None,
    request: bool,
    reason: str | None,
    force_reason: str | None,
    dry_run: bool,
    no_wait: bool,
    timeout: int,
    as_json: bool,
) -> int:
    """
    Serve in the next environment what serves here: same content, same runtime.

    Nothing is built anew. Every check of the other environment holds there; what is
    wrong is said at once, before anything is changed. Where somebody else must
    agree, `--request` asks for it, and the approval carries it out.
    """
    if sum((request, dry_run, force_reason is not None)) > 1:
        raise click.UsageError("--request, --dry-run and --force-reason exclude each other")
    if reason is not None and not request:
        raise click.UsageError("--reason goes with --request; to go on alone, --force-reason")
    client = current.client()
    steps = Steps(current.now)
    differing = read(overrides) if overrides else None
    output.note(f"{deployment} → {to}")
    what: dict[str, Any] = {"to": to, "environment": environment, "overrides": differing}
    try:
        if request:
            return asked(ask(client, deployment, what, reason), as_json=as_json)
        if dry_run:
            checked = client.deployments.check_promotion(deployment, **what)
            return could(checked, steps, as_json=as_json)
        made = client.deployments.promote(deployment, **what, reason=force_reason)
    except APIStatusError as error:
        if not error.findings:
            raise
        return refused(deployment, to, error, as_json=as_json)
    if not no_wait:
        made = watch(current, client, made, steps, timeout)
    return finish(made, client.address, as_json=as_json)


def could(checked: DeploymentCheck, steps: Steps, *, as_json: bool) -> int:
    """Say what a promotion would come to."""
    if as_json:
        output.document(checked.to_dict())
        return 0
    steps.done("Checked", checked.message)
    for warning in checked.warnings or ():
        output.note(f"    warning: {output.clean(warning.message)}")
    output.note()
    output.note("Nothing was changed. Next: the same without `--dry-run`")
    return 0


def read(file: Path) -> dict[str, Any]:
    """
    Read what differs there.

    Raises:
        ConfigurationError: It is not YAML, or no object.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not YAML: {error}", fix="correct it") from error
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"{file} holds no parts of `spec`", fix="write it as `scaling: {minReplicas: 2}`"
        )
    return found


def ask(client: Towpath, deployment: str, what: dict[str, Any], reason: str | None) -> Approval:
    """Ask for the promotion."""
    payload = {name: value for name, value in what.items() if value is not None}
    return client.approvals.create(
        kind="promotion", payload={"deployment": deployment, **payload}, reason=reason
    )


def asked(made: Approval, *, as_json: bool) -> int:
    """Say what was asked for, and how it goes on."""
    if as_json:
        output.document(made.to_dict())
        return 0
    people = "another person" if made.needed == 1 else f"{made.needed} others"
    output.data(f"{made.summary}    {made.id}")
    output.note()
    output.note(f"It waits for the approval of {people}: `towpath approvals approve {made.id}`")
    output.note("It is carried out then; what changes until then makes it void.")
    return 0


def refused(deployment: str, to: str, error: APIStatusError, *, as_json: bool) -> int:
    """Write every finding with its fix."""
    if as_json:
        output.document(error.body)
        return 1
    count = len(error.findings)
    word = "finding" if count == 1 else "findings"
    output.error(
        f"{deployment} → {to}: refused, nothing was changed ({count} {word})",
        findings=[
            {"where": where(one.path), "detail": one.message, "fix": one.fix or ""}
            for one in error.findings
        ],
    )
    if error.request_id:
        output.note()
        output.note(f"  {error.request_id}")
    return 1


def where(path: str) -> str:
    """Write a pointer as the manifest's fields are written."""
    return path.removeprefix("#/").replace("/", ".").removeprefix("spec.")
