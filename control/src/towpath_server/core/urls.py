"""Addresses of databases, checked without loading a driver: the supervisor reads settings too."""

from towpath_server.core.errors import InvalidRequest


def engine_url(url: str) -> str:
    """
    Name the asynchronous driver in a plain database URL.

    Raises:
        InvalidRequest: The URL is of neither engine.
    """
    scheme, separator, rest = url.partition("://")
    engine = scheme.partition("+")[0]
    if separator and engine == "sqlite":
        return f"sqlite+aiosqlite://{rest}"
    if separator and engine in {"postgresql", "postgres"}:
        return f"postgresql+asyncpg://{rest}"
    named = f"`{scheme}` is" if separator else "This is"  # without `://` it may hold a password
    raise InvalidRequest(
        f"{named} not a database that Towpath runs on.",
        fix="Use `postgresql://user:password@host:5432/name`, or leave it out for SQLite.",
    )
