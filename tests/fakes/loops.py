"""The end of a fake's event loop: nothing that was accepted at the last moment stays open."""

import asyncio

TURNS = 8  # of the loop, in which what was accepted just before begins, and what was closed is told so


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a server, and lose no connection: asyncio forgets one that was accepted just before."""
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    await turn()
    server.close()


async def end_tasks() -> None:
    """Cancel every other task of the running loop and wait for their ends; call it once nothing listens any more.

    A connection may be accepted while the others end, and then its task has only begun: look again until none is left.
    """
    await turn()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        await turn()


async def turn() -> None:
    """Let the loop do what is due."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
