"""Who may call: teams, members, users, projects, applications, keys."""

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict, Unpack

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncNoun, matching
from towpath.types import (
    Application,
    Environment,
    Key,
    Member,
    Project,
    ServiceAccount,
    Team,
    Token,
    User,
)


class ApplicationCreate(TypedDict):
    """A program of a project."""

    project: str
    name: str
    owner: NotRequired[str]
    contact: NotRequired[str]
    use_case: NotRequired[str]


class KeyCreate(TypedDict):
    """An API key; `project` is `team/project`."""

    project: str
    environment: Environment
    name: str
    application: NotRequired[str]
    scopes: NotRequired[Sequence[str]]
    endpoints: NotRequired[Sequence[str]]
    operations: NotRequired[Sequence[str]]
    sources: NotRequired[Sequence[str]]
    max_data_class: NotRequired[str]
    priority: NotRequired[Literal["interactive", "default", "batch"]]
    expires_at: NotRequired[str]


class ServiceAccountCreate(TypedDict):
    """A program that acts for a project; `scopes` are of `invoke`, `read`, `deploy`."""

    project: str
    name: str
    scopes: Sequence[str]
    environment: NotRequired[Environment]
    expires_at: NotRequired[str]


class AsyncTeams(AsyncNoun[Team]):
    """Teams own projects."""

    _path = "/api/v1/teams"
    _kind = Team

    async def create(self, *, name: str, **more: Any) -> Team:
        """Create a team."""
        return await self._create({"name": name, **more})

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Team:
        """Rename a team, or change its `weight`; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[Team]:
        """List teams."""
        return self._listed(query)


class AsyncMembers(AsyncNoun[Member]):
    """Roles of users in teams: `viewer`, `developer`, `admin`."""

    _path = "/api/v1/members"
    _kind = Member

    async def create(self, *, team: str, user: str, role: str) -> Member:
        """Give a user a role in a team."""
        return await self._create({"team": team, "user": user, "role": role})

    async def update(self, ref: str, *, role: str, if_match: int | None = None) -> Member:
        """Change a role."""
        return await self._update(ref, {"role": role}, if_match)

    def list(self, **query: Any) -> AsyncPages[Member]:
        """List members; filters: `team`, `user`."""
        return self._listed(query)


class AsyncUsers(AsyncNoun[User]):
    """People."""

    _path = "/api/v1/users"
    _kind = User

    async def create(self, *, name: str, **more: Any) -> User:
        """Create a user."""
        return await self._create({"name": name, **more})

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> User:
        """Change a user; what is not given stays."""
        return await self._update(ref, changes, if_match)

    async def create_token(self, ref: str, *, name: str, expires_at: str | None = None) -> Token:
        """Make a token for a user; `token` of the answer is its text, this once."""
        body = {"name": name} if expires_at is None else {"name": name, "expires_at": expires_at}
        return Token.of(*await self._client.call("POST", self._at(ref, "tokens"), body=body))

    async def revoke_token(self, ref: str, token: str, *, if_match: int | None = None) -> None:
        """Revoke a user's token at once."""
        path = self._at(ref, "tokens", token)
        await self._client.call("DELETE", path, headers=matching(if_match))

    def tokens(self, ref: str, **query: Any) -> AsyncPages[Token]:
        """List a user's tokens."""
        return self._listed(query, path=self._at(ref, "tokens"), kind=Token)

    def list(self, **query: Any) -> AsyncPages[User]:
        """List users."""
        return self._listed(query)


class AsyncProjects(AsyncNoun[Project]):
    """Projects own applications, keys, deployments and endpoints."""

    _path = "/api/v1/projects"
    _kind = Project

    async def create(self, *, team: str, name: str) -> Project:
        """Create a project."""
        return await self._create({"team": team, "name": name})

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Project:
        """Change a project; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[Project]:
        """List projects; filter: `team`."""
        return self._listed(query)


class AsyncApplications(AsyncNoun[Application]):
    """Programs of projects."""

    _path = "/api/v1/applications"
    _kind = Application

    async def create(self, **application: Unpack[ApplicationCreate]) -> Application:
        """Create an application."""
        return await self._create(application)

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Application:
        """Change an application; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[Application]:
        """List applications; filter: `project`."""
        return self._listed(query)


class AsyncKeys(AsyncNoun[Key]):
    """API keys. Their text is shown once, when they are made."""

    _path = "/api/v1/keys"
    _kind = Key

    async def create(self, **key: Unpack[KeyCreate]) -> Key:
        """Create a key; `key` of the answer is its text."""
        return await self._create(key)

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Key:
        """Change a key; what is not given stays."""
        return await self._update(ref, changes, if_match)

    async def rotate(self, ref: str, *, grace: str | None = None) -> Key:
        """
        Replace a key by a new one.

        Args:
            grace: How long the former text still works, such as `15m`, `24h` (the default) or `7d`.
        """
        body: dict[str, str] = {} if grace is None else {"grace": grace}
        return Key.of(*await self._client.call("POST", self._at(ref, "rotate"), body=body))

    async def revoke(self, ref: str, *, if_match: int | None = None) -> None:
        """Delete a key; it is refused from now on."""
        await self.delete(ref, if_match=if_match)

    def list(self, **query: Any) -> AsyncPages[Key]:
        """List keys; filter: `project`."""
        return self._listed(query)


class AsyncServiceAccounts(AsyncNoun[ServiceAccount]):
    """Programs that act for a project."""

    _path = "/api/v1/service-accounts"
    _kind = ServiceAccount

    async def create(self, **account: Unpack[ServiceAccountCreate]) -> ServiceAccount:
        """Create a service account; `token` of the answer is its token, this once."""
        return await self._create(account)

    async def update(
        self, ref: str, *, if_match: int | None = None, **changes: Any
    ) -> ServiceAccount:
        """Change scopes or expiry; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[ServiceAccount]:
        """List service accounts; filter: `project`."""
        return self._listed(query)
