"""What a refusal is about, in the words and codes of providers: the key, the money behind it, or something else."""

import json
from typing import Any

import pytest

from proxy.exchange.refusal_words import about, read_words

# What it is about, its status, and what it says.
REFUSALS: list[tuple[str, int, Any]] = [
    (
        "key",
        401,
        {
            "error": {
                "message": "Incorrect API key provided: sk-x",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
        },
    ),
    ("key", 403, {"error": {"message": "Invalid API key", "code": "403"}}),
    ("key", 403, {"message": "Your API key is invalid"}),
    (
        "key",
        403,
        {
            "error": {
                "code": 403,
                "message": "Your API key was reported as leaked. Please use another API key.",
                "status": "PERMISSION_DENIED",
            }
        },
    ),
    (
        "key",
        400,
        {
            "error": {
                "code": 400,
                "message": "API key expired. Please renew the API key.",
                "status": "INVALID_ARGUMENT",
                "details": [{"reason": "API_KEY_INVALID"}],
            }
        },
    ),
    (
        "key",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (
        "key",
        403,
        {
            "error": {
                "code": 403,
                "message": "Method doesn't allow unregistered callers (callers without established identity).",
                "status": "PERMISSION_DENIED",
            }
        },
    ),
    ("key", 400, {"detail": "Invalid API key"}),
    ("key", 403, {"detail": "Could not validate credentials"}),
    ("key", 403, {"detail": "Not authenticated"}),
    ("key", 401, "Unauthorized"),
    ("key", 403, {"error": "invalid api token"}),
    ("key", 403, {"message": "invalid api token"}),
    ("key", 403, {"error": {"message": "The API key you provided has been disabled", "type": "auth"}}),
    ("key", 403, {"error": {"type": "permission_error", "code": "api_key_disabled", "message": "x"}}),
    (
        "key",
        403,
        {"error": {"message": "Access denied due to invalid subscription key or wrong API endpoint.", "code": "401"}},
    ),
    ("key", 403, {"errors": [{"code": 10000, "message": "Authentication error"}], "success": False}),
    ("key", 403, {"error": {"message": "User not found.", "code": 401}}),
    ("key", 403, {"error": {"message": "No auth credentials found", "code": 401}}),
    ("key", 403, {"error": {"code": "token_expired", "message": "Token has expired"}}),
    (
        "key",
        403,
        {"__type": "UnrecognizedClientException", "message": "The security token included in the request is invalid."},
    ),
    ("key", 403, {"error": {"code": "Unauthorized", "message": "JWT token is invalid"}}),
    (
        "credit",
        429,
        {
            "error": {
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
    ),
    (
        "credit",
        402,
        {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}},
    ),
    ("credit", 403, {"error": {"message": "Your account has insufficient balance, please recharge.", "code": "x"}}),
    (
        "credit",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        },
    ),
    ("credit", 429, {"error": {"message": "You have no credits left", "type": "x"}}),
    (
        "credit",
        429,
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
    ),
    ("credit", 429, {"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}}),
    (
        "credit",
        429,
        {
            "error": {
                "message": "Your account x is suspended, please check your plan and billing details",
                "type": "exceeded_current_quota_error",
            }
        },
    ),
    ("credit", 403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}),
    ("credit", 429, {"error": {"message": "This request requires more credits, or fewer max_tokens.", "code": 429}}),
    (
        "credit",
        403,
        {
            "error": {
                "message": "Key limit exceeded (total limit).",
                "code": 403,
            }
        },
    ),
    (
        "credit",
        429,
        {"error": {"message": "Billing hard limit has been reached", "code": "billing_hard_limit_reached"}},
    ),
    ("credit", 429, {"error": {"message": "Monthly spending limit reached for this organization", "type": "x"}}),
    (
        "credit",
        403,
        {
            "error": {
                "message": "Prepayment credits are depleted. Please go to AI Studio",
                "status": "RESOURCE_EXHAUSTED",
            }
        },
    ),
    (
        "credit",
        429,
        {
            "error": {
                "code": 429,
                "message": "Your prepayment credits are depleted. Please go to AI Studio",
                "status": "RESOURCE_EXHAUSTED",
            }
        },
    ),
    (
        "",
        403,
        {
            "error": {
                "message": "Your key does not have access to model gpt-5",
                "code": "model_not_found",
                "type": "invalid_request_error",
            }
        },
    ),
    (
        "",
        403,
        {
            "error": {
                "message": "Project `proj_x` does not have access to model `gpt-4o`",
                "type": "invalid_request_error",
                "code": "model_not_found",
            }
        },
    ),
    (
        "",
        403,
        {
            "error": {
                "message": "Country, region, or territory not supported",
                "type": "request_forbidden",
                "code": "unsupported_country_region_territory",
            }
        },
    ),
    ("", 403, {"error": {"message": "Your request was flagged", "metadata": {"reasons": ["x"]}, "code": 403}}),
    (
        "",
        403,
        {
            "error": {
                "code": 403,
                "message": "Generative Language API has not been used in project 1 before or it is disabled.",
                "status": "PERMISSION_DENIED",
                "details": [{"reason": "SERVICE_DISABLED"}],
            }
        },
    ),
    (
        "",
        403,
        {
            "error": {
                "code": 403,
                "message": "Permission denied on resource project x",
                "status": "PERMISSION_DENIED",
                "details": [{"reason": "CONSUMER_INVALID"}],
            }
        },
    ),
    ("", 403, {"error": {"message": "Your IP is not on the allow list", "type": "permission_error"}}),
    ("", 403, "<html>403 Forbidden cloudflare</html>"),
    ("", 403, {"error": {"type": "forbidden", "message": "Request not allowed"}}),
    (
        "",
        400,
        {
            "error": {
                "message": "Invalid value for 'response_format.schema': key 'x' not valid",
                "code": "invalid_value",
            }
        },
    ),
    ("", 400, {"error": {"message": "messages.0.content: invalid key 'foo'"}}),
    ("", 400, {"error": {"message": "Invalid 'metadata' key: too long", "param": "metadata"}}),
    ("", 400, {"error": {"message": "tool 'get_api_key' is not valid: invalid schema", "param": "tools"}}),
    (
        "",
        400,
        {
            "error": {
                "message": "Invalid parameter: the credentials field of tool 'login' must be a string",
                "param": "tools[0]",
                "code": "invalid_value",
            }
        },
    ),
    ("", 422, {"detail": [{"loc": ["body", "api_key"], "msg": "extra fields not permitted"}]}),
    (
        "",
        429,
        {
            "error": {
                "message": "Rate limit reached on tokens per min (TPM): Limit 30000. Please try again in 2s.",
                "type": "tokens",
                "code": "rate_limit_exceeded",
            }
        },
    ),
    (
        "",
        429,
        {
            "error": {
                "code": 429,
                "message": "You exceeded your quota, check your plan and billing details. Please retry in 32.5s.",
                "status": "RESOURCE_EXHAUSTED",
                "details": [
                    {"@type": "x", "violations": [{"quotaMetric": "g"}]},
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "32s"},
                ],
            }
        },
    ),
    ("", 429, {"error": {"message": "Too many requests", "type": "rate_limit_error"}}),
    ("", 429, {"message": "Requests rate limit exceeded"}),
    ("", 429, "slow down"),
    ("", 403, {"error": {"message": "You are not authorized to use this model", "code": "unauthorized"}}),
    ("", 403, {"error": {"message": "Your credentials do not have access to this region"}}),
    ("", 400, {"error": {"message": "The credit limit field must be a number", "param": "metadata"}}),
]


@pytest.mark.parametrize(("subject", "status", "said"), REFUSALS, ids=str)
def test_a_refusal_is_understood(subject: str, status: int, said: Any) -> None:
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    assert about(status, read_words(body)) == subject
