"""Where models come from: connections and imports."""

from datetime import datetime
from typing import Literal

from towpath.model import Model
from towpath.types.resource import Resource

ImportPhase = Literal["queued", "fetching", "registering", "done", "failed"]


class Connection(Resource):
    """How models below a location are reached; its credential is never shown."""

    name: str
    team: str | None
    location: str
    endpoint: str | None
    region: str | None
    username: str | None
    has_credential: bool
    ca_pem: str | None


class ImportAmount(Model):
    """How much has come, of how much where that is known."""

    done: int
    total: int | None


class Import(Resource):
    """A model on its way into the registry, and after that what became of it."""

    model: str
    project: str
    uri: str
    pinned: str | None
    phase: ImportPhase
    bytes: ImportAmount
    files: ImportAmount
    format: str | None
    version: int | None
    attempts: int
    retry_at: datetime | None
    reason: str | None
    message: str | None
    fix: str | None
    created_by: str
    ended_at: datetime | None
