"""`towpath up`: binds the listeners, starts the parts and replaces what dies; no domain code.

The parts never depend on this process once they run: they have sessions of their own, write to
files, and go on when it is killed. What it adds is that the address is always bound and somebody
restarts them.
"""

from towpath_server.supervisor.command import up as up
from towpath_server.supervisor.succession import upgrade as upgrade

__all__ = ["up", "upgrade"]
