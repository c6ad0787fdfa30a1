"""Stage: offer the model our tools, run those it calls, and ask again with their results."""

from dataclasses import replace

from proxy.exchange.heavy import sent_fields
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.access import Caller
from proxy.policy.additions import rewrite_known
from proxy.settings.model import Settings
from proxy.tools.execution import PATHS
from proxy.tools.loop.request import Round, ToolRequest

TOOLS = "tools"
FOR_ONE_BODY = "idempotency-key"  # means one body, and the rounds of a request with tools have one each


class Tools(Stage):
    """Hand the request to the tool loop, which calls `next` for each round."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:
        self._tools = parts.tools

    def is_on(self, settings: Settings) -> bool:
        """Tell whether tool execution is switched on."""
        return settings.enable_tool_execution

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Return one answer for all rounds; what the user's own rules do with the tools stands."""
        rules = request.rules
        if request.head.path not in PATHS or (rules is not None and rules.forces(TOOLS, request.fields)):
            return await next(flow, request)
        headers = request.headers.without(FOR_ONE_BODY)
        assert isinstance(request.body, bytes)  # noqa: S101  an earlier stage has read it

        async def send(content: bytes) -> Answer:
            """Ask for the next turn of the model."""
            return await next(flow, replace(request, headers=headers, body=content, length=len(content)))

        def note_round(done: Round) -> None:
            flow.tool_rounds = (*flow.tool_rounds, done)

        is_current = not (flow.rules or request.is_outline)
        fields = await sent_fields(request.body, request.fields, is_current=is_current)
        return await self._tools.open(
            ToolRequest(
                path=request.head.path,
                upstream=request.upstream_address,
                fields=fields,
                content=request.body,
                request_id=flow.id,
                caller=name_of(request.head.caller),
                send=send,
                rewrite=lambda content, changes: rewrite_known(content, changes, fields),
                begin=request.keep_alive.forbid_retry,
                note_round=note_round,
                note_repair=flow.note_repair,
                client=flow.client,
                key_name=request.head.caller.key_name,
            )
        )


def name_of(caller: Caller) -> str:
    """Return what tells one caller from another, "" where nothing does."""
    return caller.key_name or caller.upstream_key or ""
