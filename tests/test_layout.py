"""The house: who may import whom, who keeps which dependency, and how large a file may grow. Read with `ast`."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from fakes.environment import ROOT

PACKAGES = ("proxy", "tray_app")
LONGEST_FILE_LINES = 300
# One entry after the other: read by looking one up, so length costs nothing.
TREES = ("proxy/errors/", "proxy/settings/model.py")

# Which rooms a room may import from `proxy`. A room is a folder, or a module that stands alone.
DOORS_IN_WORDS: dict[str, str] = {
    # values
    "identity": "",
    "command": "",
    "files": "",
    "quoting": "",
    "paths": "identity",
    "logs": "files identity paths",
    "errors": "command logs",  # logs: what takes secrets out of a text
    "http": "errors",
    "flow": "errors http",
    # what a request is judged by, and how its bytes are read
    "settings": "errors files logs paths",  # logs: as above; paths: the last good settings are kept in the state folder
    "keys": "errors files identity settings",  # settings: a key is cleaned as they clean it
    "policy": "errors http identity settings",  # identity: the user agent that goes upstream names us
    "stream": "errors flow http",  # flow: what passes is counted, and announced
    # connections, and what happens between them
    "server": "errors http",
    "upstream": "errors files http policy settings",  # policy: which repairs of a request there are
    "tools": "errors http logs settings stream",  # stream: the loop reads the streams of its rounds, and writes one
    "usage": "flow settings",
    # usage: a row says what it cost; policy: which API an address means; stream: the events of an answer are read again
    "capture": "files flow http identity policy quoting stream usage",
    # usage: a key that has used up its budget is refused
    # demo: it breaks the answers of a fault drill
    "exchange": "demo errors files flow http logs policy settings stream tools upstream usage",
    "demo": "errors",
    # settings: how a text file's bytes are read; paths: where programs keep their settings
    "clients": "errors files paths quoting settings",
    # wiring
    "records": "capture paths settings usage",
    "callbacks": "command files keys paths settings",
    "updates": "errors files identity settings upstream",
    "services": (
        "callbacks capture command errors exchange files flow keys logs paths policy records settings tools updates"
        " upstream usage"
    ),
    "process": "",
    # exchange: an upstream that is asked again is judged by its answer as in a request
    "lifespan": "errors exchange flow http keys services settings tools updates upstream",
    # exchange: a view on /v1 returns a response that carries an exchange; server: what it makes of a request's head is
    # the same under any server; lifespan, process: an ASGI server has us start and stop
    "web": (
        "capture clients command errors exchange flow http identity keys lifespan logs paths policy process running"
        " server services settings stream tools updates usage"
    ),
    # settings: where to listen
    "hosting": "demo errors flow lifespan server services settings web",
    "running": "errors files",
    # command: whether a start script has started us, and so starts us at login; identity: names of files and titles
    "install": "command errors files identity paths",
    # identity: the version; flow: how upstreams are
    # server: who else listens at localhost
    "doctor": (
        "clients command errors flow identity install keys logs paths running server settings tools upstream usage"
    ),
    # identity: --version; flow: how upstreams are; keys: their types; settings: config; tools: the example it writes,
    # and who asks to run
    "cli": (
        "clients command doctor errors flow hosting identity install keys logs paths process running server services"
        " settings tools upstream usage web"
    ),
    "__main__": "cli",
    # flow, keys, tools and usage for their states alone
    "tray_app": (
        "cli command doctor errors files flow hosting identity install keys logs paths process quoting running server"
        " services settings tools usage web"
    ),
}
DOORS = {room: set(words.split()) for room, words in DOORS_IN_WORDS.items()}

# Where each dependency may be imported: a file, a folder (its end is a slash), or a pattern.
KEEPERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("flask", "werkzeug"), ("proxy/web/", "proxy/demo/")),
    "flask_cors": ("proxy/web/",),
    "httptools": ("proxy/http/",),
    "psutil": ("proxy/server/", "proxy/doctor/"),
    "websockets": ("proxy/web/asgi_*.py",),
    "openai": ("proxy/upstream/", "proxy/cli/check.py"),
    "aiohappyeyeballs": ("proxy/upstream/dial.py",),
    "python_socks": ("proxy/upstream/dial.py",),
    "httpx2": ("proxy/upstream/", "proxy/tools/mcp/remote.py"),  # the MCP SDK's client too
    **dict.fromkeys(("mcp", "mcp_types"), ("proxy/tools/mcp/",)),
    "anyio": ("proxy/tools/mcp/stdio.py",),  # the streams a transport of the SDK is made of
    "pydantic_settings": ("proxy/settings/",),
    "tomlkit": ("proxy/settings/", "proxy/clients/toml.py"),
    "ruamel": ("proxy/clients/yaml.py",),
    "pydantic": (
        "proxy/settings/",
        "proxy/tools/schema.py",
        "proxy/tools/mcp/login.py",
    ),  # a tool's type hints are a schema as settings are
    "pydantic_core": (
        "proxy/policy/body.py",
        "proxy/web/ui/settings.py",
        "proxy/tools/invocation.py",
        "proxy/tools/schema.py",
    ),
    **dict.fromkeys(("jsonschema", "referencing"), ("proxy/tools/defined.py",)),
    "cachetools": ("proxy/demo/", "proxy/server/", "proxy/tools/", "proxy/upstream/"),  # bounded caches
    "docstring_parser": ("proxy/tools/docstrings.py",),
    **dict.fromkeys(("keyring", "secretstorage"), ("proxy/keys/keychain.py",)),
    **dict.fromkeys(("backports", "brotli", "compression"), ("proxy/exchange/encodings.py", "proxy/http/decoding.py")),
    "platformdirs": ("proxy/paths.py",),
    "prometheus_client": ("proxy/web/metrics.py",),
    **dict.fromkeys(("sqlite3", "genai_prices"), ("proxy/usage/",)),
    "click": ("proxy/cli/", "tray_app/__main__.py", "tray_app/ending.py"),
    "pystray": ("tray_app/backends/pystray_*.py",),
    "jeepney": (
        *("tray_app/backends/", "tray_app/clipboard/", "tray_app/notify.py", "tray_app/session_bus.py"),
        "proxy/keys/kwallet.py",
    ),
    "Xlib": ("tray_app/backends/*xembed*", "tray_app/clipboard/selection.py", "tray_app/backends/choose_linux.py"),
    "PIL": ("tray_app/artwork*", "tray_app/backends/", "tray_app/draw_assets*"),
    "_typeshed": ("proxy/web/",),  # types alone: it exists for type checkers only
}


@cache
def sources(*packages: str) -> tuple[Path, ...]:
    """Return every source file of the packages."""
    return tuple(path for package in packages for path in sorted((ROOT / package).rglob("*.py")))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_of(path: Path) -> str:
    """Return a file's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    """Return the dotted names of all modules of ours."""
    return frozenset(module_of(path) for path in sources(*PACKAGES))


def imported_names(tree: ast.Module, own: frozenset[str]) -> Iterator[str]:
    """Yield the dotted names a module imports: at the top, late, for type checkers alone, and by name for importlib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            submodules = [f"{module}.{alias.name}" for alias in node.names if f"{module}.{alias.name}" in own]
            yield from submodules
            if len(submodules) < len(node.names):
                yield module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value and node.value in own:
            yield node.value


def imports(path: Path) -> set[str]:
    return set(imported_names(parse(path), modules()))


def room_of(module: str) -> str:
    """Return the room a module of ours belongs to; the package `proxy` itself has no door and no name."""
    package, _, rest = module.partition(".")
    return "tray_app" if package == "tray_app" else rest.partition(".")[0]


def is_kept(path: Path, keepers: tuple[str, ...]) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name.startswith(keeper) if keeper.endswith("/") else fnmatch(name, keeper) for keeper in keepers)


def used_doors() -> set[tuple[str, str, str]]:
    """Return (room, room it imports from, where) for the imports between rooms."""
    return {
        (room_of(module_of(path)), room_of(name), f"{path.relative_to(ROOT)} imports {name}")
        for path in sources(*PACKAGES)
        for name in imports(path)
        if name.partition(".")[0] in PACKAGES and room_of(name) != room_of(module_of(path))
    }


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the names along a circle, [] where there is none."""
    done: set[str] = set()

    def follow(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if circle := follow(other, [*trail, name]):
                return circle
        done.add(name)
        return []

    return next((circle for name in sorted(graph) if (circle := follow(name, []))), [])


# How this file reads


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b", {"a.b"}),
        ("import a as b, c", {"a", "c"}),
        ("from a import b", {"a"}),
        ("from proxy import paths", {"proxy.paths"}),
        ("from proxy import paths, nothing", {"proxy.paths", "proxy"}),
        ("from proxy.settings import model", {"proxy.settings.model"}),
        ("from proxy.settings.model import Settings", {"proxy.settings.model"}),
        ("from . import a", {"."}),
        ("def f():\n    import a", {"a"}),
        ("try:\n    import a\nexcept ImportError:\n    from b import c", {"a", "b"}),
        ("if TYPE_CHECKING:\n    from a import b", {"a"}),
        ("import_module('proxy.paths')", {"proxy.paths"}),
        ("'proxy.nothing'", set()),
        ("x = 1", set()),
    ],
)
def test_every_way_to_import_is_seen(source: str, names: set[str]) -> None:
    own = frozenset({"proxy", "proxy.paths", "proxy.settings", "proxy.settings.model"})

    assert set(imported_names(ast.parse(source), own)) == names


def test_the_sources_are_found() -> None:
    assert {"proxy", "proxy.cli.main", "proxy.settings.model", "proxy.demo.app", "tray_app"} <= modules()
    assert ("cli", "identity", "proxy/cli/main.py imports proxy.identity") in used_doors()


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"a"}}, ["a", "a"]),
    ],
)
def test_a_circle_is_found(graph: dict[str, set[str]], circle: list[str]) -> None:
    assert find_circle(graph) == circle


# Doors


def test_every_room_has_its_line_in_the_table() -> None:
    rooms = {room_of(module) for module in modules()} - {""}

    assert rooms - set(DOORS) == set()


def test_rooms_import_only_through_their_doors() -> None:
    broken = sorted(where for room, other, where in used_doors() if other not in DOORS.get(room, set()))

    assert broken == []


def test_the_proxy_never_imports_the_tray() -> None:
    assert [where for _, other, where in used_doors() if other == "tray_app"] == []


WIRING = {
    *("proxy.hosting", "proxy.lifespan", "proxy.web.app", "proxy.web.asgi"),
    *(
        "proxy.cli.connect",
        "proxy.cli.keys",
        "proxy.cli.main",
        "proxy.cli.parts",
        "proxy.cli.serve",
        "proxy.cli.tools",
        "proxy.cli.upstreams",
    ),
    *("tray_app.__main__", "tray_app.app", "tray_app.controller", "tray_app.triggers"),
}


def test_the_services_are_handed_whole_to_the_wiring_alone() -> None:
    users = {module_of(path) for path in sources(*PACKAGES) if "proxy.services" in imports(path)}

    assert users <= WIRING


def test_no_module_imports_the_bare_package() -> None:
    assert [where for _, other, where in used_doors() if other == ""] == []


def test_the_doors_form_no_circle() -> None:
    assert find_circle(DOORS) == []


def test_doors_lead_to_rooms_of_the_table() -> None:
    assert {other for others in DOORS.values() for other in others} - set(DOORS) == set()


def test_imports_are_absolute() -> None:
    assert [str(path) for path in sources(*PACKAGES) for name in imports(path) if name.startswith(".")] == []


def test_modules_of_one_room_form_no_circle() -> None:
    graph = {module_of(path): imports(path) & modules() - {module_of(path)} for path in sources(*PACKAGES)}

    assert find_circle(graph) == []


# Keepers


def test_each_dependency_is_imported_by_its_keeper_alone() -> None:
    astray = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(*PACKAGES)
        for name in sorted(imports(path))
        if (top := name.partition(".")[0]) in KEEPERS and not is_kept(path, KEEPERS[top])
    ]

    assert astray == []


def test_each_dependency_has_a_keeper() -> None:
    known = {*sys.stdlib_module_names, *PACKAGES, *KEEPERS}
    strangers = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(*PACKAGES)
        for name in imports(path)
        if name.partition(".")[0] not in known and not name.startswith(".")
    }

    assert strangers == set()


@pytest.mark.parametrize(
    ("path", "keepers", "kept"),
    [
        ("proxy/web/app.py", ("proxy/web/",), True),
        ("proxy/website.py", ("proxy/web/",), False),
        ("proxy/paths.py", ("proxy/paths.py",), True),
        ("proxy/paths_more.py", ("proxy/paths.py",), False),
        ("tray_app/backends/pystray_icon.py", ("tray_app/backends/pystray_*.py",), True),
        ("tray_app/backends/dbus_menu.py", ("tray_app/backends/pystray_*.py",), False),
        ("tray_app/clipboard.py", ("tray_app/backends/", "tray_app/clipboard*"), True),
    ],
)
def test_a_keeper_is_a_file_a_folder_or_a_pattern(path: str, keepers: tuple[str, ...], kept: bool) -> None:
    assert is_kept(ROOT / path, keepers) is kept


# Files


def test_nothing_is_printed_past_the_terminal() -> None:
    printing = {
        path.relative_to(ROOT).as_posix()
        for path in sources(*PACKAGES)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Name) and node.id == "print"
    }

    assert printing == set()


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PACKAGES)
        if not is_kept(path, TREES)
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE_LINES} == {}


def test_a_package_file_holds_a_docstring_and_nothing_else() -> None:
    packages = [path for path in sources(*PACKAGES) if path.name == "__init__.py"]

    assert len(packages) > 5
    for path in packages:
        assert ast.get_docstring(parse(path)), path
        assert len(parse(path).body) == 1, path


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path in sources(*PACKAGES) if not ast.get_docstring(parse(path))] == []


def test_no_name_attracts_what_belongs_elsewhere() -> None:
    attractive = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}

    assert [str(path) for path in sources(*PACKAGES) if attractive & set(path.stem.split("_"))] == []


def test_assets_hold_no_python() -> None:
    assert list((ROOT / "assets").rglob("*.py")) == []


def test_no_package_of_the_tests_hides_ours() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []
