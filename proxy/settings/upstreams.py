"""Parse the table of upstreams and check it for contradictions. Pure values."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, count
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from proxy.settings.aliases import check_aliases
from proxy.settings.certificates import trusting
from proxy.settings.parsing import DEFAULT_PORTS, cut, is_loopback, parse_json, parse_upstream_url, refuse_bool

OPENAI_HOST = "api.openai.com"
OPENAI = "openai"
DEFAULT = "default"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
KEY_PLACE = "{key}"
# Headers that carry a key: a literal one has no place in a file. The rest decide framing or routing, and are ours.
KEY_PARAMETERS = frozenset({"key", "apikey", "accesstoken", "token", "subscriptionkey", "secret", "password"})
KEY_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"})
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})

Auth = Literal["bearer", "x-api-key", "api-key", "none"]


def parse_names(value: object) -> object:
    """Return a list: a single text becomes a list of one."""
    return (value,) if isinstance(value, str) else value


def parse_table(value: object) -> object:
    """Parse a JSON array of objects; a list of tables (from the file) stays as it is."""
    return () if value is None or value == "" else parse_json(value)


Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
Counts = dict[str, Annotated[int, BeforeValidator(refuse_bool), Field(gt=0)]]


class Upstream(BaseModel):
    """One row of the table: the API of a provider, and how requests are sent to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    base_url: str
    auth: Auth = "bearer"
    models: Names = ()
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    complete_url: bool = False
    context_length: Counts = {}
    max_output_tokens: Counts = {}
    fallback: Names = ()
    timeout: Annotated[float, BeforeValidator(refuse_bool), Field(gt=0, allow_inf_nan=False)] | None = None
    max_retries: Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, le=10)] | None = None
    organization: str | None = None
    project: str | None = None
    ca_file: str | None = None
    network_proxy: str | None = None

    @field_validator("name")
    @classmethod
    def check_name(cls, name: str) -> str:
        """Refuse a name that cannot stand before a slash or in the name of a variable."""
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{cut(name)!r} is no name: letters, digits, - and _ make one")
        return name

    @field_validator("headers")
    @classmethod
    def check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        """Refuse headers that cannot be sent, that the proxy sets itself, or that would put a key into the file."""
        for name, value in headers.items():
            folded = name.lower()
            if HEADER_NAME.fullmatch(name) is None or not value.isprintable():
                raise ValueError(f"{cut(name)!r} is no header that can be sent")
            if folded in OWN_HEADERS:
                raise ValueError(f"the header {name} is the proxy's own")
            if folded in KEY_HEADERS and KEY_PLACE not in value:
                raise ValueError(f"the header {name} would keep a key in a file; write {KEY_PLACE} in its place")
        return headers

    @field_validator("query")
    @classmethod
    def check_query(cls, query: dict[str, str]) -> dict[str, str]:
        """Refuse query parameters that would put a key into the file."""
        for name, value in query.items():
            folded = name.lower().replace("-", "").replace("_", "")
            if folded in KEY_PARAMETERS and KEY_PLACE not in value:
                raise ValueError(f"{cut(name)} in the query would keep a key in a file; write {KEY_PLACE} in its place")
        return query

    @field_validator("ca_file")
    @classmethod
    def check_ca_file(cls, path: str | None) -> str | None:
        """Load the certificates now; otherwise every later request would fail."""
        if path is not None:
            trusting(path)
        return path

    @model_validator(mode="before")
    @classmethod
    def split_query(cls, values: Any) -> Any:
        """Normalise the base URL, and move its query into `query`."""
        if not isinstance(values, dict) or not isinstance(values.get("base_url"), str):
            return values
        url, question, query = values["base_url"].strip().partition("?")
        values = {**values, "base_url": parse_upstream_url(url, is_complete=values.get("complete_url") is True)}
        if question:
            pairs = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
            values["query"] = {**pairs, **(values.get("query") or {})}
        return values

    @property
    def is_first(self) -> bool:
        """Return whether it is the upstream of OPENAI_BASE_URL, which is not in the table."""
        return isinstance(self, FirstUpstream)

    @property
    def is_unnamed(self) -> bool:
        """Return whether it has no name of its own: OPENAI_BASE_URL with a server other than OpenAI's."""
        return self.is_first and self.name == DEFAULT

    @property
    def label(self) -> str:
        """Return what the user calls it: its name, or its host where nobody has given it one."""
        return urlsplit(self.base_url).netloc if self.is_unnamed else self.name

    @property
    def origin(self) -> str:
        """Return scheme, host and port; the key is for this origin only."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_local(self) -> bool:
        """Return whether it runs on this computer and so needs no key."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def key_variable(self) -> str:
        """Return the environment variable of its key."""
        return f"OPENAI_API_KEY_{self.name.upper().replace('-', '_')}"

    def environment_key(self, environment: Mapping[str, str]) -> str | None:
        """Return its key in an environment."""
        return environment.get(self.key_variable, "").strip() or None

    def table(self) -> dict[str, Any]:
        """Return the row for the settings file, without the values that are defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)


class FirstUpstream(Upstream):
    """The upstream of OPENAI_BASE_URL."""


Upstreams = Annotated[tuple[Upstream, ...], BeforeValidator(parse_table)]


class Contradiction(ValueError):
    """A value that is valid alone and contradicts another one."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field
        self.why = why


class OwnAddress(Contradiction):
    """An upstream that is the proxy itself."""


def free_name(wanted: str, upstreams: Iterable[Upstream]) -> str:
    """Return a name that no upstream has: the wanted one, else with a number appended."""
    taken = {upstream.name.lower() for upstream in upstreams}
    names = chain([wanted], (f"{wanted}-{number}" for number in count(2)))
    return next(name for name in names if name.lower() not in taken)


def first_upstream(base_url: str, organization: str | None, project: str | None, ca_file: str | None) -> Upstream:
    """Return the upstream that OPENAI_BASE_URL and its companions describe; their values are checked already."""
    name = OPENAI if urlsplit(base_url).hostname == OPENAI_HOST else DEFAULT
    return FirstUpstream.model_construct(
        name=name, base_url=base_url, organization=organization, project=project, ca_file=ca_file
    )


def check_upstreams(
    upstreams: Sequence[Upstream], chosen: str | None, aliases: Mapping[str, Sequence[str]], port: int, http: bool
) -> None:
    """Raise Contradiction for a table that contradicts itself or exposes a key; `port` is the proxy's own."""
    names = [upstream.name for upstream in upstreams]
    with contradicting("proxy_upstreams"):
        check_names(upstreams[0], upstreams[1:])
        check_addresses(upstreams[1:], port, http)
    with contradicting("proxy_upstream"):
        check_choice(chosen, names)
    with contradicting("proxy_aliases"):
        check_aliases(aliases, names)


@contextmanager
def contradicting(field: str) -> Iterator[None]:
    """Turn a ValueError in the block into a Contradiction of a setting."""
    try:
        yield
    except ValueError as error:
        raise Contradiction(field, str(error)) from error


def check_names(first: Upstream, rows: Sequence[Upstream]) -> None:
    """Raise ValueError for two upstreams of one name, and for a fallback that does not exist.

    Letter case is ignored: names that differ only in case would share a variable for their keys.
    """
    seen = {first.name.lower(): first.name}
    variables = {"OPENAI_API_KEY": first.name}
    for row in rows:
        if (other := seen.get(row.name.lower())) is not None:
            taken = ", as that of OPENAI_BASE_URL is; use another name" if other == first.name else ""
            raise ValueError(f"two upstreams are named {row.name}{taken}")
        if (other := variables.get(row.key_variable)) is not None:
            raise ValueError(f"{row.name} and {other} would share the variable {row.key_variable}")
        seen[row.name.lower()] = row.name
        variables[row.key_variable] = row.name
    names = set(seen.values())
    for row in rows:
        for name in row.fallback:
            if name == row.name or name not in names:
                why = "itself" if name == row.name else f"{cut(name)}, which is no upstream"
                raise ValueError(f"{row.name} falls back to {why}")


def check_addresses(rows: Sequence[Upstream], port: int, http: bool) -> None:
    """Raise ValueError for an address that would send a key unencrypted, and for the proxy's own address."""
    for row in rows:
        address = urlsplit(row.base_url)
        if address.scheme == "http" and not row.is_local and not http:
            raise ValueError(f"the key of {row.name} would travel in the clear")
        if row.is_local and (address.port or DEFAULT_PORTS[address.scheme]) == port:
            raise ValueError(f"{row.name} is the proxy's own address: it would call itself")


def check_choice(chosen: str | None, names: Sequence[str]) -> None:
    """Raise ValueError if the chosen upstream does not exist."""
    if chosen is not None and chosen not in names:
        raise ValueError(f"the upstreams are {', '.join(names)}")
