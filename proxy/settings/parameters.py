"""Parse parameter rules, and tell names of parameters from names of models. Pure functions.

Each function that checks something raises ValueError.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from proxy.settings.parsing import PARAMETER, cut, fold_name, parse_json, split_commas

UNTOUCHABLE = frozenset({"messages", "input"})
HAS_DIGIT = re.compile(r"[0-9]")
# Known by name, so that a rule for a model is told from one for a parameter.
HOLD_OBJECTS = """
    response_format stream_options metadata logit_bias reasoning text audio prediction tool_choice web_search_options
    thinking output_config extra_body extra_headers options provider plugins usage prompt moderation
    context_management chat_template_kwargs mm_processor_kwargs structured_outputs guided_json json_schema
    generation_config safety_settings cache_control mcp_servers container function_call truncation conversation preset
    transforms user_location format client_metadata include
"""
HOLD_VALUES = """
    model temperature top_p top_k top_a min_p typical_p max_tokens max_completion_tokens max_output_tokens n stop
    stop_sequences seed stream presence_penalty frequency_penalty repetition_penalty repeat_penalty logprobs
    top_logprobs user store service_tier reasoning_effort verbosity parallel_tool_calls tools functions modalities
    prompt_cache_key prompt_cache_retention safety_identifier best_of echo suffix dimensions encoding_format
    max_tool_calls background instructions previous_response_id include_reasoning num_ctx num_predict keep_alive
    think grammar ignore_eos min_tokens mirostat system betas speed enable_thinking thinking_budget
"""
OBJECT_PARAMETERS = frozenset(HOLD_OBJECTS.split())
PARAMETERS = OBJECT_PARAMETERS.union(HOLD_VALUES.split())


def parse_json_rules(value: object) -> object:
    """Read parameter rules from JSON text or a table; see `is_model_pattern` for its limits. Raises ValueError."""
    value = parse_json(value)
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")  # noqa: TRY004  pydantic turns ValueError into its own
    check_rule_names(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"JSON cannot hold this value ({error})") from error
    return value


def parse_drop_rules(value: object) -> object:
    """Read `name` and `model pattern:name` entries; raises ValueError."""
    entries = split_commas(value)
    if isinstance(entries, (tuple, list)):
        for entry in entries:
            name = str(entry).rpartition(":")[2]
            check_parameter(name)
            if fold_name(path_of(name)[0]) in ("model", *UNTOUCHABLE):
                raise ValueError(f"{name} cannot be dropped: no request works without it")
    return entries


def check_rule_names(rules: dict[str, Any]) -> None:
    """Refuse rules on the conversation itself."""
    for name in parameters_of(rules):
        check_parameter(name)
        root, *within = path_of(name)
        if fold_name(root) in UNTOUCHABLE:
            raise ValueError(f"{name} cannot be set by a rule: it is the conversation itself")
        if within and fold_name(root) == "model":
            raise ValueError(f"{name} cannot be set by a rule: a model is no object")


def check_parameter(name: str) -> None:
    """Refuse a dotted name with a part that is no name, such as an empty one."""
    if "." in name and path_of(name) == (name,):
        raise ValueError(f"{cut(name)} is no parameter: each part of a name with dots is a name")


@lru_cache(maxsize=1024)
def path_of(name: str) -> tuple[str, ...]:
    """Return a parameter's path: `reasoning.effort` is a member of an object."""
    path = tuple(name.split("."))
    return path if all(map(PARAMETER.fullmatch, path)) else (name,)


def parameters_of(rules: dict[str, Any]) -> Iterator[str]:
    """Yield the parameters that rules name, for any models."""
    for name, value in rules.items():
        if is_model_pattern(name, value):
            yield from parameters_of(value)
        else:
            yield name


def names_within(value: object) -> Iterator[str]:
    """Yield every member name in a value, at any depth."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from names_within(part)
    elif isinstance(value, list):
        for part in value:
            yield from names_within(part)


def is_model_pattern(name: str, value: object) -> bool:
    """Return whether a name means models, not a parameter: its value is an object, and its name no parameter's.

    Many models' names hold a digit (`o3`, `gpt4o`); no parameter whose value is an object does. A plain word that is no
    known parameter is a model's name if its object holds parameters.
    """
    if not isinstance(value, dict):
        return False
    path = path_of(name)
    if PARAMETER.fullmatch(path[0]) is None or HAS_DIGIT.search(name) is not None:
        return True
    if path[0].lower() in OBJECT_PARAMETERS:
        return False
    return bool(value) and all(path_of(part)[0].lower() in PARAMETERS for part in value)
