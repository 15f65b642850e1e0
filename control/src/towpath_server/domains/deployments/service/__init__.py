"""Rules of deployments."""

from towpath_server.domains.deployments.service.apply import DRAIN_MS as DRAIN_MS
from towpath_server.domains.deployments.service.apply import apply as apply
from towpath_server.domains.deployments.service.apply import check as check
from towpath_server.domains.deployments.service.apply import delete as delete
from towpath_server.domains.deployments.service.apply import expire as expire
from towpath_server.domains.deployments.service.expiry import due as due
from towpath_server.domains.deployments.service.expiry import renew as renew
from towpath_server.domains.deployments.service.held import held as held
from towpath_server.domains.deployments.service.history import self_service as self_service
from towpath_server.domains.deployments.service.history import served as served
from towpath_server.domains.deployments.service.log import events as events
from towpath_server.domains.deployments.service.log import forget as forget_events
from towpath_server.domains.deployments.service.observe import carry as carry
from towpath_server.domains.deployments.service.observe import conclude as conclude
from towpath_server.domains.deployments.service.observe import counted as counted
from towpath_server.domains.deployments.service.observe import expose as expose
from towpath_server.domains.deployments.service.observe import forget as forget
from towpath_server.domains.deployments.service.observe import forget_replica as forget_replica
from towpath_server.domains.deployments.service.observe import grow as grow
from towpath_server.domains.deployments.service.observe import judged as judged
from towpath_server.domains.deployments.service.observe import known_replicas as known_replicas
from towpath_server.domains.deployments.service.observe import replica_changed as replica_changed
from towpath_server.domains.deployments.service.observe import retire as retire
from towpath_server.domains.deployments.service.observe import roll as roll
from towpath_server.domains.deployments.service.observe import secret_of as secret_of
from towpath_server.domains.deployments.service.promote import ask as ask
from towpath_server.domains.deployments.service.promote import check_promotion as check_promotion
from towpath_server.domains.deployments.service.promote import promote as promote
from towpath_server.domains.deployments.service.promote import promote_approved as promote_approved
from towpath_server.domains.deployments.service.read import get as get
from towpath_server.domains.deployments.service.read import holders as holders
from towpath_server.domains.deployments.service.read import list as list  # noqa: A004
from towpath_server.domains.deployments.service.read import load as load
from towpath_server.domains.deployments.service.read import loads as loads
from towpath_server.domains.deployments.service.read import moving as moving
from towpath_server.domains.deployments.service.read import pending as pending
from towpath_server.domains.deployments.service.read import was_ready as was_ready
from towpath_server.domains.deployments.service.revisions import aborted as aborted
from towpath_server.domains.deployments.service.revisions import at_revision as at_revision
from towpath_server.domains.deployments.service.revisions import former as former
from towpath_server.domains.deployments.service.revisions import returning as returning
from towpath_server.domains.deployments.service.revisions import revisions as revisions
from towpath_server.domains.deployments.service.routed import (
    routed_candidates as routed_candidates,
)
from towpath_server.domains.deployments.service.routed import (
    routed_credentials as routed_credentials,
)
from towpath_server.domains.deployments.service.routed import routed_targets as routed_targets
from towpath_server.domains.deployments.service.trials import begin_trial as begin_trial
from towpath_server.domains.deployments.service.trials import end_trial as end_trial
from towpath_server.domains.deployments.service.trials import endpoint_name as endpoint_name
from towpath_server.domains.deployments.service.trials import hold_trial as hold_trial
from towpath_server.domains.deployments.service.trials import open_trial as open_trial
from towpath_server.domains.deployments.service.trials import open_trials as open_trials
from towpath_server.domains.deployments.service.trials import routed_keys as routed_keys
from towpath_server.domains.deployments.service.trials import routed_projects as routed_projects
from towpath_server.domains.deployments.service.trials import (
    routed_trial_endpoints as routed_trial_endpoints,
)
from towpath_server.domains.deployments.service.trials import (
    routed_trial_targets as routed_trial_targets,
)
from towpath_server.domains.deployments.service.trials import trial as trial

__all__ = [
    "DRAIN_MS",
    "aborted",
    "apply",
    "ask",
    "at_revision",
    "begin_trial",
    "carry",
    "check",
    "check_promotion",
    "conclude",
    "counted",
    "delete",
    "due",
    "end_trial",
    "endpoint_name",
    "events",
    "expire",
    "expose",
    "forget",
    "forget_events",
    "forget_replica",
    "former",
    "get",
    "grow",
    "held",
    "hold_trial",
    "holders",
    "judged",
    "known_replicas",
    "list",
    "load",
    "loads",
    "moving",
    "open_trial",
    "open_trials",
    "pending",
    "promote",
    "promote_approved",
    "renew",
    "replica_changed",
    "retire",
    "returning",
    "revisions",
    "roll",
    "routed_candidates",
    "routed_credentials",
    "routed_keys",
    "routed_projects",
    "routed_targets",
    "routed_trial_endpoints",
    "routed_trial_targets",
    "secret_of",
    "self_service",
    "served",
    "trial",
    "was_ready",
]
