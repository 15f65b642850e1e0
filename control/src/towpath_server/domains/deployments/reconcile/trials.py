"""
Running trials: each smoke test is asked of each new replica, through the gateway.

A trial starts from what the database says and may be cut off anywhere: the next run mints a new key
and asks again, since a test changes nothing. What only wants a gateway, room or a healthy replica
is waited for; what a model answers wrongly is the result.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from towpath_server.adapters.answers.judge import CannotJudge, Case, Flaw, judge
from towpath_server.adapters.gateway.client import Answer, AnswerTooLarge, GatewayAway
from towpath_server.core import durations
from towpath_server.core import log as logging
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models import Replica, View
from towpath_server.domains.deployments.models.proving import Result, SmokeTest, Trial
from towpath_server.domains.evaluations.models import Outcome
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

WAIT_S = 120.0  # of one answer, where no `maxLatency` ends it sooner
PAUSE_S = 1.0  # before what wants a gateway, room or a replica is tried again
INTERVAL_S = 5.0  # how soon a trial begins whose wake-up was lost
MAX_FAULTS = 5  # in a row: an upstream that fails as often fails the test
_PARALLEL = 8  # trials at a time; each asks one test after the other
_LASTS_MS = 3_600_000  # the key ends by itself, should nobody come to end it
_PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
_WAIT = frozenset({401, 404, 429, 503})  # the table has not arrived, or there is no room
_SHOWN = 300  # characters of an answer in a message


class Gateway(Protocol):
    """Calls models, once a call."""

    async def post(self, path: str, body: bytes, token: Secret, headers: dict[str, str]) -> Answer:
        """
        Make one call.

        Raises:
            GatewayAway: No whole answer came.
            AnswerTooLarge: The answer is larger than may be kept.
        """
        ...


class NotYet(Exception):
    """The test says nothing about the model: no gateway, no room, or no healthy replica."""


@dataclass(frozen=True)
class _Asked:
    """One test, asked of one replica."""

    test: SmokeTest
    replica: Replica
    ms: int
    first_ms: int | None = None
    document: Any = None
    wrong: tuple[Flaw, ...] = ()


class Tester:
    """Takes the steps of trials."""

    def __init__(
        self,
        db: Database,
        gateway: Gateway,
        *,
        sources: tuple[str, ...] | None,
        applied: Callable[[int], Awaitable[bool]],
    ) -> None:
        """
        Prepare; nothing is asked yet.

        Args:
            sources: Networks that calls come from; none: any.
            applied: Waits, bounded, until the gateways have a revision of the routing table.
        """
        self._db = db
        self._gateway = gateway
        self._sources = sources
        self._applied = applied
        self._faults: dict[str, int] = {}

    async def pending(self) -> Sequence[str]:
        """Return the trials that are not over."""
        async with self._db.read() as tx:
            return await deployments.open_trials(tx)

    async def step(self, trial_id: str) -> bool:
        """Run a trial once; tell whether it is over."""
        async with self._db.write() as tx:
            view = await deployments.trial(tx, trial_id)
            if view is None or view.trial is None or not view.able:
                return False
            secret = await deployments.begin_trial(
                tx, view.trial, lasts_ms=_LASTS_MS, sources=self._sources
            )
        if tx.revision is not None:
            await self._applied(tx.revision)
        try:
            results = await self._ask_all(view, view.trial, secret)
        except NotYet as error:
            await self._hold(trial_id, str(error))
            return False
        async with self._db.write() as tx:
            now = await deployments.trial(tx, trial_id)
            if now is None or now.trial is None:
                return True  # another revision was declared meanwhile
            await deployments.end_trial(tx, now.trial, results)
        self._faults.pop(trial_id, None)
        return True

    async def _hold(self, trial_id: str, note: str) -> None:
        async with self._db.write() as tx:
            now = await deployments.trial(tx, trial_id)
            if now is not None and now.trial is not None:
                await deployments.hold_trial(tx, now.trial, note)

    async def _ask_all(self, view: View, trial: Trial, secret: Secret) -> list[Result]:
        replicas = [one for one in view.of(view.current.number) if one.ready]
        asked = [
            await self._ask(trial, test, replica, secret)
            for test in view.current.proving.tests
            for replica in replicas
        ]
        self._faults.pop(trial.id, None)
        judged = await _judged(asked)
        return [
            _result(test, [one for one in judged if one.test is test], len(replicas))
            for test in view.current.proving.tests
        ]

    async def _ask(self, trial: Trial, test: SmokeTest, replica: Replica, secret: Secret) -> _Asked:
        """
        Ask one test of one replica.

        Raises:
            NotYet: What came says nothing about the model.
        """
        name = deployments.endpoint_name(trial.id, replica.ordinal)
        path = _PATHS.get(test.operation or "", f"/v1/models/{name}/predict")
        body = dict(test.request)
        if test.operation in _PATHS:
            body["model"] = name
        if test.stream:
            body["stream"] = True
        bound_s = (test.expect.max_latency_ms or WAIT_S * 1000) / 1000
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(bound_s):
                answer = await self._gateway.post(path, json.dumps(body).encode(), secret, {})
        except TimeoutError:
            within = durations.from_ms(round(bound_s * 1000))
            flaw = Flaw("maxLatency", f"an answer within {within}", "none by then")
            return _Asked(test, replica, round(bound_s * 1000), wrong=(flaw,))
        except AnswerTooLarge:
            flaw = Flaw("answer", "one that can be kept", "a larger one")
            return _Asked(test, replica, round((clock() - began) * 1000), wrong=(flaw,))
        except GatewayAway as error:
            raise NotYet("No gateway answers; the tests go on when one does.") from error
        ms = round((clock() - began) * 1000)
        self._check_ours(trial, test, answer)
        return read(test, replica, ms, answer)

    def _check_ours(self, trial: Trial, test: SmokeTest, answer: Answer) -> None:
        """
        Tell what the platform answers from what the model does.

        Raises:
            NotYet: It is the platform's, and worth another try.
        """
        if answer.status not in _WAIT and answer.status < 502:
            return
        if answer.status == test.expect.status:
            return
        faults = self._faults[trial.id] = self._faults.get(trial.id, 0) + 1
        if faults < MAX_FAULTS:
            raise NotYet(f"`{test.name}` was answered with {answer.status}; it is asked again.")


class TrialLoop:
    """Runs trials side by side, as long as this instance holds the lease."""

    def __init__(self, tester: Tester, lease: Lease, *, interval_s: float = INTERVAL_S) -> None:
        self._tester = tester
        self._lease = lease
        self._interval_s = interval_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for trials again, soon."""
        self._wake.set()

    async def run(self) -> None:
        """Run trials until cancelled."""
        try:
            while True:
                self._wake.clear()
                await self.round()
                try:
                    async with asyncio.timeout(self._interval_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            await self._stop()

    async def round(self) -> None:
        """Begin what is open; stop everything when the lease is another's."""
        try:
            if not await self._lease.held():
                await self._stop()
                return
            found = await self._tester.pending()
        except TowpathError as error:  # the database is away
            log.warning("trials.interrupted", code=error.code, **error.log)
            return
        for trial in found:
            if trial not in self._running and len(self._running) < _PARALLEL:
                task = asyncio.create_task(self._settle(trial))
                self._running[trial] = task
                task.add_done_callback(lambda _, id_=trial: self._running.pop(id_, None))

    async def _settle(self, trial: str) -> None:
        """Take one step, and some rest where it has to be taken again."""
        try:
            if await self._tester.step(trial):
                return
        except Exception:  # one broken trial must not stop the others
            log.exception("trial.step_failed", trial=trial)
        await asyncio.sleep(PAUSE_S)
        self.wake()

    async def _stop(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def read(test: SmokeTest, replica: Replica, ms: int, answer: Answer) -> _Asked:
    """Look at everything that needs no judging: status, times, and whether it can be read."""
    wrong = []
    expect = test.expect
    text = answer.body.decode("utf-8", "replace")
    if answer.status != expect.status:
        said = f"{answer.status}: {text[:_SHOWN]}"
        return _Asked(test, replica, ms, wrong=(Flaw("status", str(expect.status), said),))
    first_ms = None if answer.first_s is None else round(answer.first_s * 1000)
    came_ms = ms if first_ms is None else first_ms
    if expect.first_chunk_ms is not None and came_ms > expect.first_chunk_ms:
        wrong.append(
            Flaw("firstChunkWithin", f"at most {expect.first_chunk_ms} ms", f"{came_ms} ms")
        )
    try:
        document = _events(text) if test.stream and answer.status < 400 else json.loads(text)
    except ValueError:
        kind = "a stream of events" if test.stream else "JSON"
        flaw = Flaw("answer", kind, text[:_SHOWN] or "nothing")
        return _Asked(test, replica, ms, first_ms, wrong=(*wrong, flaw))
    return _Asked(test, replica, ms, first_ms, document, tuple(wrong))


def _events(text: str) -> list[Any]:
    """
    Return the data of a stream's events.

    Raises:
        ValueError: It is no stream, has an error in it, or ends before its end.
    """
    said = [line.removeprefix("data:").strip() for line in text.splitlines() if line[:5] == "data:"]
    if not said or said[-1] != "[DONE]":
        raise ValueError("the stream is cut")
    events = [json.loads(one) for one in said[:-1]]
    if any(isinstance(event, dict) and "error" in event for event in events):
        raise ValueError("the stream ends with an error")
    return events


async def _judged(asked: Sequence[_Asked]) -> list[_Asked]:
    """Add what is wrong with the content of answers that could be read."""
    open_ = [one for one in asked if not one.wrong]
    cases = [Case(one.document, one.test.expect.values, one.test.expect.schema) for one in open_]
    try:
        flaws = await judge(cases)
    except CannotJudge as error:
        flaw = Flaw("expect", "an expectation that can be judged in seconds", str(error))
        flaws = [[flaw] if case.values or case.schema else [] for case in cases]
    found = {id(one): tuple(wrong) for one, wrong in zip(open_, flaws, strict=True)}
    return [
        _Asked(one.test, one.replica, one.ms, one.first_ms, one.document, found[id(one)])
        if id(one) in found
        else one
        for one in asked
    ]


def _result(test: SmokeTest, asked: Sequence[_Asked], replicas: int) -> Result:
    """Say what one test came to over all replicas."""
    ms = max(one.ms for one in asked)
    bad = next((one for one in asked if one.wrong), None)
    if bad is None:
        of = f" on each of {replicas} replicas" if replicas > 1 else ""
        first = max((one.first_ms or 0 for one in asked), default=0) if test.stream else None
        said = f"As expected{of}, {ms} ms."
        return Result(test.name, Outcome.PASSED, said, ms=ms, first_ms=first)
    where = f"Replica {bad.replica.ordinal}: " if replicas > 1 else ""
    words = "; ".join(
        f"`{one.where}` is {one.found}, and {one.expected} is expected" for one in bad.wrong[:3]
    )
    return Result(
        test.name,
        Outcome.FAILED,
        f"{where}{words} ({bad.ms} ms).",
        f"Deploy a model that answers `{test.name}` as expected, or correct `expect` of that test.",
        ms=ms,
    )
