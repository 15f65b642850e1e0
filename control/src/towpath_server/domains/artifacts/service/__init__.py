"""Rules of artifacts."""

from towpath_server.domains.artifacts.service.collect import collect as collect
from towpath_server.domains.artifacts.service.holding import STORE as STORE
from towpath_server.domains.artifacts.service.holding import brought as brought
from towpath_server.domains.artifacts.service.holding import check_size as check_size
from towpath_server.domains.artifacts.service.holding import claim as claim
from towpath_server.domains.artifacts.service.holding import note as note
from towpath_server.domains.artifacts.service.holding import shown as shown
from towpath_server.domains.artifacts.service.holding import uploaded as uploaded
from towpath_server.domains.artifacts.service.holding import uploaded_size as uploaded_size
from towpath_server.domains.artifacts.service.uploads import append as append
from towpath_server.domains.artifacts.service.uploads import begin as begin
from towpath_server.domains.artifacts.service.uploads import discard as discard
from towpath_server.domains.artifacts.service.uploads import finish as finish
from towpath_server.domains.artifacts.service.uploads import get as get
from towpath_server.domains.artifacts.service.uploads import list as list  # noqa: A004
from towpath_server.domains.artifacts.service.uploads import upload as upload

__all__ = [
    "STORE",
    "append",
    "begin",
    "brought",
    "check_size",
    "claim",
    "collect",
    "discard",
    "finish",
    "get",
    "list",
    "note",
    "shown",
    "upload",
    "uploaded",
    "uploaded_size",
]
