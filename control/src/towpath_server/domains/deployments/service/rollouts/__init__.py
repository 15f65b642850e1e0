"""Newer revisions that take over step by step: what is counted, decided and written."""

from towpath_server.domains.deployments.service.rollouts.acts import Act as Act
from towpath_server.domains.deployments.service.rollouts.acts import Standing as Standing
from towpath_server.domains.deployments.service.rollouts.acts import abort as abort
from towpath_server.domains.deployments.service.rollouts.acts import act as act
from towpath_server.domains.deployments.service.rollouts.acts import standing as standing
from towpath_server.domains.deployments.service.rollouts.counts import concerns as concerns
from towpath_server.domains.deployments.service.rollouts.counts import hear as hear
from towpath_server.domains.deployments.service.rollouts.decide import Kind as Kind
from towpath_server.domains.deployments.service.rollouts.decide import Move as Move
from towpath_server.domains.deployments.service.rollouts.decide import Trouble as Trouble
from towpath_server.domains.deployments.service.rollouts.decide import decide as decide
from towpath_server.domains.deployments.service.rollouts.words import progress as progress

__all__ = [
    "Act",
    "Kind",
    "Move",
    "Standing",
    "Trouble",
    "abort",
    "act",
    "concerns",
    "decide",
    "hear",
    "progress",
    "standing",
]
