"""An exchange under a plain WSGI server: what its client is told."""

import asyncio

from proxy.web.standalone import WsgiClient


def test_an_error_after_effects_is_final_whoever_says_else() -> None:
    async def head(status: int) -> list[tuple[str, str]]:
        client = WsgiClient()
        client.forbid_retry()
        await client.start(status, [("x-should-retry", "true"), ("x-own", "one")])
        return (await client.head())[1]

    assert asyncio.run(head(503)) == [("x-own", "one"), ("x-should-retry", "false")]
    assert asyncio.run(head(200)) == [("x-should-retry", "true"), ("x-own", "one")]
