"""Recording results, and finding them again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from towpath_server.core import ids
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.evaluations import store
from towpath_server.domains.evaluations.errors import DigestOfAnother
from towpath_server.domains.evaluations.models import Draft, Evaluation
from towpath_server.domains.models import service as models

Follower = Callable[[Tx, str], Awaitable[None]]

_followers: list[Follower] = []


def on_record(follow: Follower) -> Follower:
    """Register who must hear, in the same transaction, of a result for a digest."""
    _followers.append(follow)
    return follow


async def record(tx: Tx, caller: Principal, draft: Draft) -> Evaluation:
    """
    Record what a suite found out about a version; it is never changed, and the newest counts.

    Raises:
        NotFound: There is no such version that the caller may see.
        Forbidden: The caller may not record results of its project.
        DigestOfAnother: The version has another content than was evaluated.
    """
    version = await models.get_version(tx, caller, draft.model, draft.version)
    model = await models.find(tx, version.model_id)
    if model is None:
        raise NotFound("model", draft.model)
    caller.require(Verb.CREATE, "evaluation", team=model.team_id, project=model.project_id)
    if draft.digest is not None and draft.digest != version.digest:
        raise DigestOfAnother(version.uri, version.digest, draft.digest)
    made = Evaluation(
        id=ids.new("evl"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        team_id=model.team_id,
        project_id=model.project_id,
        model=model.name,
        version=version.number,
        digest=version.digest,
        suite=draft.suite,
        suite_version=draft.suite_version,
        runtime=draft.runtime,
        metrics=draft.metrics,
        verdict=draft.verdict,
        source=draft.source,
        created_by=caller.id,
    )
    await store.insert(tx, made)
    await audit.append(
        tx,
        caller,
        action="evaluation.recorded",
        noun="evaluation",
        id=made.id,
        team=made.team_id,
        changes={
            "model": version.uri,
            "digest": made.digest,
            "suite": f"{made.suite}@{made.suite_version}",
            "metrics": {name: asdict(metric) for name, metric in made.metrics.items()},
            "source": made.source,
        },
    )
    for follow in _followers:
        await follow(tx, made.digest)
    return made


async def get(tx: Tx, caller: Principal, ref: str) -> Evaluation:
    """
    Return a result by id.

    Raises:
        NotFound: There is none that the caller may see.
    """
    found = await store.find(tx, ref)
    if found is None:
        raise NotFound("evaluation", ref)
    caller.require(Verb.READ, "evaluation", team=found.team_id, project=found.project_id, ref=ref)
    return found


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, model: str | None, suite: str | None
) -> Slice[Evaluation]:
    """List the results of one's own models, oldest first."""
    found = await store.page(tx, caller.reach("evaluation"), window, model=model, suite=suite)
    return Slice.cut(found, window)


async def of_content(tx: Tx, digest: str, *, runtime: str) -> Sequence[Evaluation]:
    """Return the last result of each suite and version of it for a content, whoever asks."""
    found = await store.of_content(tx, digest, runtime=runtime, limit=_MOST_OF_CONTENT)
    last = {(one.suite, one.suite_version): one for one in reversed(found)}
    return [*last.values()]


_MOST_OF_CONTENT = 500  # results of one content that anybody looks at: some dozens of suites
