"""Keys and service accounts on the wire."""

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from towpath_server.core.clock import to_ms
from towpath_server.domains.keys.models import Environment, Key, Priority
from towpath_server.web.schemas import In, Name, Ref, Resource, Text, at, at_or_none

_MAX_LISTED = 200  # endpoints or networks of one key: they travel with every change of it
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MAX_GRACE_MS = 90 * _UNITS_MS["d"]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError("must be a network such as `10.0.0.0/8`") from error


def _grace(text: str) -> str:
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not match or int(match[1]) * _UNITS_MS[match[2]] > _MAX_GRACE_MS:
        raise ValueError("must be a duration such as `15m`, `24h` or `7d`, at most `90d`")
    return text


def _unique(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("names something twice")
    return values


Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
Grace = Annotated[str, Field(max_length=16), AfterValidator(_grace)]
Operation = Literal[
    "chat",
    "completions",
    "embeddings",
    "predict",
    "models",
    "rerank",
    "transcriptions",
    "count_tokens",
]
DataClass = Literal["public", "internal", "confidential", "restricted"]
KeyScope = Literal["invoke", "read"]
Scope = Literal["invoke", "read", "deploy"]
Endpoints = Annotated[
    list[Name], Field(min_length=1, max_length=_MAX_LISTED), AfterValidator(_unique)
]
Operations = Annotated[list[Operation], Field(min_length=1), AfterValidator(_unique)]
Sources = Annotated[
    list[Network], Field(min_length=1, max_length=_MAX_LISTED), AfterValidator(_unique)
]


def grace_ms(text: str) -> int:
    """Turn a grace period into milliseconds."""
    return int(text[:-1]) * _UNITS_MS[text[-1]]


def changed_fields(changes: dict[str, Any]) -> dict[str, Any]:
    """Name the fields of a PATCH as the model does."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    if "expires_at" in fields:
        expires = fields.pop("expires_at")
        fields["expires_at_ms"] = to_ms(expires) if expires else None
    return fields


class KeyCreate(In):
    """A new key."""

    project: Ref = Field(description="`team/project`, or the id.")
    environment: Environment
    name: Text
    application: Ref | None = Field(None, description="An application of the project.")
    scopes: Annotated[list[KeyScope], Field(min_length=1)] = Field(
        default_factory=lambda: ["invoke", "read"]
    )
    endpoints: Endpoints | None = Field(None, description="The only endpoints it may call.")
    operations: Operations | None = Field(None, description="The only operations it may use.")
    sources: Sources | None = Field(None, description="The only networks it is valid from.")
    max_data_class: DataClass | None = Field(None, description="The most sensitive it may send.")
    priority: Priority | None = Field(
        None, description="How its calls stand where they wait for a target; `default` if absent."
    )
    expires_at: AwareDatetime | None = None


class KeyUpdate(In):
    """What may change; what is absent stays, null takes a restriction away."""

    name: Text = ""
    endpoints: Endpoints | None = None
    operations: Operations | None = None
    sources: Sources | None = None
    max_data_class: DataClass | None = None
    priority: Priority | None = None
    expires_at: AwareDatetime | None = None


class KeyRotate(In):
    """How to replace a key."""

    grace: Grace = Field("24h", description="How long the old one still works: `0s` to `90d`.")


class KeyOut(Resource):
    """A key, by which its owner tells it apart; never the key itself."""

    team: str
    project: str
    environment: Environment
    name: str
    hint: str = Field(description="The first characters after the prefix.")
    application: str | None
    scopes: list[str]
    endpoints: list[str] | None
    operations: list[str] | None
    sources: list[str] | None
    max_data_class: str | None
    priority: Priority | None
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None

    @classmethod
    def of(cls, key: Key) -> "KeyOut":
        """Write a key."""
        return cls.model_validate(cls.fields(key))

    @staticmethod
    def fields(key: Key) -> dict[str, Any]:
        """Return what is shown of a key."""
        return {
            **_common(key),
            "application": key.application_id,
            "endpoints": _listed(key.endpoints),
            "operations": _listed(key.operations),
            "sources": _listed(key.sources),
            "max_data_class": key.max_data_class,
            "priority": key.priority,
            "rotated_from": key.rotated_from,
        }


class KeyCreated(KeyOut):
    """A new key, shown this once."""

    key: str


class AccountCreate(In):
    """A new service account."""

    project: Ref = Field(description="`team/project`, or the id.")
    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1), AfterValidator(_unique)]
    environment: Environment = Field(
        Environment.SANDBOX, description="The environment its calls to models belong to."
    )
    expires_at: AwareDatetime | None = None


class AccountUpdate(In):
    """What may change; what is absent stays."""

    scopes: Annotated[list[Scope], Field(min_length=1), AfterValidator(_unique)] = Field(
        default_factory=list
    )
    expires_at: AwareDatetime | None = None


class AccountOut(Resource):
    """A service account; never its token."""

    team: str
    project: str
    environment: Environment
    name: str
    hint: str
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, account: Key) -> "AccountOut":
        """Write a service account."""
        return cls.model_validate(_common(account))


class AccountCreated(AccountOut):
    """A new service account, its token shown this once."""

    token: str

    @classmethod
    def with_token(cls, account: Key, token: str) -> "AccountCreated":
        """Write a service account together with its token."""
        return cls.model_validate({**_common(account), "token": token})


def _common(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "revision": key.revision,
        "created_at": at(key.created_at_ms),
        "updated_at": at(key.updated_at_ms),
        "team": key.team_id,
        "project": key.project_id,
        "environment": key.environment,
        "name": key.name,
        "hint": key.hint,
        "scopes": [*key.scopes],
        "expires_at": at_or_none(key.expires_at_ms),
        "last_used_at": at_or_none(key.last_used_at_ms),
    }


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else [*values]
