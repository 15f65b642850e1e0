"""What runs imports: listing a source, storing its files, registering the version."""

from functools import partial

from towpath_server.adapters.egress import EgressClient
from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.sources.opening import open_source
from towpath_server.core.db import Database
from towpath_server.core.source_settings import SourceSettings
from towpath_server.domains.imports.reconcile.loop import ImportLoop as ImportLoop
from towpath_server.domains.imports.reconcile.runner import Opening as Opening
from towpath_server.domains.imports.reconcile.runner import Runner as Runner
from towpath_server.loops.lease import Lease


def loop(
    db: Database,
    facilities: Facilities,
    egress: EgressClient,
    settings: SourceSettings,
    *,
    holder: str,
) -> ImportLoop:
    """Make the loop that brings models by the one client that goes out; run it in a task."""
    # What lies there is removed by the next start, after a crash too.
    scratch = facilities.folder.artifacts / "incoming"
    opening = partial(open_source, egress=egress, settings=settings, scratch=scratch)
    return ImportLoop(Runner(db, facilities, opening), Lease(db, "imports", holder))
