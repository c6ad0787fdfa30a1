"""The table of settings: its defaults, what it refuses and how it says so, and what people see of it."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from proxy.errors.configuration import SettingError
from proxy.settings.loading import validate
from proxy.settings.model import Settings, about, hidden, shown, variable
from proxy.settings.store import SettingsStore

Refuse = Callable[..., str]

DEFAULTS: dict[str, Any] = {
    "openai_api_key": None,
    "openai_key_from": "environment",
    "openai_base_url": "https://api.openai.com/v1",
    "proxy_allow_http_upstream": False,
    "openai_timeout": 120.0,
    "openai_max_retries": 2,
    "openai_organization": None,
    "openai_project": None,
    "openai_ca_file": None,
    "proxy_upstreams": (),
    "proxy_upstream": None,
    "proxy_aliases": {},
    "proxy_require_api_key": False,
    "proxy_api_keys": (),
    "proxy_forward_auth_header": False,
    "allow_unauthenticated_health": False,
    "openai_stream_usage": True,
    "proxy_repair_parameters": True,
    "enable_tool_execution": False,
    "function_tools_file": None,
    "tool_max_rounds": 5,
    "tool_max_calls": 8,
    "tool_timeout": 30.0,
    "tool_max_arguments_kb": 64,
    "tool_max_result_kb": 64,
    "tool_consent": {},
    "tool_off": {},
    "proxy_update_notice": False,
    "proxy_update_index": "https://pypi.org/pypi/openai-tray-proxy/json",
    "proxy_usage_days": 400,
    "proxy_prices": {},
    "proxy_daily_limit_usd": None,
    "proxy_monthly_limit_usd": None,
    "proxy_daily_limit_tokens": None,
    "proxy_monthly_limit_tokens": None,
    "proxy_key_limits": {},
    "openai_param_defaults": {},
    "openai_param_overrides": {},
    "openai_param_drop": (),
    "proxy_capture": True,
    "proxy_capture_mb": 64,
    "proxy_capture_requests": 200,
    "proxy_capture_days": 0,
    "proxy_capture_disk_mb": 1024,
    "proxy_host": "127.0.0.1",
    "proxy_port": 8000,
    "proxy_allowed_origins": (),
    "proxy_allowed_hosts": (),
    "proxy_max_body_mb": 64.0,
    "proxy_max_upload_mb": 1024.0,
    "proxy_log_level": "INFO",
}

BAD_VALUES = [
    ("OPENAI_CA_FILE", "/nowhere/certificate.pem"),
    ("OPENAI_CA_FILE", str(Path(__file__))),  # it is there, and holds none
    ("OPENAI_KEY_FROM", "somewhere"),
    ("OPENAI_BASE_URL", "ftp://api.openai.com"),
    ("OPENAI_BASE_URL", "api.openai.com"),
    ("OPENAI_BASE_URL", "https://gateway.example/v1?version=1"),
    ("OPENAI_BASE_URL", "http://gateway.example/v1"),
    ("PROXY_ALLOW_HTTP_UPSTREAM", "maybe"),
    ("OPENAI_TIMEOUT", "0"),
    ("OPENAI_TIMEOUT", "-1"),
    ("OPENAI_TIMEOUT", "nan"),
    ("OPENAI_TIMEOUT", "inf"),
    ("OPENAI_TIMEOUT", "2 minutes"),
    ("OPENAI_MAX_RETRIES", "-1"),
    ("OPENAI_MAX_RETRIES", "11"),
    ("OPENAI_MAX_RETRIES", "1.5"),
    ("PROXY_UPSTREAMS", '[{"name": "groq"}]'),
    ("PROXY_UPSTREAMS", '{"groq": "https://api.groq.com"}'),
    ("PROXY_UPSTREAM", "nobody"),
    ("PROXY_ALIASES", '{"a": "a"}'),
    ("PROXY_ALIASES", "fast=groq/llama"),
    ("PROXY_REQUIRE_API_KEY", "2"),
    ("PROXY_FORWARD_AUTH_HEADER", "sometimes"),
    ("ALLOW_UNAUTHENTICATED_HEALTH", "-"),
    ("OPENAI_STREAM_USAGE", "sometimes"),
    ("PROXY_REPAIR_PARAMETERS", "sometimes"),
    ("ENABLE_TOOL_EXECUTION", "all"),
    ("TOOL_MAX_ROUNDS", "0"),
    ("TOOL_MAX_CALLS", "101"),
    ("TOOL_TIMEOUT", "0"),
    ("TOOL_MAX_ARGUMENTS_KB", "0"),
    ("TOOL_MAX_RESULT_KB", "1.5"),
    ("TOOL_CONSENT", '{"calculate": "perhaps"}'),
    ("TOOL_CONSENT", "calculate=ask"),
    ("TOOL_CONSENT", "[]"),
    ("PROXY_UPDATE_NOTICE", "daily"),
    ("PROXY_UPDATE_INDEX", "http://pypi.org/pypi/openai-tray-proxy/json"),
    ("PROXY_UPDATE_INDEX", "pypi.org"),
    ("TOOL_OFF", "calculate"),
    ("TOOL_OFF", '{"*": "calculate"}'),
    ("TOOL_OFF", '["calculate"]'),
    ("PROXY_USAGE_DAYS", "0"),
    ("PROXY_PRICES", "[]"),
    ("PROXY_PRICES", '{"a": {"input": 1}}'),
    ("PROXY_PRICES", '{"a": {"input": -1, "output": 1}}'),
    ("PROXY_DAILY_LIMIT_USD", "0"),
    ("PROXY_DAILY_LIMIT_USD", "5 dollars"),
    ("PROXY_MONTHLY_LIMIT_USD", "-1"),
    ("PROXY_DAILY_LIMIT_TOKENS", "nan"),
    ("PROXY_MONTHLY_LIMIT_TOKENS", "inf"),
    ("PROXY_KEY_LIMITS", "[]"),
    ("PROXY_KEY_LIMITS", '{"editor": {"week_usd": 1}}'),
    ("PROXY_KEY_LIMITS", '{"editor": {"day_tokens": -1}}'),
    ("OPENAI_PARAM_DEFAULTS", "temperature=1"),
    ("OPENAI_PARAM_DEFAULTS", "[1]"),
    ("OPENAI_PARAM_DEFAULTS", '{"messages": []}'),
    ("OPENAI_PARAM_OVERRIDES", "{"),
    ("OPENAI_PARAM_OVERRIDES", '{"gpt-*": {"input": 1}}'),
    ("OPENAI_PARAM_DROP", "temperature,messages"),
    ("OPENAI_PARAM_DROP", "gpt-*:model"),
    ("OPENAI_PARAM_DEFAULTS", '{"temperature": 1, "proxy_port": 9001}'),
    ("OPENAI_PARAM_OVERRIDES", '{"gpt-5*": {"OPENAI_BASE_URL": "https://mine.example"}}'),
    ("PROXY_CAPTURE", "sometimes"),
    ("PROXY_CAPTURE_MB", "-1"),
    ("PROXY_CAPTURE_REQUESTS", "many"),
    ("PROXY_CAPTURE_DAYS", "-1"),
    ("PROXY_CAPTURE_DISK_MB", "0"),
    ("PROXY_HOST", "0.0.0.0"),
    ("PROXY_HOST", "192.168.1.5"),
    ("PROXY_PORT", "-1"),
    ("PROXY_PORT", "65536"),
    ("PROXY_PORT", "http"),
    ("PROXY_PORT", "80\n81"),
    ("PROXY_ALLOWED_ORIGINS", "*"),
    ("PROXY_ALLOWED_ORIGINS", "https://app.example, null"),
    ("PROXY_MAX_BODY_MB", "0"),
    ("PROXY_MAX_BODY_MB", "nan"),
    ("PROXY_MAX_UPLOAD_MB", "-1"),
    ("PROXY_LOG_LEVEL", "loud"),
]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Refuse:
    """Return a function that reads an environment which must be refused, and returns what is said."""

    def read(**environment: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SettingError) as caught:
            SettingsStore(tmp_path / "settings.toml")
        return str(caught.value)

    return read


def refuse_values(**values: object) -> str:
    """Read values that must be refused, and return what is said."""
    with pytest.raises(SettingError) as caught:
        validate(values, {})
    return str(caught.value)


def test_the_table_of_defaults_names_every_setting() -> None:
    assert set(DEFAULTS) == set(Settings.model_fields)


@pytest.mark.parametrize(("field", "default"), DEFAULTS.items())
def test_a_setting_has_its_default(field: str, default: object) -> None:
    value = getattr(Settings.model_validate({}), field)

    assert (value, type(value)) == (default, type(default))


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_says_what_it_means_and_expects(field: str) -> None:
    assert about(field).meaning
    assert about(field).expects


def test_only_keys_are_secret() -> None:
    assert {field for field in Settings.model_fields if about(field).secret} == {"openai_api_key", "proxy_api_keys"}


def test_only_the_listening_address_moves_the_server() -> None:
    assert {field for field in Settings.model_fields if about(field).restart} == {"proxy_host", "proxy_port"}


def test_a_snapshot_cannot_be_changed() -> None:
    settings = Settings.model_validate({})

    with pytest.raises(ValidationError):
        settings.proxy_port = 9000


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_refused_in_one_line_that_names_all(refuse: Refuse, name: str, value: str) -> None:
    said = refuse(**{name: value})

    assert "\n" not in said
    for part in (name, repr(value), "(from the environment)", about(name.lower()).expects):
        assert part in said


def test_every_setting_with_a_form_of_its_own_is_in_the_table_of_bad_values() -> None:
    takes_any_text = {
        "OPENAI_API_KEY",
        "OPENAI_ORGANIZATION",
        "OPENAI_PROJECT",
        "FUNCTION_TOOLS_FILE",
        "PROXY_API_KEYS",
        "PROXY_ALLOWED_HOSTS",
    }
    assert {name for name, _ in BAD_VALUES} | takes_any_text == {variable(field) for field in Settings.model_fields}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proxy_port = 70000", "PROXY_PORT is 70000 (from the settings file)"),
        ('proxy_port = "x"', "PROXY_PORT is 'x' (from the settings file)"),
        ("openai_organization = 5", "OPENAI_ORGANIZATION is 5 (from the settings file)"),
        ("proxy_allowed_origins = [5]", "PROXY_ALLOWED_ORIGINS is [5] (from the settings file)"),
        ("openai_param_drop = [1]", "OPENAI_PARAM_DROP is [1] (from the settings file)"),
        ("[openai_param_defaults]\nmessages = 1", "OPENAI_PARAM_DEFAULTS is {'messages': 1} (from the settings file)"),
        ("openai_base_url = 1", "OPENAI_BASE_URL is 1 (from the settings file)"),
    ],
)
def test_a_bad_value_of_the_file_is_said_to_come_from_there(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)

    problem = SettingsStore(path).problem

    assert problem is not None
    assert f"{path}, line 1: {said}" in problem
    assert "\n" not in problem


def test_a_bad_value_of_the_command_line_is_said_to_come_from_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"PROXY_HOST is '0\.0\.0\.0' \(from the command line\)"):
        SettingsStore(tmp_path / "settings.toml", {"proxy_host": "0.0.0.0"})


@pytest.mark.parametrize("text", ["proxy_port = true", "openai_timeout = true", "proxy_max_body_mb = true"])
def test_true_is_no_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)

    assert "this is no number" in (SettingsStore(path).problem or "")


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on"])
def test_a_switch_is_turned_on_by_any_usual_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("PROXY_REQUIRE_API_KEY", text)

    assert SettingsStore(tmp_path / "settings.toml").current.proxy_require_api_key is True


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/v1", "http://localhost:9", "http://[::1]:9", "http://127.8.8.8", "http://[::1]"]
)
def test_an_upstream_on_this_computer_may_be_plain_http(url: str) -> None:
    assert Settings.model_validate({"openai_base_url": url}).openai_base_url.startswith("http://")


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example",
        "http://192.168.1.5:8080",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example:80",
        "http://0.0.0.0:9",
        "HTTP://gateway.example",
    ],
)
def test_an_upstream_elsewhere_may_not_be_plain_http(refuse: Refuse, url: str) -> None:
    assert "your key would travel in the clear" in refuse(OPENAI_BASE_URL=url)


def test_an_upstream_elsewhere_may_be_plain_http_where_the_user_allows_it() -> None:
    settings = Settings.model_validate({"openai_base_url": "http://gateway.example", "proxy_allow_http_upstream": True})

    assert settings.openai_base_url == "http://gateway.example/v1"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000/v1",
        "http://LOCALHOST:8000",
        "http://[::1]:8000/v1",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:8000/v1/chat/completions",
    ],
)
def test_the_proxy_is_never_its_own_upstream(url: str) -> None:
    assert "it would call itself" in refuse_values(openai_base_url=url)


def test_the_proxys_own_address_is_told_by_the_port_it_listens_on() -> None:
    assert Settings.model_validate({"openai_base_url": "http://127.0.0.1:8001"}).proxy_port == 8000

    assert "it would call itself" in refuse_values(openai_base_url="http://127.0.0.1:8001", proxy_port=8001)


def test_a_url_without_a_port_is_the_proxys_own_where_it_listens_on_80() -> None:
    assert "it would call itself" in refuse_values(openai_base_url="http://127.0.0.1", proxy_port=80)


def test_the_address_listened_on_is_the_proxys_own_too() -> None:
    said = refuse_values(
        openai_base_url="http://192.168.1.5:8000",
        proxy_allow_http_upstream=True,
        proxy_host="192.168.1.5",
        proxy_require_api_key=True,
        proxy_api_keys="a-proxy-key",
    )

    assert "it would call itself" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "my-laptop", "127.0.0.1.evil.example"])
def test_an_address_others_reach_is_refused_without_a_required_key(refuse: Refuse, host: str) -> None:
    said = refuse(PROXY_HOST=host)

    assert "turn PROXY_REQUIRE_API_KEY on first" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_an_address_others_reach_is_taken_with_a_required_key(host: str) -> None:
    settings = Settings.model_validate(
        {"proxy_host": host, "proxy_require_api_key": True, "proxy_api_keys": "a-proxy-key"}
    )

    assert settings.proxy_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_an_address_of_this_computer_needs_no_key(host: str) -> None:
    assert Settings.model_validate({"proxy_host": host}).proxy_require_api_key is False


@pytest.mark.parametrize(
    "environment",
    [
        {"PROXY_HOST": "0.0.0.0"},
        {"OPENAI_TIMEOUT": "never"},
        {"OPENAI_BASE_URL": "http://gateway.example"},
        {"PROXY_API_KEYS": "proxy-secret-1,proxy-secret-2", "PROXY_PORT": "x"},
    ],
)
def test_a_refusal_tells_no_key(refuse: Refuse, environment: dict[str, str]) -> None:
    said = refuse(OPENAI_API_KEY="sk-1", **environment)

    assert "sk-1" not in said
    assert "proxy-secret" not in said


def test_not_even_the_traceback_of_a_refusal_tells_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("PROXY_HOST", "0.0.0.0")

    with pytest.raises(SettingError) as caught:
        SettingsStore(tmp_path / "settings.toml")

    assert "sk-1" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", ["sch\u00fcssel", "line\nend", "\udcff"])
@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "PROXY_API_KEYS"])
def test_a_key_no_header_can_carry_is_refused_and_not_repeated(refuse: Refuse, name: str, key: str) -> None:
    said = refuse(**{name: key})

    assert name in said
    assert key not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "typed",
    [
        "https://anna:Winter26@gateway.example/v1",
        "HTTPS://anna:Winter26@gateway.example/v1",
        "https://anna:Win/ter#26@gateway.example/v1",
        "https://anna:Win ter26@gateway.example/v1",
        "https://anna:Win'ter\"26@gateway.example/v1",
        "https://anna:Win@ter26@gateway.example/v1",
        "anna:Winter26@gateway.example/v1",
        "https://gateway.example/v1?key=Winter26",
        "https://gateway.example/v1?api-version=1&Api-Key=Winter26#x",
        "https://gateway.example/v1?sig=Winter26%3D",
    ],
)
def test_a_login_or_a_key_in_the_base_url_is_not_repeated(refuse: Refuse, typed: str) -> None:
    said = refuse(OPENAI_BASE_URL=typed)

    assert "OPENAI_BASE_URL is " in said
    assert "gateway.example" in said
    for secret in ("anna", "Win", "ter26", "26"):
        assert secret not in said


def test_the_body_limit_is_counted_in_bytes() -> None:
    assert Settings.model_validate({"proxy_max_body_mb": 1.5}).max_body_bytes == 1_572_864


@pytest.mark.parametrize(
    ("field", "given", "seen"),
    [
        ("openai_api_key", None, "none"),
        ("openai_api_key", "sk-abcdefgh-wxyz", "set, ends in wxyz"),
        ("openai_api_key", "short-key", "set"),
        ("proxy_api_keys", "first-proxy-key,second", "set, ends in -key, set"),
        ("proxy_api_keys", "", "none"),
        ("openai_organization", None, "none"),
        ("proxy_require_api_key", True, "true"),
        ("proxy_port", 9000, "9000"),
        ("openai_timeout", 5, "5.0"),
        ("proxy_allowed_origins", "https://a.example,app://b", "https://a.example, app://b"),
        ("openai_param_defaults", {"stop": "\u00e9"}, '{"stop": "\u00e9"}'),
        ("openai_param_defaults", {}, "{}"),
    ],
)
def test_people_see_a_setting_and_of_a_key_only_its_end(field: str, given: object, seen: str) -> None:
    settings = Settings.model_validate({field: given})

    assert shown(field, settings) == seen


@pytest.mark.parametrize(("key", "seen"), [("a" * 8 + "wxyz", "set, ends in wxyz"), ("a" * 7 + "wxyz", "set")])
def test_the_end_of_a_key_is_shown_only_where_it_gives_little_away(key: str, seen: str) -> None:
    assert hidden(SecretStr(key)) == seen


def test_a_printed_snapshot_holds_no_key() -> None:
    settings = Settings.model_validate({"openai_api_key": "sk-hidden-1", "proxy_api_keys": "hidden-2"})

    assert "hidden-" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
