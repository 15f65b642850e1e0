"""Derived from `towpath/resources/sources.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, Unpack
from urllib.parse import quote

from towpath.generated.paging import Pages
from towpath.generated.resources.noun import Noun
from towpath.types import Connection, Import


class ConnectionFields(TypedDict):
    """What a connection may say of where it leads."""

    endpoint: NotRequired[str | None]
    region: NotRequired[str | None]
    username: NotRequired[str | None]
    credential: NotRequired[str | None]
    ca_pem: NotRequired[str | None]


class ImportOptions(TypedDict):
    """What may be said of a model that is imported."""

    project: NotRequired[str]
    format: NotRequired[str]
    licence: NotRequired[str]
    tags: NotRequired[Mapping[str, str]]


class Connections(Noun[Connection]):
    """How models outside are reached, and as whom."""

    _path = "/api/v1/connections"
    _kind = Connection

    def create(
        self,
        *,
        name: str,
        location: str,
        team: str | None = None,
        **more: Unpack[ConnectionFields],
    ) -> Connection:
        """
        Declare how models below a location are reached.

        Args:
            location: The beginning of their addresses, such as `s3://bucket/team-a/`.
            team: Whose it is. None: the organisation's.
        """
        owner = {} if team is None else {"team": team}
        return self._create({"name": name, "location": location, **owner, **more})

    def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Connection:
        """Change a connection, or rotate its `credential`; what is not given stays."""
        return self._update(ref, changes, if_match)

    def list(self, **query: Any) -> Pages[Connection]:
        """List the organisation's connections and those of the own teams."""
        return self._listed(query)


class Imports(Noun[Import]):
    """Models on their way into the registry; `delete` cancels one."""

    _path = "/api/v1/imports"
    _kind = Import

    def create(self, model: str, *, uri: str, **more: Unpack[ImportOptions]) -> Import:
        """
        Bring a model from outside, as the next version; it goes on by itself.

        Args:
            model: Its name in the registry; with `project`, one is made where there is none.
            uri: `hf://…`, `oci://…`, `s3://…` or `https://…#sha256=…`.
        """
        path = f"/api/v1/models/{quote(model, safe='')}/imports"
        return Import.of(*self._client.call("POST", path, body={"uri": uri, **more}))

    def list(self, **query: Any) -> Pages[Import]:
        """List imports, newest first; `model` narrows to one model."""
        return self._listed(query)
