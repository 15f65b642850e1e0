"""The end of a program's tasks, bounded."""

import asyncio


async def let_go(within_s: float) -> list[str]:
    """
    Cancel every other task and wait for its end; return the names of those that do not let go.

    A task that waits for a thread that is gone swallows its cancellation and would keep the event
    loop from ending for ever.
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return []
    for task in left:
        task.cancel()
    _, stuck = await asyncio.wait(left, timeout=within_s)
    return sorted(f"{task.get_name()}: {task.get_coro()!r}"[:300] for task in stuck)
