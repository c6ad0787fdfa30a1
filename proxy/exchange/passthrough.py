"""Requests that are only passed on: any method, any path, any body, as they came."""

from proxy.errors.request import BodyTooLarge
from proxy.exchange.asking import Asking
from proxy.exchange.call import Call, RequestBody
from proxy.exchange.uploads import Upload
from proxy.stream.pulse import Pulse
from proxy.stream.relay import Answer

READ_AHEAD_BYTES = 1_048_576  # a body up to here is read first and can be sent again; a larger one is passed along


class Passthrough:
    """Pass a request on."""

    def __init__(self, asking: Asking, *, wants_json: bool) -> None:
        self._asking = asking
        self._wants_json = wants_json

    async def open(self, call: Call, body: RequestBody, pulse: Pulse) -> Answer:  # noqa: ARG002  the openers' signature
        """Return the answer to pass on; raises ProxyError."""
        settings = self._asking.settings()
        limit = settings.max_body_bytes
        if body.length is not None and body.length > limit:
            raise BodyTooLarge(f"{body.length} bytes")
        if body.length == 0:
            return await self._asking.ask(call, None, None, wants_json=self._wants_json)
        if body.length is not None and body.length <= READ_AHEAD_BYTES:
            content = await body.read(limit)
            return await self._asking.ask(call, content, len(content), wants_json=self._wants_json)
        upload = Upload(body.pieces(limit))
        asking = self._asking.ask(call, upload.pieces(), body.length, wants_json=self._wants_json)
        return await upload.watched(asking, settings.openai_timeout)
