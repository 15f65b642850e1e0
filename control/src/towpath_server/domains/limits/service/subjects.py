"""
Subjects: what limits and budgets count. Who may name one, and how it is called.

The side of the caller decides: whoever administers the team of the key, project or team may hold it
to less, also on an endpoint of somebody else. A rule of an endpoint alone holds for all its
callers, so that it takes who administers its owner. Foreign things are not found.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Forbidden, InvalidRequest
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.models import Endpoint
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.models import Key
from towpath_server.domains.limits.errors import SetByPlatform, SubjectUnmatchable
from towpath_server.domains.limits.models import PARTS, Owner, Setter, Subject, SubjectDraft
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project
from towpath_server.domains.teams import service as teams

_MAX_PARTS = 2
_MAX_NAME = 100  # of a key, in words that go into a header


async def resolve(
    tx: Tx, caller: Principal, draft: SubjectDraft, *, noun: str
) -> tuple[Subject, Owner]:
    """
    Return what a caller names, if they may set a rule (`limit`, `budget`) of it.

    Raises:
        InvalidRequest: It has no part, or more than two.
        NotFound: One of them is not there, or the caller may not see it.
        Forbidden: The caller does not administer the caller's side; or not the endpoint alone.
        SubjectUnmatchable: The parts exclude each other.
    """
    _check_parts(draft.given())
    key = await keys.find_any(tx, caller, draft.key) if draft.key else None
    project = await projects.resolve(tx, caller, draft.project) if draft.project else None
    team = await teams.get(tx, caller, draft.team) if draft.team else None
    endpoint = await _endpoint(tx, caller, draft)
    owner = _owner(key, project, team.id if team else None)
    if owner is not None:
        caller.require(Verb.CREATE, noun, team=owner.team_id, project=owner.project_id)
    elif endpoint is not None:
        owner = Owner(endpoint.team_id, endpoint.project_id)
        if not caller.may(Verb.CREATE, noun, team=owner.team_id, project=owner.project_id):
            raise Forbidden(
                f"A {noun} of the endpoint `{endpoint.name}` alone holds for all its callers.",
                fix="An admin of the team that owns it can set one, or the platform; you can set "
                "one of your own team, project or key on this endpoint.",
            )
    else:
        raise AssertionError("one part is given")
    subject = Subject(
        key=key.id if key else None,
        project=project.id if project else None,
        team=team.id if team else None,
        endpoint=endpoint.id if endpoint else None,
    )
    return subject, owner


def require_change(caller: Principal, verb: Verb, noun: str, rule: Any) -> None:
    """
    Refuse unless the caller may change or delete a rule.

    Raises:
        NotFound: The caller may not know that it exists.
        Forbidden: The caller does not administer whose it is.
        SetByPlatform: The platform set it, and the caller is a team's.
    """
    owner: Owner = rule.owner
    caller.require(verb, noun, team=owner.team_id, project=owner.project_id, ref=rule.id)
    if rule.set_by is Setter.PLATFORM and Setter.of(caller) is Setter.TEAM:
        raise SetByPlatform(noun, rule.label)


async def asked(tx: Tx, caller: Principal, draft: SubjectDraft) -> Mapping[str, str]:
    """
    Return the ids of what a list is narrowed to.

    Raises:
        NotFound: One of them is not there, or the caller may not see it.
    """
    found: dict[str, str] = {}
    if draft.key:
        found["key"] = (await keys.find_any(tx, caller, draft.key)).id
    if draft.project:
        found["project"] = (await projects.resolve(tx, caller, draft.project)).id
    if draft.team:
        found["team"] = (await teams.get(tx, caller, draft.team)).id
    endpoint = await _endpoint(tx, caller, draft)
    return found | ({"endpoint": endpoint.id} if endpoint else {})


async def labels(tx: Tx, subjects: Collection[Subject]) -> dict[Subject, str]:
    """Say each subject in words, as it is called now: `project care/triage on endpoint smollm2`."""
    wanted = {part: _ids(subjects, part) for part in PARTS}
    found_keys = await keys.by_ids(tx, wanted["key"])
    paths = await projects.names(
        tx, wanted["project"] | {key.project_id for key in found_keys.values()}
    )
    words = {f"project {id_}": f"project {path}" for id_, path in paths.items()}
    for id_, name in (await teams.names(tx, wanted["team"])).items():
        words[f"team {id_}"] = f"team {name}"
    for key in found_keys.values():
        kind = key.kind.replace("_", " ")
        words[f"key {key.id}"] = f"{kind} {_plain(key.name)} of {paths[key.project_id]}"
    for id_, (name, environment) in (await endpoints.names(tx, wanted["endpoint"])).items():
        words[f"endpoint {id_}"] = f"endpoint {name} in {environment}"
    return {subject: _label(subject, words) for subject in subjects}


async def worded(tx: Tx, rules: Sequence[Any]) -> Any:
    """Return rules with their subjects in words, as they are called now."""
    words = await labels(tx, {rule.subject for rule in rules})
    return [replace(rule, label=words[rule.subject]) for rule in rules]


def _check_parts(given: Sequence[str]) -> None:
    if 1 <= len(given) <= _MAX_PARTS:
        return
    listed = ", ".join(f"`{part}`" for part in PARTS)
    what = "nothing" if not given else f"{len(given)} things"
    raise InvalidRequest(
        f"It names {what}; one or two of {listed} are counted together.",
        fix=f"Send one or two of {listed}.",
        findings=[Finding(f"#/{given[-1] if given else PARTS[1]}", "One or two parts are needed.")],
    )


async def _endpoint(tx: Tx, caller: Principal, draft: SubjectDraft) -> Endpoint | None:
    if draft.endpoint is None:
        return None
    return await endpoints.get(tx, caller, draft.endpoint, environment=draft.environment)


def _owner(key: Key | None, project: Project | None, team: str | None) -> Owner | None:
    """Return the caller's side of a subject; none where it has only an endpoint."""
    of_teams = {key.team_id if key else None, project.team_id if project else None, team} - {None}
    of_projects = {key.project_id if key else None, project.id if project else None} - {None}
    if len(of_teams) > 1 or len(of_projects) > 1:
        raise SubjectUnmatchable(
            "No call is of all these at once, so nothing would ever be counted.",
            fix="Name one of them alone, or two that belong together.",
        )
    if not of_teams:
        return None
    return Owner(next(iter(of_teams)), next(iter(of_projects), None))


def _ids(subjects: Iterable[Subject], part: str) -> set[str]:
    return {value for subject in subjects if (value := getattr(subject, part)) is not None}


def _label(subject: Subject, words: Mapping[str, str]) -> str:
    parts = [words.get(f"{part} {id_}", f"{part} {id_}") for part, id_ in subject.given().items()]
    return " on ".join(parts) if subject.endpoint else " of ".join(parts)


def _plain(name: str) -> str:
    """Make a key's name fit one line of a header."""
    text = "".join(letter if letter.isprintable() else " " for letter in name)
    return text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…"
