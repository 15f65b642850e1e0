"""What runs batches: reading their files, calling models, writing what came of it."""

from towpath_server.domains.batches.reconcile.loop import BatchLoop as BatchLoop
from towpath_server.domains.batches.reconcile.runner import Gateway as Gateway
from towpath_server.domains.batches.reconcile.runner import Runner as Runner
