"""What a file is."""

import enum
from dataclasses import dataclass


class Purpose(enum.StrEnum):
    """What a file is for."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"


class Order(enum.StrEnum):
    """In which order lists are, by time of creation."""

    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True)
class File:
    """Bytes that a program uploaded, or that a batch answered; they never change."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    project_id: str
    environment: str
    purpose: Purpose
    filename: str
    digest: str
    size_bytes: int
    expires_at_ms: int | None = None


@dataclass(frozen=True)
class Place:
    """To whom a file belongs."""

    team_id: str
    project_id: str
    environment: str
