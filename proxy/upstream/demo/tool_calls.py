"""Which tools the demo calls, and with what arguments."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from proxy.upstream.demo.body import JsonObject, read_nested, read_objects
from proxy.upstream.demo.problems import DemoRefusal
from proxy.upstream.demo.samples import sample_value
from proxy.upstream.demo.texts import new_id

FILLER_WORDS = {"a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "please", "the", "to", "with"}
Mode = Literal["auto", "none", "required"]
MODES: tuple[Mode, ...] = ("auto", "none", "required")


@dataclass(frozen=True)
class Tool:
    """A function the client offers."""

    name: str
    parameters: JsonObject


@dataclass(frozen=True)
class ToolCall:
    """A call the demo asks for; the arguments are JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Toolbox:
    """The tools of one request and how they may be used; `forced` names the one that must be called."""

    tools: tuple[Tool, ...] = ()
    mode: Mode = "auto"
    forced: str | None = None
    parallel: bool = True

    def choose_calls(self, said: str) -> list[ToolCall]:
        """Return the calls a message asks for: by names, by the word "tool", or because one is forced."""
        if self.forced is not None:
            return [_call(tool, said) for tool in self.tools if tool.name == self.forced]
        if self.mode == "none":
            return []
        chosen = [tool for tool in self.tools if _find_name(tool.name, said)]
        if not chosen and (self.mode == "required" or re.search(r"\btools?\b", said, re.IGNORECASE)):
            chosen = list(self.tools[:1])
        return [_call(tool, said) for tool in (chosen if self.parallel else chosen[:1])]


def read_toolbox(body: JsonObject) -> Toolbox:
    """Return the tools of a chat or responses request; the one wraps in `function` what the other does not."""
    functions = [tool for tool in read_objects(body.get("tools")) if tool.get("type") == "function"]
    definitions = [read_nested(tool.get("function")) or tool for tool in functions]
    tools = tuple(
        Tool(str(definition["name"]), read_nested(definition.get("parameters")))
        for definition in definitions
        if definition.get("name")
    )
    choice = body.get("tool_choice")
    parallel = body.get("parallel_tool_calls") is not False
    mode: Mode = next((name for name in MODES if name == choice), "auto")
    if not isinstance(choice, dict) or choice.get("type") != "function":
        return Toolbox(tools, mode, parallel=parallel)
    forced = str((read_nested(choice.get("function")) or choice).get("name"))
    if forced not in {tool.name for tool in tools}:
        raise DemoRefusal(f"Tool choice '{forced}' not found in 'tools' parameter.", param="tool_choice")
    return Toolbox(tools, mode, forced, parallel)


def _call(tool: Tool, said: str) -> ToolCall:
    arguments = sample_value({"type": "object", **tool.parameters}, iter(_words_after(tool.name, said)))
    return ToolCall(new_id("call_"), tool.name, json.dumps(arguments))


def _find_name(name: str, said: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said, re.IGNORECASE)


def _words_after(name: str, said: str) -> list[str]:
    found = _find_name(name, said)
    words = re.findall(r"[\w'-]+", said[found.end() :]) if found else []
    return [word for word in words if word.lower() not in FILLER_WORDS][:1]
