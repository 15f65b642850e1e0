"""How many replicas there are to be: from the load, within bounds, quota and machine."""

from towpath_server.domains.deployments.service.scaling.decide import Wanted as Wanted
from towpath_server.domains.deployments.service.scaling.decide import decide as decide
from towpath_server.domains.deployments.service.scaling.habit import HOLD_MS as HOLD_MS
from towpath_server.domains.deployments.service.scaling.load import Facts as Facts
from towpath_server.domains.deployments.service.scaling.load import Standing as Standing
from towpath_server.domains.deployments.service.scaling.load import concerns as concerns
from towpath_server.domains.deployments.service.scaling.load import decisions as decisions
from towpath_server.domains.deployments.service.scaling.load import demands as demands
from towpath_server.domains.deployments.service.scaling.load import estimates as estimates
from towpath_server.domains.deployments.service.scaling.load import facts as facts
from towpath_server.domains.deployments.service.scaling.load import hear as hear
from towpath_server.domains.deployments.service.scaling.load import limited as limited
from towpath_server.domains.deployments.service.scaling.load import scale as scale
from towpath_server.domains.deployments.service.scaling.load import scaled as scaled
from towpath_server.domains.deployments.service.scaling.load import standing as standing
from towpath_server.domains.deployments.service.scaling.load import usual as usual
from towpath_server.domains.deployments.service.scaling.load import woken as woken
from towpath_server.domains.deployments.service.scaling.room import find as room
from towpath_server.domains.deployments.service.scaling.windows import FRESH_MS as FRESH_MS
from towpath_server.domains.deployments.service.scaling.windows import Windows as Windows

__all__ = [
    "FRESH_MS",
    "HOLD_MS",
    "Facts",
    "Standing",
    "Wanted",
    "Windows",
    "concerns",
    "decide",
    "decisions",
    "demands",
    "estimates",
    "facts",
    "hear",
    "limited",
    "room",
    "scale",
    "scaled",
    "standing",
    "usual",
    "woken",
]
