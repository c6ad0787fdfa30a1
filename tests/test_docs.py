"""The documentation and the program say the same, its links lead somewhere, and its site builds."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from fakes.environment import ROOT
from proxy.cli.main import cli
from proxy.exchange.pipeline import STAGES
from proxy.exchange.request import Kind
from proxy.settings.model import Settings, about, shown, variable

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
LINKED = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
BUILD_S = 60


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """Return the module that writes what the code knows."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_what_the_code_knows_stands_as_it_is_now(generate: ModuleType, page: Path) -> None:
    assert generate.written(read(page)) == read(page), "python docs/generate.py writes it anew"


@pytest.mark.parametrize(("page", "part"), [("settings", "settings"), ("errors", "errors"), ("connect", "clients")])
def test_the_pages_have_their_parts(page: str, part: str) -> None:
    assert f"<!-- begin {part} -->" in read(DOCS / f"{page}.md")


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_stands_there_with_its_default_and_meaning(field: str) -> None:
    default = shown(field, Settings.model_validate({}))

    assert f"| `{variable(field)}` | `{default}` | {about(field).meaning} |\n" in read(DOCS / "settings.md")


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_is_told_of(command: str) -> None:
    assert re.search(rf"\./start\.sh {re.escape(command)}\b", read(DOCS / "commands.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    own_words = {"demo", "headless", "test"}  # those the start script takes itself
    named = set(re.findall(r"(?:openai-tray-proxy|\./start\.sh) ([a-z][a-z-]*)", read(page)))

    assert named - own_words <= set(cli.commands) | {"and"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_variable_that_looks_like_a_setting_is_one(page: Path) -> None:
    # Clients' own, what `check` reads, and what the variables of more upstreams' keys begin with.
    beside = {"OPENAI_API_BASE", "PROXY_API_KEY", "OPENAI_API_KEY_"}
    named = set(re.findall(r"\b(?:OPENAI|PROXY|ALLOW|ENABLE)_[A-Z_]+\b", read(page)))

    assert named - beside - {variable(field) for field in Settings.model_fields} == set()


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.stem)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", read(page))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_walk_of_a_request_names_every_stage_in_its_order_with_the_kinds_that_pass_it() -> None:
    rows = re.findall(r"^ +\| `(\w+)` \| (\w+) \|", read(ROOT / "ARCHITECTURE.md"), re.MULTILINE)
    stages = [(stage.__module__.rpartition(".")[2], sorted(stage.kinds)) for stage in STAGES]

    assert [(name, sorted(get_args(Kind) if kind == "all" else [kind])) for name, kind in rows] == stages


def test_every_file_that_the_architecture_names_is_there() -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|md))`", read(ROOT / "ARCHITECTURE.md")))
    folders = (ROOT, ROOT / "proxy", ROOT / "tray_app")

    assert len(named) > 50
    assert [name for name in sorted(named) if not any((folder / name).is_file() for folder in folders)] == []


def test_the_readme_is_one_screen_that_leads_to_every_page() -> None:
    text = read(README)
    linked = set(re.findall(r"\(docs/([a-z-]+)\.md\)", text))

    assert len(text.splitlines()) < 80
    assert {page.stem for page in DOCS.glob("*.md")} - linked == {"index", "api", "architecture"}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("material") is None:
        if os.environ.get("CI"):
            pytest.fail("MkDocs Material is not installed: the extra [docs]")
        pytest.skip("MkDocs Material is not installed: the extra [docs]")
    folder = tmp_path / "project"
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)

    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        timeout=BUILD_S,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    site = folder / "build" / "site"
    assert sorted(path.parent.name for path in site.glob("*/index.html")) == sorted(
        page.stem for page in DOCS.glob("*.md") if page.stem != "index"
    )
    # What a reader's browser is told to load comes from the site itself.
    loaded = re.findall(
        r'<(?:script|img|link rel="(?:stylesheet|icon)")[^>]*(?:src|href)="(https?:[^"]+)', read(site / "index.html")
    )
    assert loaded == []
