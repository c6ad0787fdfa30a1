"""What is a refusal of the tools themselves, and which of them it is about."""

import json
from typing import Any

import pytest

from proxy.http.answer import whole
from proxy.http.headers import Headers
from proxy.tools.loop.tool_refusals import blamed, refuses_tools

MODEL = "my-tool-model"
OF_TOOLS: list[tuple[int, Any]] = [
    (400, {"error": {"message": "registry.ollama.ai/library/gemma:2b does not support tools"}}),
    (400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}),
    (
        400,
        {
            "error": {
                "message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
                "type": "BadRequestError",
                "code": 400,
                "param": None,
            }
        },
    ),
    (
        400,
        {
            "error": {
                "message": "Invalid schema for function 'book': In context=(), object schema missing properties",
                "type": "invalid_request_error",
                "param": "tools[0].function.parameters",
                "code": "invalid_function_parameters",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'tools' is not supported with this model.",
                "param": "tools",
                "code": "unsupported_parameter",
                "type": "invalid_request_error",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "message": "tools is not supported in this model. For a list of supported models, refer to https://x",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
    ),
    (
        404,
        {
            "error": {
                "message": "No endpoints found that support tool use. To learn more about provider routing, visit: https://openrouter.ai/docs",
                "code": 404,
            }
        },
    ),
    (400, {"error": {"message": "`tool calling` is not supported with this model", "type": "invalid_request_error"}}),
    (
        400,
        {
            "object": "error",
            "message": "Function calling is not enabled for this model",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    (
        400,
        {
            "error": {
                "message": "deepseek-reasoner does not support Function Calling",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
    ),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "* GenerateContentRequest.tools[0].function_declarations[3].name: [FIELD_INVALID]",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Function calling is not enabled for models/gemma-3",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (422, {"detail": [{"loc": ["body", "tools"], "msg": "extra fields not permitted", "type": "value_error.extra"}]}),
    (
        422,
        {
            "detail": [
                {
                    "loc": ["body", "tools", 2, "function", "parameters"],
                    "msg": "field required",
                    "type": "value_error.missing",
                }
            ]
        },
    ),
    (501, {"error": {"message": "tools param requires --jinja flag"}}),
    (400, {"error": {"message": "tools param requires --jinja flag"}}),
    (400, {"error": {"message": "tools.0.custom.input_schema.type: Field required", "type": "invalid_request_error"}}),
    (400, {"error": {"message": "Unrecognized request argument supplied: tools", "type": "invalid_request_error"}}),
    (
        400,
        {
            "error": {
                "message": "Invalid 'tools': array too long. Expected an array with maximum length 128",
                "param": "tools",
                "code": "array_above_max_length",
            }
        },
    ),
    (400, {"error": {"message": "This model does not support tool use"}}),
    (400, {"error": {"message": "llama does not support tools", "type": "t", "code": None}}),
    (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": '{"message":"Tool use is not supported"}'},
            }
        },
    ),
    (400, {"error": {"message": "Unknown parameter: 'tools'"}}),
]
OF_OTHER_THINGS: list[tuple[int, Any]] = [
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. You used 9000 (500 in the functions).",
                "code": "context_length_exceeded",
                "param": "messages",
                "type": "invalid_request_error",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. You used 9000 (500 in the functions).",
                "code": 400,
                "type": "BadRequestError",
            }
        },
    ),
    (
        404,
        {
            "error": {
                "message": "The model `my-tool-model` does not exist or you do not have access to it.",
                "code": "model_not_found",
                "type": "invalid_request_error",
            }
        },
    ),
    (404, {"error": {"message": "model 'functionary' not found, try pulling it first"}}),
    (404, {"error": 'model "tool-x" not found, try pulling it first'}),
    (
        400,
        {
            "error": {
                "message": "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                "param": "messages.[3].role",
                "type": "invalid_request_error",
            }
        },
    ),
    (
        400,
        {
            "error": {
                "message": "'tool_calls' must be followed by tool messages for each 'tool_call_id'.",
                "param": "messages.[2].role",
            }
        },
    ),
    (400, {"error": {"message": "tool_call_id is not supported here: unexpected"}}),
    (
        400,
        {
            "error": {
                "message": "Invalid value for 'temperature': must be below 2; functions unaffected",
                "param": "temperature",
            }
        },
    ),
    (
        422,
        {
            "detail": [
                {"loc": ["body", "messages", 3, "tool_calls"], "msg": "none is not an allowed value", "type": "x"}
            ]
        },
    ),
    (400, {"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum (tools included, not supported)"}}),
    (
        400,
        {
            "error": {
                "message": "the request exceeds the available context size. enable context shift; tools not allowed"
            }
        },
    ),
    (400, {"error": {"message": "my-tool-model does not support image input"}}),
    (
        400,
        {"error": {"message": "Function call turn comes immediately after a user turn or a function response turn."}},
    ),
    (404, {"error": {"message": "Unknown request URL: POST /chat. see tools docs"}}),
    (400, {"error": {"message": "Your account cannot use the tool. ", "code": "insufficient_quota"}}),
]


def refuses(status: int, body: Any) -> bool:
    return refuses_tools(whole(status, Headers(), json.dumps(body).encode()), MODEL)


@pytest.mark.parametrize(("status", "body"), OF_TOOLS)
def test_a_refusal_of_tools_is_one(status: int, body: Any) -> None:
    assert refuses(status, body)


@pytest.mark.parametrize(("status", "body"), OF_OTHER_THINGS)
def test_a_refusal_that_merely_mentions_tools_is_none(status: int, body: Any) -> None:
    assert not refuses(status, body)


@pytest.mark.parametrize("status", [200, 401, 403, 413, 429, 500, 502, 503])
def test_no_other_status_refuses_tools(status: int) -> None:
    assert not refuses(status, OF_TOOLS[0][1])


@pytest.mark.parametrize(
    ("error", "names"),
    [
        ({"message": "Invalid schema for function 'book': no", "param": "tools[0].function.parameters"}, {"book"}),
        ({"message": "no", "param": "tools[2].function.name"}, {"c"}),
        ({"message": "tools.1.custom.input_schema.type: Field required"}, {"book"}),
        ({"message": "* GenerateContentRequest.tools[0].function_declarations[3].name: [FIELD_INVALID]"}, {"d"}),
        ({"message": "Functions `a` and `c` are not supported"}, {"a", "c"}),
        ({"message": "tools[99] is invalid"}, set()),
        ({"message": "tools are not supported"}, set()),
        ({"message": None, "param": 5}, set()),
    ],
)
def test_the_tools_that_are_named_are_to_blame(error: Any, names: set[str]) -> None:
    answer = whole(400, Headers(), json.dumps({"error": error}).encode())

    assert blamed(answer, ["a", "book", "c", "d"]) == names


def test_a_place_that_fastapi_names_is_understood() -> None:
    body = {"detail": [{"loc": ["body", "tools", 2, "function"], "msg": "field required"}]}

    assert blamed(whole(422, Headers(), json.dumps(body).encode()), ["a", "book", "c"]) == {"c"}
