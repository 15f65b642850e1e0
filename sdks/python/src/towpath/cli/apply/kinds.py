"""The nouns that can stand in a file: what tells them apart, and their order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

MANIFEST = "ModelDeployment"


@dataclass(frozen=True)
class Kind:
    """A noun of the API; `spec` in a file is what its `POST` takes."""

    name: str
    path: str
    """Of its collection, below the API's root."""
    identity: tuple[str, ...]
    """Fields that say which one it is; they never change."""
    unreadable: tuple[str, ...] = ()
    """Fields that are written and never read: they are sent, and not compared."""
    fixed: tuple[str, ...] = ()
    """More fields that are given when it is made and cannot be changed."""
    whole: bool = False
    """Whether `POST` takes the document as it stands, and replaces what is there."""
    owner: str | None = None
    """Field that names the project it belongs to, for `--prune`."""
    put: bool = False
    """Whether `path` is that of one, its identity in braces, and `PUT` makes and changes it."""
    looked_up: Mapping[str, str] = field(default_factory=dict)
    """Fields that may name something otherwise than by the id that is read, and its collection."""

    def key(self, fields: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what tells it from others of its kind."""
        return tuple(fields.get(name) for name in self.identity)

    def place(self, fields: Mapping[str, Any]) -> str:
        """Return the path of one that has its identity in its path."""
        return self.path.format(**{name: quote(str(fields[name])) for name in self.identity})

    def called(self, fields: Mapping[str, Any]) -> str:
        """Name it for a person."""
        words = [str(fields[name]) for name in self.identity if fields.get(name) is not None]
        return f"{self.name} {' · '.join(words)}"


_SUBJECT = ("key", "project", "team", "endpoint")

# In the order in which they are made: what is named by others comes before them.
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Team", "/api/v1/teams", ("name",)),
        Kind("Project", "/api/v1/projects", ("team", "name")),
        Kind("Application", "/api/v1/applications", ("project", "name"), owner="project"),
        Kind("Member", "/api/v1/members", ("team", "user"), looked_up={"user": "/api/v1/users"}),
        Kind("Policy", "/api/v1/policies", ("name",), whole=True),
        Kind("Quota", "/api/v1/quotas", ("team", "environment")),
        Kind(
            "Provider",
            "/api/v1/providers",
            ("name",),
            unreadable=("credential",),
            fixed=("dialect", "vendor"),
        ),
        Kind("Model", "/api/v1/models", ("name",), fixed=("project",)),
        Kind(
            "Alias",
            "/api/v1/models/{model}/aliases/{alias}",
            ("model", "alias"),
            unreadable=("reason",),
            put=True,
        ),
        Kind(
            "Connection",
            "/api/v1/connections",
            ("name",),
            unreadable=("credential",),
            fixed=("team",),
        ),
        Kind(MANIFEST, "/api/v1/deployments", ("name", "environment"), owner="project"),
        Kind(
            "Endpoint",
            "/api/v1/endpoints",
            ("name", "environment"),
            fixed=("project",),
            owner="project",
        ),
        Kind("Limit", "/api/v1/limits", _SUBJECT, fixed=("environment",), owner="project"),
        Kind(
            "Budget",
            "/api/v1/budgets",
            (*_SUBJECT, "period"),
            fixed=("environment",),
            owner="project",
        ),
    )
}
