"""Rules of models."""

from towpath_server.domains.models.service.names import MAX_TAGS as MAX_TAGS
from towpath_server.domains.models.service.names import create as create
from towpath_server.domains.models.service.names import delete as delete
from towpath_server.domains.models.service.names import find as find
from towpath_server.domains.models.service.names import get as get
from towpath_server.domains.models.service.names import list as list  # noqa: A004
from towpath_server.domains.models.service.names import owner_of as owner_of
from towpath_server.domains.models.service.names import suggestion as suggestion
from towpath_server.domains.models.service.names import update as update
from towpath_server.domains.models.service.versions import add_version as add_version
from towpath_server.domains.models.service.versions import check_format as check_format
from towpath_server.domains.models.service.versions import file_of as file_of
from towpath_server.domains.models.service.versions import get_version as get_version
from towpath_server.domains.models.service.versions import import_version as import_version
from towpath_server.domains.models.service.versions import latest as latest
from towpath_server.domains.models.service.versions import list_versions as list_versions
from towpath_server.domains.models.service.versions import register as register
from towpath_server.domains.models.service.versions import update_version as update_version

__all__ = [
    "MAX_TAGS",
    "add_version",
    "check_format",
    "create",
    "delete",
    "file_of",
    "find",
    "get",
    "get_version",
    "import_version",
    "latest",
    "list",
    "list_versions",
    "owner_of",
    "register",
    "suggestion",
    "update",
    "update_version",
]
