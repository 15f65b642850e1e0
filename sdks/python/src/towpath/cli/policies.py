"""`towpath policies`."""

from datetime import datetime
from pathlib import Path

import click
import yaml

from towpath.cli import findings, listing, output, policy_tests
from towpath.cli import manifest as files
from towpath.cli.group import Misuse, Noun
from towpath.cli.manifest import Manifest
from towpath.cli.output import Column
from towpath.cli.session import (
    Session,
    environment_option,
    json_option,
    limit_option,
    session,
    watch_option,
)
from towpath.errors import APIStatusError
from towpath.types import Policy

_WIDTH = 100  # of YAML that is printed


@click.group(cls=Noun, short_help="Show, set and test the rules for what may be deployed.")
def command() -> None:
    """Show, set and test policies: the rules for what may be deployed, in CEL."""


@command.command("list")
@limit_option
@json_option
@watch_option
@session
def list_(current: Session, *, limit: int, as_json: bool) -> None:
    """List the organisation's policies, and those of your teams."""
    listing.page(
        current.client().policies.list(limit=limit),
        (Column("policy"), Column("mode"), Column("of"), Column("says", flexible=True)),
        lambda one: [one.name, one.mode, one.team or "everybody", one.description],
        as_json=as_json,
        empty="No policy is set: `towpath policies apply -f FILE`",
        then="What one says: `towpath policies show NAME`",
    )


@command.command()
@click.argument("policy")
@json_option
@session
def show(current: Session, policy: str, as_json: bool) -> None:
    """Print a policy as a file that `apply` takes."""
    found = current.client().policies.get(policy)
    if as_json:
        output.document(found.to_dict())
        return
    output.data(_yaml(found.document))
    output.note()
    output.note(f"Change it: save this, edit it, `towpath policies apply -f {found.name}.yaml`")


@command.command()
@click.option(
    "-f",
    "--file",
    "paths",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A policy, or a folder of them; may be repeated.",
)
@json_option
@session
def apply(current: Session, paths: tuple[Path, ...], as_json: bool) -> int:
    """Set policies from their files; the same name again replaces one."""
    client = current.client()
    made: list[Policy] = []
    for file in _policies(paths):
        try:
            made.append(client.policies.apply(file.document))
        except APIStatusError as error:
            if not error.findings:
                raise
            if as_json:
                output.document(error.body)
                return 1
            what = f"{file.name or file.file.name}: refused, nothing was changed"
            return findings.refused(file, error, what)
        if not as_json:
            one = made[-1]
            output.data(f"{one.name}: {one.mode}, version {one.revision}    {one.id}")
    if as_json:
        output.document({"items": [one.to_dict() for one in made]})
    else:
        output.note("They hold for what is deployed from now on; what runs stays as it is.")
    return 0


@command.command()
@click.argument("policy")
@json_option
@session
def delete(current: Session, policy: str, as_json: bool) -> None:
    """Delete a policy; its history stays."""
    current.client().policies.delete(policy)
    listing.removed(policy, f"Deleted `{policy}`.", as_json=as_json)


@command.command()
@click.argument("policy")
@click.argument("deployment")
@click.option("--project", metavar="TEAM/NAME", required=True, help="Project it belongs to.")
@environment_option("sandbox")
@click.option(
    "--until",
    metavar="DATE",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    help="When it ends, in UTC: 2027-01-31, or 2027-01-31T12:00:00Z.",
)
@click.option("--reason", metavar="TEXT", required=True, help="Why, for who runs the platform.")
@json_option
@session
def request(
    current: Session,
    *,
    policy: str,
    deployment: str,
    until: datetime,
    reason: str,
    as_json: bool,
    **place: str,
) -> None:
    """
    Ask those who run the platform to exempt one deployment from one policy.

    towpath policies request few-replicas triage --project care/triage --until
    2027-01-31 --reason "a load test"
    """
    end = f"{until.isoformat()}Z"
    made = current.client().approvals.create(
        kind="policy",
        payload={"policy": policy, "name": deployment, **place, "until": end},
        reason=reason,
    )
    if as_json:
        output.document(made.to_dict())
        return
    output.data(f"{made.summary}    {made.id}")
    output.note(f"It waits for those who run the platform: `towpath approvals show {made.id}`")


@command.command()
@click.argument("policy")
@limit_option
@json_option
@session
def history(current: Session, policy: str, limit: int, as_json: bool) -> None:
    """List what a policy said, the newest first."""
    listing.page(
        current.client().policies.versions(policy, limit=limit),
        (
            Column("version", right=True),
            Column("change"),
            Column("mode"),
            Column("when"),
            Column("by"),
        ),
        lambda one: [str(one.number), one.change, one.mode, output.ago(one.at), one.by],
        as_json=as_json,
        empty="Nothing is known of it.",
        then="What each said: the same with `--json`",
    )


@command.command()
@click.argument("policy")
@json_option
@session
def reset(current: Session, policy: str, as_json: bool) -> None:
    """Set a policy that comes with the platform as it comes; `defaults` lists them."""
    client = current.client()
    made = client.policies.apply(client.policies.default(policy).document)
    if as_json:
        output.document(made.to_dict())
        return
    output.data(f"{made.name}: {made.mode}, version {made.revision}    {made.id}")


@command.command()
@json_option
@session
def defaults(current: Session, as_json: bool) -> None:
    """List the policies that come with the platform."""
    listing.page(
        current.client().policies.defaults(),
        (Column("policy"), Column("mode"), Column("says", flexible=True)),
        lambda one: [one.name, one.mode, one.description],
        as_json=as_json,
        empty="None comes with this platform.",
        then="Set one as it comes: `towpath policies reset NAME`",
    )


@command.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="FILE…")
@json_option
@session
def test(current: Session, paths: tuple[Path, ...], as_json: bool) -> int:
    """
    Run policies against manifests that say what is to be found.

    A FILE has `kind: PolicyTest`; nothing is deployed, and the policies need
    not be set. Exit code 1: something else was found.
    """
    if not paths:
        raise Misuse("no file to test", fix="`towpath policies test FILE…`")
    client = current.client()
    runs = []
    for path in paths:
        suite = policy_tests.read(path)
        try:
            runs.append(policy_tests.run(client, suite))
        except APIStatusError as error:
            if not error.findings:
                raise
            what = f"{path.name}: a policy or a case cannot be used"
            return findings.refused(suite.file, error, what)
    failed = sum(not case.passed for run in runs for case in run.cases)
    if as_json:
        output.document({"items": [run.document() for run in runs], "failed": failed})
    else:
        for run in runs:
            policy_tests.write(run)
        count = sum(len(run.cases) for run in runs)
        output.data(f"{count} case{'s' if count != 1 else ''}, {failed} failed")
    return 1 if failed else 0


def _policies(paths: tuple[Path, ...]) -> list[Manifest]:
    """Read the policies of files and folders; a folder may have other files too."""
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(files.read(path))
            continue
        inner = [files.read(one) for one in sorted(path.glob("*.yaml"))]
        found += [one for one in inner if one.document.get("kind") == "Policy"]
    if not found:
        raise Misuse("these folders have no policy", fix="name the file: `-f FILE`")
    return found


def _yaml(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=_WIDTH).rstrip()
