"""
`towpath upgrade`: replaces what `towpath up` runs by another build, while it goes on serving.

`command` asks the running supervisor over a socket in the data folder (`desk`). That one asks the
other build what it is (`report`), becomes it in place (`handover`: its process id, its children and
its listeners stay), and then replaces the control plane and the gateway (`replace`). Model servers
are nobody's children and are not touched.
"""

from towpath_server.supervisor.succession.command import upgrade as upgrade

__all__ = ["upgrade"]
