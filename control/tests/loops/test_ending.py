"""What is left at the end is cancelled, and what does not let go is named."""

import asyncio

from towpath_server.loops.ending import let_go


async def test_tasks_end_when_they_are_cancelled() -> None:
    task = asyncio.create_task(asyncio.Event().wait())

    assert await let_go(within_s=5) == []
    assert task.cancelled()


async def test_a_task_that_does_not_let_go_is_named_and_not_waited_for() -> None:
    forgotten: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def deaf() -> None:
        while not forgotten.done():
            try:
                await asyncio.shield(forgotten)
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf(), name="ingestion")
    await asyncio.sleep(0)

    (named,) = await let_go(within_s=0.01)

    assert named.startswith("ingestion: ")
    forgotten.set_result(None)
    await task
