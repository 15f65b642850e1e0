"""Every route of the API, as the tests over all of them see it."""

from collections.abc import Iterator
from dataclasses import dataclass

import admission_examples as admission_examples  # registers its examples
import batch_examples as batch_examples  # registers its examples
import environment_examples as environment_examples  # registers its examples
import policy_examples as policy_examples  # registers its examples
import serving_examples as serving_examples  # registers its examples
import source_examples as source_examples  # registers its examples
from examples import EXAMPLES, Make
from fastapi.routing import APIRoute

from towpath_server.api import OPENAI_ROUTERS, ROUTERS
from towpath_server.core.access import Verb

_VERBS = {
    "GET": Verb.READ,
    "HEAD": Verb.READ,
    "POST": Verb.CREATE,
    "PUT": Verb.CREATE,
    "PATCH": Verb.UPDATE,
    "DELETE": Verb.DELETE,
}
# A rotation changes a key, a cancellation a batch, a renewal or a pause a deployment, a decision a request; who
# may ask for an upload's presence is who may upload it; a collection deletes; policies are tried out
# by whoever may read them.
_OTHER_VERBS = {
    "/keys/{key}/rotate": Verb.UPDATE,
    "/blobs/{digest}": Verb.CREATE,
    "/uploads/{upload}/finish": Verb.UPDATE,
    "/artifacts/collect": Verb.DELETE,
    "/v1/batches/{batch}/cancel": Verb.UPDATE,
    "/policies/evaluate": Verb.READ,
    "/deployments/{deployment}/renew": Verb.UPDATE,
    "/deployments/{deployment}/rollout/pause": Verb.UPDATE,
    "/deployments/{deployment}/rollout/resume": Verb.UPDATE,
    "/deployments/{deployment}/rollout/finish": Verb.UPDATE,
    "/deployments/{deployment}/rollout/abort": Verb.UPDATE,
    "/approvals/{approval}/approve": Verb.UPDATE,
    "/approvals/{approval}/reject": Verb.UPDATE,
}


@dataclass(frozen=True)
class Route:
    """A method on a path."""

    method: str
    path: str
    noun: str
    streaming: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def verb(self) -> Verb:
        """What it does to its noun."""
        return _OTHER_VERBS.get(self.path, _VERBS[self.method])

    def resource(self, path: str) -> str:
        """Return the resource that a call of this route changes."""
        acts = self.path in _OTHER_VERBS and not self.path.endswith("}")
        return path.rpartition("/")[0] if acts else path

    @property
    def openai(self) -> bool:
        """Tell whether it is of OpenAI's API, which has neither revisions nor our lists."""
        return self.path.startswith("/v1/")

    @property
    def make(self) -> Make:
        """The example."""
        return EXAMPLES[self.method, self.path]

    @property
    def has_example(self) -> bool:
        """Tell whether the registry knows it."""
        return (self.method, self.path) in EXAMPLES

    @property
    def is_list(self) -> bool:
        """Tell whether it lists, rather than returning one thing."""
        return self.method == "GET" and "{" not in self.path


def every_route() -> Iterator[Route]:
    """List all routes with a principal."""
    for router in (*ROUTERS, *OPENAI_ROUTERS):
        for route in router.routes:
            if isinstance(route, APIRoute):
                streaming = type(route).__name__ == "StreamingRoute"
                for method in sorted(route.methods or ()):
                    yield Route(method, route.path, str(route.tags[0]), streaming)


ROUTES = tuple(every_route())
WRITES = tuple(
    route
    for route in ROUTES
    if route.verb is not Verb.READ and not route.streaming and not route.openai
)
