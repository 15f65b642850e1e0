"""Rules of people: users, their tokens, their memberships, and who a token belongs to."""

from towpath_server.domains.users.service.people import create, delete, get, update
from towpath_server.domains.users.service.people import list as list  # noqa: A004 (the verb)
from towpath_server.domains.users.service.principals import (
    authenticate,
    authenticate_admin,
    ensure_admin_key,
)

__all__ = [
    "authenticate",
    "authenticate_admin",
    "create",
    "delete",
    "ensure_admin_key",
    "get",
    "list",
    "update",
]
