"""The one table of settings: name, default, meaning, expected form, and when a change takes effect.

A field's name in lower case is its key in the settings file; in upper case it is its environment variable.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from proxy.settings.aliases import Aliases
from proxy.settings.certificates import trusting
from proxy.settings.parameters import names_within, parse_drop_rules, parse_json_rules
from proxy.settings.parsing import (
    DEFAULT_PORTS,
    cut,
    is_loopback,
    parse_json,
    parse_key,
    parse_key_limits,
    parse_keys,
    parse_level,
    parse_origin,
    parse_prices,
    parse_upstream_url,
    refuse_bool,
    split_commas,
)
from proxy.settings.upstreams import (
    Contradiction,
    OwnAddress,
    Upstream,
    Upstreams,
    check_upstreams,
    first_upstream,
)

Key = Annotated[SecretStr | None, BeforeValidator(parse_key)]
JsonRules = Annotated[dict[str, Any], NoDecode, BeforeValidator(parse_json_rules)]
DropRules = Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_drop_rules)]
ConsentRules = Annotated[dict[str, Literal["auto", "ask", "never"]], NoDecode, BeforeValidator(parse_json)]
Switches = Annotated[dict[str, list[str]], NoDecode, BeforeValidator(parse_json)]
Prices = Annotated[dict[str, dict[str, float]], NoDecode, BeforeValidator(parse_prices)]
KeyLimits = Annotated[dict[str, dict[str, float]], NoDecode, BeforeValidator(parse_key_limits)]
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)]
SecretList = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(parse_keys)]
WholeNumber = Annotated[int, BeforeValidator(refuse_bool)]
Number = Annotated[float, BeforeValidator(refuse_bool)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(parse_level)]

YES_NO = "true or false"
AS_GOOD_AS_A_SETTING = 0.9  # likeness of a name; no parameter of the APIs comes so near to a setting


@dataclass(frozen=True)
class About:
    """A setting's row in the table, apart from its default."""

    meaning: str
    expects: str
    restart: bool = False  # a change moves the server; all others take effect on the next request
    secret: bool = False  # never written to a file, never shown


def setting(
    default: Any, meaning: str, expects: str, *, restart: bool = False, secret: bool = False, **limits: Any
) -> Any:
    """Declare one row of the table."""
    row: Any = About(meaning, expects, restart=restart, secret=secret)
    return Field(default, description=meaning, json_schema_extra={"about": row}, **limits)


def limit_setting(what: str, period: str, expects: str) -> Any:
    """Declare a row for a soft limit, which gives notice."""
    return setting(
        None,
        f"Give notice once all requests of a {period} have used so many {what}",
        expects,
        gt=0,
        allow_inf_nan=False,
    )


class Settings(BaseSettings):
    """A frozen snapshot of every setting."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

    openai_api_key: Key = setting(None, "The upstream API key", "the key your provider gave you", secret=True)
    openai_key_from: Literal["environment", "keyring"] = setting(
        "environment",
        "Which upstream key counts where the environment sets one and another is stored",
        "environment or keyring",
    )
    openai_base_url: str = setting(
        "https://api.openai.com/v1",
        "The upstream. `/v1` is appended if no version is in it",
        "an https:// address (http:// only on this computer, or with PROXY_ALLOW_HTTP_UPSTREAM)",
        validate_default=True,
    )
    proxy_allow_http_upstream: bool = setting(
        False, "Allow an http:// upstream that is not on this computer: your key then travels in the clear", YES_NO
    )
    openai_timeout: Number = setting(
        120.0,
        "Seconds the upstream may stay silent: before its answer, and between the bytes of a stream",
        "a number of seconds above 0",
        gt=0,
        allow_inf_nan=False,
    )
    openai_max_retries: WholeNumber = setting(
        2, "How often a failed request is tried again before its first byte", "a whole number from 0 to 10", ge=0, le=10
    )
    openai_stream_usage: bool = setting(
        True, "Ask streamed chats for the tokens they used, where the client does not; it sees no difference", YES_NO
    )
    proxy_repair_parameters: bool = setting(
        True, "Ask once more without a parameter that a model refuses, such as `temperature`, and remember it", YES_NO
    )
    openai_organization: str | None = setting(None, "Sent as `OpenAI-Organization`", "an organization id")
    openai_project: str | None = setting(None, "Sent as `OpenAI-Project`", "a project id")
    openai_ca_file: str | None = setting(
        None,
        "Certificate file (PEM) to trust instead of the system's, for networks that inspect TLS",
        "the path of a PEM file",
    )
    proxy_upstreams: Annotated[Upstreams, NoDecode] = setting(
        (),
        "More upstreams, beside the one of OPENAI_BASE_URL",
        'tables [[proxy_upstreams]], or a JSON array of objects such as {"name": "groq", "base_url": "https://…"}',
    )
    proxy_upstream: str | None = setting(
        None, "The upstream of all requests that no alias, prefix or pattern sends elsewhere", "an upstream's name"
    )
    proxy_aliases: Annotated[Aliases, NoDecode] = setting(
        {},
        "Names of your own for models: `NAME/MODEL`, or a list to fall back along",
        'a JSON object such as {"fast": "groq/llama-3.3-70b"}',
    )
    proxy_require_api_key: bool = setting(False, "Ask every caller for one of the proxy keys", YES_NO)
    proxy_api_keys: SecretList = setting(
        (), "The proxy keys, separated by commas", "keys separated by commas", secret=True
    )
    proxy_forward_auth_header: bool = setting(
        False,
        "The caller's Bearer token is the upstream key; a required proxy key then comes in `X-Proxy-Api-Key`",
        YES_NO,
    )
    allow_unauthenticated_health: bool = setting(False, "Answer `/v1/health` without a proxy key", YES_NO)
    enable_tool_execution: bool = setting(
        False, "Run tools for the model: yours, those of MCP servers, and the shipped ones", YES_NO
    )
    function_tools_file: str | None = setting(
        None, "Your tools, in place of `function_tools.py` in the config folder", "the path of a Python file"
    )
    tool_max_rounds: WholeNumber = setting(
        5,
        "How often one answer may call tools; after that the model must do without",
        "a whole number from 1 to 50",
        ge=1,
        le=50,
    )
    tool_max_calls: WholeNumber = setting(
        8, "How many calls of one round are run", "a whole number from 1 to 100", ge=1, le=100
    )
    tool_timeout: Number = setting(
        30.0, "Seconds one call of a tool may take", "a number of seconds above 0", gt=0, allow_inf_nan=False
    )
    tool_max_arguments_kb: WholeNumber = setting(
        64, "The largest arguments of a call, in kB of 1,024 bytes", "a whole number from 1 to 10000", ge=1, le=10_000
    )
    tool_max_result_kb: WholeNumber = setting(
        64, "The largest result of a call, in kB of 1,024 bytes", "a whole number from 1 to 10000", ge=1, le=10_000
    )
    tool_consent: ConsentRules = setting(
        {},
        "Which tools run without a question (`auto`), after one (`ask`) or never: an object of names or patterns",
        'a JSON object such as {"files__*": "ask", "calculate": "never"}',
    )
    tool_off: Switches = setting(
        {},
        "Tools that are switched off: names or patterns by client (what it calls itself, its key's name, or `*`)",
        'a JSON object such as {"*": ["files__*"], "aider": ["*"]}',
    )
    openai_param_defaults: JsonRules = setting({}, "Parameters filled in where a request lacks them", "a JSON object")
    openai_param_overrides: JsonRules = setting({}, "Parameters forced on every request", "a JSON object")
    openai_param_drop: DropRules = setting((), "Parameters removed from every request", "names separated by commas")
    proxy_usage_days: WholeNumber = setting(
        400, "Days for which the usage of requests is kept", "a whole number from 1 to 36500", ge=1, le=36_500
    )
    proxy_prices: Prices = setting(
        {},
        "Your own prices by model, in USD for a million tokens; they come before the built-in price table",
        'a JSON object such as {"my-model": {"input": 1.5, "cached": 0.2, "output": 6}}',
    )
    proxy_daily_limit_usd: Number | None = limit_setting("dollars of known cost", "day", "an amount of dollars above 0")
    proxy_monthly_limit_usd: Number | None = limit_setting(
        "dollars of known cost", "month", "an amount of dollars above 0"
    )
    proxy_daily_limit_tokens: Number | None = limit_setting("tokens", "day", "a number of tokens above 0")
    proxy_monthly_limit_tokens: Number | None = limit_setting("tokens", "month", "a number of tokens above 0")
    proxy_key_limits: KeyLimits = setting(
        {},
        "Hard limits by proxy key (`*`: each other key): once one is reached, the key's requests are refused",
        'a JSON object such as {"editor": {"day_usd": 5, "month_tokens": 20000000}}',
    )
    proxy_update_notice: bool = setting(
        False, "Ask the package index once a day for a newer version, and say so; nothing is downloaded", YES_NO
    )
    proxy_update_index: str = setting(
        "https://pypi.org/pypi/openai-tray-proxy/json",
        "Where that is asked: the JSON of this package on an index",
        "an address such as https://pypi.org/pypi/openai-tray-proxy/json",
    )
    proxy_capture: bool = setting(
        True, "Hold the last requests with their bodies in memory, for the page that shows them", YES_NO
    )
    proxy_capture_requests: WholeNumber = setting(
        200, "How many requests are held in memory", "a whole number from 1 to 10000", ge=1, le=10_000
    )
    proxy_capture_mb: WholeNumber = setting(
        64,
        "The most memory their bodies take, in MB of 1,048,576 bytes; over it the oldest bodies go",
        "a whole number from 1 to 10000",
        ge=1,
        le=10_000,
    )
    proxy_capture_days: WholeNumber = setting(
        0,
        "Days for which requests are kept on the disk too, with all that was said (0: not at all)",
        "a whole number from 0 to 3650",
        ge=0,
        le=3_650,
    )
    proxy_capture_disk_mb: WholeNumber = setting(
        1024,
        "The most room they take on the disk, in MB of 1,048,576 bytes; over it the oldest go",
        "a whole number from 1 to 1000000",
        ge=1,
        le=1_000_000,
    )
    proxy_host: str = setting(
        "127.0.0.1", "The address to listen on", "an IP address or host name", restart=True, min_length=1
    )
    proxy_port: WholeNumber = setting(
        8000, "The port to listen on (0: any free one)", "a whole number from 0 to 65535", restart=True, ge=0, le=65535
    )
    proxy_allowed_origins: CommaList = setting(
        (),
        "Origins of web pages and apps that may call, beside those of this computer",
        "origins such as https://app.example, separated by commas",
    )
    proxy_allowed_hosts: CommaList = setting(
        (),
        "Host names, beside 127.0.0.1 and localhost, under which the proxy may be called",
        "names or name:port, separated by commas",
    )
    proxy_max_body_mb: Number = setting(
        64.0, "The largest request body, in MB of 1,048,576 bytes", "a number above 0", gt=0, allow_inf_nan=False
    )
    proxy_max_upload_mb: Number = setting(
        1024.0,
        "The largest body where files are uploaded, which is passed on as it arrives, in MB of 1,048,576 bytes",
        "a number above 0",
        gt=0,
        allow_inf_nan=False,
    )
    proxy_log_level: LogLevel = setting("INFO", "How much the log says", "DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from the caller: the store merges the sources and knows each value's origin."""
        return (init_settings,)

    @field_validator("proxy_allowed_origins")
    @classmethod
    def check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Normalise each origin to the form that browsers send."""
        return tuple(parse_origin(origin) for origin in origins)

    @field_validator("openai_base_url")
    @classmethod
    def check_upstream(cls, url: str) -> str:
        """Normalise the base URL."""
        return parse_upstream_url(url)

    @field_validator("proxy_update_index")
    @classmethod
    def check_index(cls, url: str) -> str:
        """Refuse anything but a URL without a login; http:// is allowed on this computer only."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not url.isascii() or not url.isprintable() or " " in url or not host or parts.username is not None:
            raise ValueError("it is no address without a login")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise ValueError("it must begin with https://")
        return url

    @field_validator("openai_ca_file")
    @classmethod
    def check_ca_file(cls, path: str | None) -> str | None:
        """Load the certificates now; otherwise every later request would fail."""
        if path is not None:
            trusting(path)
        return path

    @field_validator("openai_param_defaults", "openai_param_overrides")
    @classmethod
    def check_parameters(cls, rules: dict[str, Any]) -> dict[str, Any]:
        """Refuse a setting among the parameters: a line that was added below a table of rules is swallowed by it.

        So it is below `[openai_param_defaults.reasoning]`, and where the setting is misspelt.
        """
        for name in names_within(rules):
            field = name.strip().lower().replace("-", "_")
            if field in cls.model_fields:
                raise ValueError(f"{name} is a setting; in the settings file it stands above the first table")
            if meant := get_close_matches(field, cls.model_fields, 1, AS_GOOD_AS_A_SETTING):
                raise ValueError(f"{cut(name)} is no parameter; is it {meant[0]}, which stands above the first table?")
        return rules

    @model_validator(mode="after")
    def check_together(self) -> "Settings":
        """Refuse combinations that would leave a key or the money open."""
        upstream = urlsplit(self.openai_base_url)
        host, port = upstream.hostname or "", upstream.port or DEFAULT_PORTS[upstream.scheme]
        if upstream.scheme == "http" and not is_loopback(host) and not self.proxy_allow_http_upstream:
            raise Contradiction("openai_base_url", "your key would travel in the clear")
        if port == self.proxy_port and (is_loopback(host) or host == self.proxy_host.strip("[]").lower()):
            raise OwnAddress("openai_base_url", "this is the proxy's own address: it would call itself")
        check_upstreams(
            self.upstreams, self.proxy_upstream, self.proxy_aliases, self.proxy_port, self.proxy_allow_http_upstream
        )
        if not is_loopback(self.proxy_host) and not self.proxy_require_api_key:
            raise Contradiction("proxy_host", "other computers could use your key; turn PROXY_REQUIRE_API_KEY on first")
        return self

    @cached_property
    def upstreams(self) -> tuple[Upstream, ...]:
        """All upstreams: first that of OPENAI_BASE_URL, then those of the table."""
        first = first_upstream(self.openai_base_url, self.openai_organization, self.openai_project, self.openai_ca_file)
        return (first, *self.proxy_upstreams)

    @cached_property
    def chosen_upstream(self) -> Upstream:
        """The upstream of all requests that no alias, prefix or pattern sends elsewhere."""
        return self.upstream_named(self.proxy_upstream) or self.upstreams[0]

    def upstream_named(self, name: str | None) -> Upstream | None:
        """Return the upstream with a name, None if there is none."""
        return next((upstream for upstream in self.upstreams if upstream.name == name), None)

    @cached_property  # asked for at every request
    def max_body_bytes(self) -> int:
        """The body limit in bytes."""
        return int(self.proxy_max_body_mb * 1_048_576)

    @cached_property  # as above
    def reads_callers_keys(self) -> bool:
        """Return whether a caller's key matters: it must be a proxy key, or is sent upstream."""
        return self.proxy_require_api_key or self.proxy_forward_auth_header

    @cached_property  # as above
    def capture_bytes(self) -> int:
        """The limit for the held bodies of recent requests, in bytes."""
        return self.proxy_capture_mb * 1_048_576

    @property
    def max_upload_bytes(self) -> int:
        """The limit for file uploads, in bytes; never below the limit for other bodies."""
        return max(self.max_body_bytes, int(self.proxy_max_upload_mb * 1_048_576))


def changed_upstreams(old: Settings, new: Settings) -> set[str]:
    """Return the names of the upstreams that were removed or replaced: what was learned about them is obsolete."""
    now = {upstream.name: (upstream.base_url, upstream.auth) for upstream in new.upstreams}
    return {each.name for each in old.upstreams if now.get(each.name) != (each.base_url, each.auth)}


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    return field.upper()


def about(field: str) -> About:
    """Return the table's row of a field."""
    extra: Any = Settings.model_fields[field].json_schema_extra
    row: About = extra["about"]
    return row


def shown(field: str, settings: Settings) -> str:
    """Return a setting's value for display; of a key only its last four characters."""
    value = getattr(settings, field)
    if isinstance(value, SecretStr):
        return hidden(value)
    if isinstance(value, tuple) and value and isinstance(value[0], Upstream):
        return json.dumps([row.table() for row in value], ensure_ascii=False)
    if isinstance(value, tuple):
        return ", ".join(hidden(part) if isinstance(part, SecretStr) else str(part) for part in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else str(value)


def hidden(secret: SecretStr) -> str:
    """Return that a key is set, and its last characters if the key is long enough."""
    key = secret.get_secret_value()
    return f"set, ends in {key[-4:]}" if len(key) >= 12 else "set"
