"""Rules of evaluations."""

from towpath_server.domains.evaluations.service.judge import judge as judge
from towpath_server.domains.evaluations.service.records import get as get
from towpath_server.domains.evaluations.service.records import list as list  # noqa: A004
from towpath_server.domains.evaluations.service.records import of_content as of_content
from towpath_server.domains.evaluations.service.records import on_record as on_record
from towpath_server.domains.evaluations.service.records import record as record

__all__ = ["get", "judge", "list", "of_content", "on_record", "record"]
