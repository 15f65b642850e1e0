"""
Who may do what: one table of nouns, verbs and roles.

The table decides (`Principal.require`, `Principal.reach`), documents (`docs/reference/access.md`)
and is tested over every route. A rule that is not in it does not exist.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath_server.core.errors import Forbidden, NotFound


class Verb(enum.StrEnum):
    """What may be done to a noun; `READ` is both one and the list."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Role(enum.StrEnum):
    """In which capacity a principal acts."""

    PLATFORM = "platform"
    AUDITOR = "auditor"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    SCOPE_DEPLOY = "scope:deploy"
    SCOPE_READ = "scope:read"
    SCOPE_INVOKE = "scope:invoke"
    SELF = "self"
    ANYONE = "anyone"


TEAM_ROLES = (Role.VIEWER, Role.DEVELOPER, Role.ADMIN)
PLATFORM_ROLES = (Role.PLATFORM, Role.AUDITOR)

_R, _C, _U, _D = Verb.READ, Verb.CREATE, Verb.UPDATE, Verb.DELETE
_ADMIN = {Role.PLATFORM, Role.ADMIN}
_DEVELOPER = _ADMIN | {Role.DEVELOPER}
_DEPLOY = _DEVELOPER | {Role.SCOPE_DEPLOY}
_CALL = _DEVELOPER | {Role.SCOPE_INVOKE}
_PLATFORM = {Role.PLATFORM}
_OVERSEE = {Role.PLATFORM, Role.AUDITOR}
_MEMBERS = _OVERSEE | set(TEAM_ROLES)
_SEE = _MEMBERS | {Role.SCOPE_READ, Role.SCOPE_DEPLOY}

TABLE: Mapping[str, Mapping[Verb, frozenset[Role]]] = {
    noun: {verb: frozenset(roles) for verb, roles in rules.items()}
    for noun, rules in {
        "team": {_R: _SEE, _C: _PLATFORM, _U: _ADMIN, _D: _PLATFORM},
        "member": {_R: _MEMBERS, _C: _ADMIN, _U: _ADMIN, _D: _ADMIN},
        "project": {_R: _SEE, _C: _DEVELOPER, _U: _DEVELOPER, _D: _ADMIN},
        "application": {_R: _SEE, _C: _DEVELOPER, _U: _DEVELOPER, _D: _DEVELOPER},
        "user": {_R: _OVERSEE | {Role.SELF}, _C: _PLATFORM, _U: _PLATFORM, _D: _PLATFORM},
        "user_token": {
            _R: _OVERSEE | {Role.SELF},
            _C: _PLATFORM | {Role.SELF},
            _D: _PLATFORM | {Role.SELF},
        },
        "key": {_R: _MEMBERS, _C: _DEVELOPER, _U: _DEVELOPER, _D: _DEVELOPER},
        "service_account": {_R: _MEMBERS, _C: _ADMIN, _U: _ADMIN, _D: _ADMIN},
        "audit": {_R: _OVERSEE | {Role.ADMIN}},
        "model": {_R: _SEE, _C: _DEPLOY, _U: _DEPLOY, _D: _DEVELOPER},
        "alias": {_R: _SEE, _C: _DEPLOY, _D: _DEPLOY},
        "import": {_R: _SEE, _C: _DEPLOY, _D: _DEPLOY},
        "connection": {_R: _SEE, _C: _ADMIN, _U: _ADMIN, _D: _ADMIN},
        "artifact": {_R: _SEE, _C: _DEPLOY, _D: _PLATFORM},
        "upload": {_R: _DEPLOY, _C: _DEPLOY, _U: _DEPLOY, _D: _DEPLOY},
        "runtime": {_R: {Role.ANYONE}},
        "deployment": {_R: _SEE, _C: _DEPLOY, _U: _DEPLOY, _D: _DEPLOY},
        "evaluation": {_R: _SEE, _C: _DEPLOY},
        "approval": {_R: _SEE, _C: _DEPLOY, _U: _ADMIN},
        "endpoint": {_R: _SEE, _C: _DEPLOY, _U: _DEPLOY, _D: _DEPLOY},
        "provider": {_R: {Role.ANYONE}, _C: _PLATFORM, _U: _PLATFORM, _D: _PLATFORM},
        "limit": {_R: _SEE, _C: _ADMIN, _U: _ADMIN, _D: _ADMIN},
        "quota": {_R: _SEE, _C: _PLATFORM, _U: _PLATFORM, _D: _PLATFORM},
        "block": {_R: _OVERSEE, _C: _PLATFORM, _D: _PLATFORM},
        "budget": {_R: _SEE, _C: _ADMIN, _U: _ADMIN, _D: _ADMIN},
        "vendor": {_R: {Role.ANYONE}},
        "price": {_R: {Role.ANYONE}},
        "policy": {_R: _SEE, _C: _ADMIN, _D: _ADMIN},
        "policy_default": {_R: {Role.ANYONE}},
        "node": {_R: _OVERSEE},
        "file": {_R: _CALL, _C: {Role.SCOPE_INVOKE}, _D: _CALL},
        "batch": {_R: _SEE | {Role.SCOPE_INVOKE}, _C: {Role.SCOPE_INVOKE}, _U: _CALL},
        "usage": {_R: _SEE},
        "adoption": {_R: _SEE},
        "request": {_R: _SEE},
        "body": {_R: _DEVELOPER},
    }.items()
}


class PrincipalKind(enum.StrEnum):
    """What a principal is."""

    ADMIN = "admin"
    USER = "user"
    SERVICE_ACCOUNT = "service_account"
    KEY = "key"
    SYSTEM = "system"


@dataclass(frozen=True)
class Reach:
    """What of a noun a principal may list: everything, or what belongs to these."""

    everything: bool = False
    teams: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()

    def covers(self, team: str | None, project: str | None = None) -> bool:
        """Tell whether something of this team and project is within reach."""
        return self.everything or team in self.teams or project in self.projects


@dataclass(frozen=True)
class Principal:
    """
    Who acts.

    Users have roles by team; service accounts and keys have scopes in the one project (`team`,
    `project`) they belong to; admin and system are the platform itself.
    """

    kind: PrincipalKind
    id: str
    name: str
    platform_role: Role | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    team: str | None = None
    project: str | None = None
    environment: str | None = None
    scopes: frozenset[str] = frozenset()

    def require(
        self,
        verb: Verb,
        noun: str,
        *,
        team: str | None = None,
        project: str | None = None,
        ref: str | None = None,
        owner: str | None = None,
    ) -> None:
        """
        Refuse unless the table allows it.

        Args:
            team: Id of the team the thing belongs to; none for the organisation's own.
            project: Id of its project, where it has one.
            ref: What the caller called the thing; names it in the error.
            owner: Id of the user whose thing it is, for what people may do to their own.

        Raises:
            NotFound: The caller may not know that the thing exists.
            Forbidden: The caller may see it, and not do this.
        """
        held = self._held(team, project, owner)
        if held & TABLE[noun].get(verb, frozenset()):
            return
        foreign = team is not None and not held & (_SEE | {Role.SCOPE_INVOKE})
        hidden = ref is not None and not held & TABLE[noun].get(Verb.READ, frozenset())
        if foreign or hidden:
            raise NotFound(noun, ref or team or noun)
        raise Forbidden(
            f"{self._called()} may not {verb} {_plural(noun)} here.",
            fix=f"This needs one of: {_needed(noun, verb)}. Ask an admin of the team.",
        )

    def may(
        self, verb: Verb, noun: str, *, team: str | None = None, project: str | None = None
    ) -> bool:
        """Tell whether `require` would pass."""
        return bool(self._held(team, project, None) & TABLE[noun].get(verb, frozenset()))

    def reach(self, noun: str) -> Reach:
        """
        Return what of a noun the caller may list.

        Raises:
            Forbidden: Nothing of it, ever.
        """
        allowed = TABLE[noun][Verb.READ]
        if Role.ANYONE in allowed or self.platform_role in allowed:
            return Reach(everything=True)
        if self.project is not None and self._scope_roles() & allowed:
            own_team = self.team if noun == "team" else None
            return Reach(
                teams=frozenset({own_team} if own_team else ()), projects=frozenset({self.project})
            )
        teams = frozenset(team for team, role in self.roles.items() if role in allowed)
        if not teams and (self.project is not None or not allowed & {Role.VIEWER, Role.SELF}):
            raise Forbidden(
                f"{self._called()} may not read {_plural(noun)}.",
                fix=f"This needs one of: {_needed(noun, Verb.READ)}.",
            )
        return Reach(teams=teams)

    def _held(self, team: str | None, project: str | None, owner: str | None) -> set[Role]:
        held = {Role.ANYONE}
        if self.platform_role is not None:
            held.add(self.platform_role)
        if owner is not None and owner == self.id:
            held.add(Role.SELF)
        if team is not None and team in self.roles:
            held.add(self.roles[team])
        in_project = project is not None and project == self.project
        if in_project or (project is None and team is not None and team == self.team):
            held |= self._scope_roles()
        return held

    def _scope_roles(self) -> set[Role]:
        return {Role(f"scope:{scope}") for scope in self.scopes}

    def _called(self) -> str:
        return f"The {self.kind.replace('_', ' ')} `{self.name}`"


SYSTEM = Principal(PrincipalKind.SYSTEM, "system", "system", platform_role=Role.PLATFORM)
"""The principal of loops and of the first start."""


def reference_table() -> str:
    """Write the table for the reference page."""
    lines = [
        "`viewer`, `developer` and `admin` are roles in the team that owns the thing.",
        "`platform` and `auditor` hold everywhere.",
        "`scope:…` are the scopes of service accounts and keys, within their own project.",
        "`self` is the user whose thing it is; `anyone` is every authenticated caller.",
        "What a caller may not read answers 404, as if it were not there.",
        "",
        "| noun | " + " | ".join(Verb) + " |",
        "|---|" + "---|" * len(Verb),
    ]
    for noun, rules in TABLE.items():
        cells = [_needed(noun, verb) if verb in rules else "nobody" for verb in Verb]
        lines.append(f"| {noun.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _needed(noun: str, verb: Verb) -> str:
    allowed = TABLE[noun].get(verb, frozenset())
    return ", ".join(f"`{role}`" for role in Role if role in allowed) or "nobody"


def _plural(noun: str) -> str:
    words = noun.replace("_", " ")
    if words in {"audit", "usage"}:
        return words
    if words == "alias":
        return "aliases"
    return f"{words.removesuffix('y')}ies" if words.endswith("cy") else f"{words}s"
