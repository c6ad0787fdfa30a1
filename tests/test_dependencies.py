"""The dependencies: what is imported is declared, what is declared is imported, and private parts have a bound."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.environment import ROOT
from fakes.locks import PROJECT, pins
from test_layout import PACKAGES, imports, parse, sources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the other systems lack some of the packages")

# Modules that no package of pyproject brings, and why they may be imported all the same.
NOT_OF_A_PACKAGE = {
    "_typeshed": "type checkers bring it; it is imported for them alone",
    "compression": "Python's own, from 3.14 on",
}
# Packages that pyproject names and nobody imports, and why.
NOT_IMPORTED = {
    "tzdata": "zoneinfo reads it, where the system has no time zones",
}
# Files whose objects come from a library that is looked up while the program runs: their private parts by library.
UNTYPED = {"pystray": ("tray_app/backends/pystray_", "tray_app/backends/macos_icon")}
# Packages that document no way to what we need, and what that is. Each has an upper bound in pyproject.
UNDOCUMENTED = {
    "mcp": "the type of a transport",
    "pystray": "the window, the queue and the handlers of its icons",
}
# The private parts of Python's own library, which comes with the program and has no bound.
OF_PYTHON = {
    "_exit": "os documents it, for a process that must not go on: the one of function tools, out of memory",
    "_open": "logging.FileHandler opens its file there, and the file must be its owner's alone",
    "_srcfile": "logging's documentation sets it to None, which saves looking for the caller's file",
    "_thread": "logging.handlers.QueueListener keeps its thread there, which has no public name; its end has a limit",
    "_value2member_map_": "enum has the members by value there; asking raises nothing",
}
# Every private name of a library that we touch, by the package and the object that must have it.
PRIVATE: dict[tuple[str, str], tuple[str, ...]] = {
    ("mcp", "mcp.client"): ("_transport",),
}  # fmt: skip


def declared(*extras: str) -> dict[str, Requirement]:
    """Return what pyproject asks for, by package."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *[line for extra in extras for line in project["optional-dependencies"][extra]]]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


@cache
def foreign_modules() -> frozenset[str]:
    """Return the names of the top-level modules we import that are neither ours nor Python's."""
    names = {name.partition(".")[0] for path in sources(*PACKAGES) for name in imports(path)}
    return frozenset(names - {*sys.stdlib_module_names, *PACKAGES, *NOT_OF_A_PACKAGE})


def packages_of(module: str, distributions: Mapping[str, list[str]]) -> set[str]:
    """Return the packages a module comes from: more than one where they share a namespace."""
    return {canonicalize_name(name) for name in distributions.get(module, [])}


def undeclared(modules: frozenset[str], names: set[str], distributions: Mapping[str, list[str]]) -> set[str]:
    return {module for module in modules if not packages_of(module, distributions) & names}


def unused(modules: frozenset[str], names: set[str], distributions: Mapping[str, list[str]]) -> set[str]:
    return names - {package for module in modules for package in packages_of(module, distributions)}


# --- declared and imported --------------------------------------------------------------------------------------------


def test_what_is_imported_is_declared() -> None:
    assert undeclared(foreign_modules(), set(declared("asgi", "mcp")), packages_distributions()) == set()


def test_what_is_declared_is_imported() -> None:
    # A package that is imported by now must leave the list.
    assert unused(foreign_modules(), set(declared("asgi", "mcp")), packages_distributions()) == set(NOT_IMPORTED)


def test_a_package_nobody_declared_and_one_nobody_imports_are_found() -> None:
    distributions = {"a": ["A-Package"], "b": ["b"], "backports": ["backports.one", "backports.two"]}
    modules = frozenset({"a", "b", "backports"})

    assert undeclared(modules, {"a-package", "backports-two"}, distributions) == {"b"}
    assert unused(modules, {"a-package", "b", "backports-two", "c"}, distributions) == {"c"}


def test_every_dependency_has_a_floor() -> None:
    bare = [str(each) for each in declared("asgi", "mcp", "test").values() if not floors(each)]

    assert bare == []


def floors(requirement: Requirement) -> list[Version]:
    return [Version(part.version) for part in requirement.specifier if part.operator == ">="]


def test_every_floor_is_a_version_that_the_tests_run_with() -> None:
    lowest = pins("requirements-lowest.lock")
    other = {
        str(requirement): lowest.get(package)
        for package, requirement in declared("asgi", "mcp").items()
        if floors(requirement) != [min(map(Version, lowest.get(package, ("0",))))]
    }

    assert other == {}


# --- private parts ----------------------------------------------------------------------------------------------------


def has_bound(requirement: Requirement) -> bool:
    return any(part.operator in ("<", "<=", "==", "~=") for part in requirement.specifier)


def test_a_package_whose_private_parts_are_touched_has_an_upper_bound() -> None:
    requirements = declared("asgi", "mcp")

    assert [name for name in UNDOCUMENTED if name not in requirements or not has_bound(requirements[name])] == []
    assert {package for package, _ in PRIVATE} <= UNDOCUMENTED.keys()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names a module takes from others: by attribute, by import, and from a parent of its classes."""
    parents = dict(foreign_names(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_of_self(node.value):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (part for part in parts if is_private(part) and part not in NOT_OF_A_PACKAGE)
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split(".") if is_private(part))
        elif isinstance(node, ast.ClassDef):
            inherited = [parents[name] for base in node.bases if (name := ast.unparse(base)) in parents]
            yield from used_names(node) & {name for parent in inherited for name in names_of(parent)}


def is_of_self(value: ast.expr) -> bool:
    is_super = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"
    return is_super or (isinstance(value, ast.Name) and value.id in ("self", "cls"))


def used_names(node: ast.ClassDef) -> set[str]:
    """Return the private names a class defines for itself, or asks itself or its parent for."""
    defined = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    asked = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and is_of_self(each.value)}
    return {name for name in defined | asked if is_private(name)}


def foreign_names(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield the classes of libraries as a module writes them (`ResponseHandler`, `aiohttp.ClientRequest`)."""
    written = {ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            candidates = [(alias.asname or alias.name, node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            candidates = [
                (name, module, rest)
                for alias in node.names
                for name in written
                if name.startswith(f"{alias.asname or alias.name}.")
                for module, _, rest in [name.rpartition(".")]
            ]
        else:
            continue
        for name, module, member in candidates:
            if name in written and module.partition(".")[0] not in PACKAGES:
                yield name, getattr(import_module(module), member)


def names_of(thing: Any) -> set[str]:
    """Return what an object has: its attributes, for a class also those of its objects, and a package's modules."""
    names = set(dir(thing))
    if inspect.isclass(thing):
        functions = [each for parent in thing.__mro__ for each in vars(parent).values()]
        names |= {name for each in functions for name in attributes_of(getattr(each, "__code__", None))}
    elif inspect.ismodule(thing) and hasattr(thing, "__path__"):
        names |= {path.stem for folder in thing.__path__ for path in Path(folder).iterdir()}
    return names


def attributes_of(code: CodeType | None) -> tuple[str, ...]:
    return code.co_names if code is not None else ()


def is_untyped(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name.startswith(prefixes) for prefixes in UNTYPED.values())


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a._b", {"_b"}),
        ("self._b; cls._c; super()._d()", set()),
        ("a.__b__", set()),
        ("self._a._b", {"_b"}),
        ("from a._b import C", {"_b"}),
        ("from a import _b", {"_b"}),
        ("import a._b", {"_b"}),
        ("import json\nclass A(json.JSONEncoder):\n    def _own(self): self._b", set()),
        ("from logging import FileHandler as F\nclass A(F):\n    def _open(self): self._x", {"_open"}),
        ("import logging\nclass A(logging.FileHandler):\n    def f(self): self._builtin_open", {"_builtin_open"}),
    ],
)
def test_every_way_to_touch_a_private_part_is_seen(source: str, names: set[str]) -> None:
    assert set(private_names(ast.parse(source))) == names


def test_every_private_part_that_is_touched_is_listed() -> None:
    listed = {name for names in PRIVATE.values() for name in names} | OF_PYTHON.keys()
    found = {name for path in sources(*PACKAGES) if not is_untyped(path) for name in private_names(parse(path))}

    assert found == listed


@pytest.mark.parametrize(("package", "owner", "name"), [(*at, name) for at, names in PRIVATE.items() for name in names])
def test_a_private_part_is_there(package: str, owner: str, name: str) -> None:
    assert name in names_of(find(owner)), f"{package} has it no longer"


def find(dotted: str) -> Any:
    """Return a module, or what stands in one."""
    module, _, member = dotted.rpartition(".")
    if find_spec(module or dotted) is None or not module:
        return import_module(dotted)
    parent = import_module(module)
    return getattr(parent, member) if hasattr(parent, member) else import_module(dotted)


@pytest.mark.parametrize("library", UNTYPED)
def test_a_private_part_stands_in_the_text_of_its_library(library: str) -> None:
    # Its module for another system cannot be imported here, but read.
    spec = find_spec(library)
    assert spec is not None
    assert spec.submodule_search_locations
    texts = [path.read_text(encoding="utf-8") for path in Path(spec.submodule_search_locations[0]).rglob("*.py")]
    touched = {name for path in sources(*PACKAGES) if is_untyped(path) for name in private_names(parse(path))}

    assert touched
    assert {name for name in touched if not any(unmangled(name) in text for text in texts)} == set()


def unmangled(name: str) -> str:
    """Return a name as its class writes it: `_Icon__queue` is the `__queue` of the class `Icon`."""
    return "__" + name.partition("__")[2] if "__" in name else name


def test_a_silenced_rule_about_private_parts_gives_its_reason() -> None:
    silenced = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sources(*PACKAGES)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "noqa: SLF001" in line and not line.partition("noqa: SLF001")[2].strip(", ")
    ]

    assert silenced == []
