"""
Threads that take what waits.

A worker that becomes free takes its share of all that has come in meanwhile: under load, requests
are computed together without anybody having waited for company.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from towpath_runtimes.kserve.engine import Done, Engine, Job


@dataclass(frozen=True)
class _Waiting:
    job: Job
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Done]


class Workers:
    """One thread per engine."""

    def __init__(self, engines: Sequence[Engine], *, most: int, delay_s: float) -> None:
        """
        Start the threads.

        Args:
            most: Jobs that one worker takes at once.
            delay_s: How long the first job waits for others to be computed with, at most.
        """
        self._engines = engines
        self._most = most
        self._delay_s = delay_s
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(engine,), name=f"infer-{at}", daemon=True)
            for at, engine in enumerate(engines)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, job: Job) -> Done:
        """Have a job done; one whose caller is gone before it was begun is not."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(job, loop, loop.create_future())
        with self._changed:
            self._queue.append(waiting)
            self._changed.notify()
        return await waiting.future

    @property
    def waiting(self) -> int:
        """Return how many jobs nobody has taken yet."""
        return len(self._queue)

    def close(self) -> None:
        """End the threads, and what they call."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for engine in dict.fromkeys(self._engines):
            engine.close()

    def _work(self, engine: Engine) -> None:
        while taken := self._take():
            done = engine.run([one.job for one in taken])
            for one, answer in zip(taken, done, strict=True):
                one.loop.call_soon_threadsafe(_settle, one.future, answer)

    def _take(self) -> list[_Waiting]:
        """Wait for jobs, and take a share of them; none once the server stops."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return []
                if self._delay_s and self._most > 1:
                    self._gather()
                share = -(-len(self._queue) // len(self._engines))
                taken = [self._queue.popleft() for _ in range(min(share, self._most))]
                if wanted := [one for one in taken if not one.future.cancelled()]:
                    return wanted

    def _gather(self) -> None:
        until = time.monotonic() + self._delay_s
        while len(self._queue) < self._most and not self._closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return


def _settle(future: asyncio.Future[Done], answer: Done) -> None:
    if not future.done():
        future.set_result(answer)
