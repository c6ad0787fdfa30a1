"""Serve tools and MCP servers as JSON: their state and rules, and a call to try a tool."""

from functools import partial
from typing import Any

from flask import Blueprint

from proxy.errors.proxy_error import ProxyError
from proxy.settings.store import SettingsStore
from proxy.tools.execution import ToolExecution
from proxy.tools.switches import EVERYBODY, cost_of, off_for, turned
from proxy.tools.tool import Tool
from proxy.web.ui.approvals import readable
from proxy.web.ui.dashboard import RequestParts
from proxy.web.ui.json_api import Answered, object_answer, sent_object

RULES = ("auto", "ask", "never")
MAX_ARGUMENTS = 1_000_000  # characters


def add_routes(pages: Blueprint, root: str, store: SettingsStore, tools: ToolExecution, parts: RequestParts) -> None:
    """Add the routes below a path; the blueprint guards them. They block on servers and tools."""
    answer = partial(object_answer, hide=parts.hide)

    @pages.get(f"{root}/api/tools")
    def all_tools() -> Answered:
        return answer(**state_of(store, tools))

    @pages.post(f"{root}/api/tools/rule")
    def change_rule() -> Answered:
        """Take `{"name", "rule"}`: auto, ask, never, or null for the default of its kind."""
        wanted = sent_object()
        name, rule = wanted.get("name"), wanted.get("rule")
        if not isinstance(name, str) or not name or (rule is not None and rule not in RULES):
            return answer(400, error="A tool's name and one of auto, ask and never are needed.")
        try:
            store.update(tool_consent=lambda rules: with_rule(rules, name, rule))
        except (ProxyError, OSError) as error:
            return answer(400, error=str(error))
        return answer(**state_of(store, tools))

    @pages.post(f"{root}/api/tools/switch")
    def switch_tool() -> Answered:
        """Take `{"name", "on": true or false, "client": "aider"}`; without a client the switch is everybody's."""
        wanted = sent_object()
        name, is_on, client = wanted.get("name"), wanted.get("on"), wanted.get("client", EVERYBODY)
        if (
            not isinstance(name, str)
            or not isinstance(is_on, bool)
            or not isinstance(client, str)
            or not client.strip()
        ):
            return answer(400, error="A tool's name, and whether it is on, are needed.")
        if name not in tools.known():
            return answer(404, error=f"There is no tool {name!r}.")
        try:
            store.update(tool_off=lambda held: turned(held, name, client.strip(), on=is_on))
        except (ProxyError, OSError) as error:
            return answer(400, error=str(error))
        return answer(**state_of(store, tools))

    @pages.post(f"{root}/api/tools/call")
    def try_call() -> Answered:
        """Run `{"name", "arguments": "JSON"}` for the user, without a question."""
        wanted = sent_object()
        name, arguments = wanted.get("name"), wanted.get("arguments", "{}")
        if not isinstance(name, str) or not isinstance(arguments, str) or len(arguments) > MAX_ARGUMENTS:
            return answer(400, error="A tool's name, and its arguments as a JSON text, are needed.")
        if not store.current.enable_tool_execution:
            return answer(409, error="Tools are off.")
        record = tools.try_call(name, arguments)
        return answer(outcome=record.outcome, result=record.result, seconds=record.seconds)


def is_off_for_all(store: SettingsStore, tools: ToolExecution, tool: Tool) -> bool:
    """Return whether a tool is off for every client."""
    return EVERYBODY in off_for(store.current.tool_off, tool.name) or tools.consent.rule_for(tool) == "never"


def with_rule(rules: Any, name: str, rule: str | None) -> dict[str, str]:
    """Return the rules with one tool's rule set or removed."""
    others = {known: value for known, value in dict(rules).items() if known != name}
    return others if rule is None else {**others, name: rule}


def state_of(store: SettingsStore, tools: ToolExecution) -> dict[str, Any]:
    """Return the state of the page; while tools are off, nothing is loaded or started for it."""
    state: dict[str, Any] = {
        "is_on": store.current.enable_tool_execution,
        "rules_fixed_by": store.fixed_by("tool_consent"),
        "off_fixed_by": store.fixed_by("tool_off"),
        "bytes": 0,
        "tokens": 0,
        "file": str(tools.file_path()),
        "servers_file": str(tools.servers_path()),
        "tools": [],
        "servers": [],
        "problems": [],
        "questions": [
            {
                "id": each.id,
                "tool": each.tool,
                "source": each.source,
                "arguments": readable(each.arguments),
                "asker": each.asker,
            }
            for each in tools.consent.questions
        ],
    }
    if not state["is_on"]:
        return state
    overview, rules, off = tools.overview(), store.current.tool_consent, store.current.tool_off
    cost = cost_of(*(tool for tool in overview.tools if not is_off_for_all(store, tools, tool)))
    return {
        **state,
        "bytes": cost.size_bytes,
        "tokens": cost.tokens,
        "tools": [
            {
                "name": tool.name,
                "source": tool.source,
                "description": tool.description,
                "parameters": tool.parameters,
                "rule": tools.consent.rule_for(tool),
                "own_rule": rules.get(tool.name),
                "bytes": cost_of(tool).size_bytes,
                "tokens": cost_of(tool).tokens,
                "is_on": not is_off_for_all(store, tools, tool),
                "off_for": off_for(off, tool.name),
            }
            for tool in overview.tools
        ],
        "servers": [
            {
                "name": server.name,
                "way": server.way,
                "state": server.state,
                "problem": server.problem,
                "tools": server.tools,
                "last_words": list(server.last_words),
            }
            for server in overview.servers
        ],
        "problems": list(overview.problems),
    }
