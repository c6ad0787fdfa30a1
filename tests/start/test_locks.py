"""The pinned packages agree with pyproject.toml, and can be installed by anyone."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fakes.environment import ROOT
from fakes.locks import PROJECT, pins

LOCKS = [("requirements.lock", []), ("requirements-test.lock", ["test"]), ("requirements-lowest.lock", ["test"])]


def wanted(*extras: str) -> list[Requirement]:
    lists = [PROJECT["project"]["dependencies"], PROJECT["build-system"]["requires"]]
    lists += [PROJECT["project"]["optional-dependencies"][extra] for extra in extras]
    return [Requirement(line) for lines in lists for line in lines]


@pytest.mark.parametrize(("lock", "extras"), LOCKS)
def test_every_dependency_is_pinned_to_a_version_that_pyproject_allows(lock, extras):
    pinned = pins(lock)

    for requirement in wanted(*extras):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not in {lock}: make it anew with the command at its head"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement} does not allow {versions} of {lock}"


def test_the_test_tools_are_pinned_beside_the_same_packages():
    assert pins("requirements.lock").items() <= pins("requirements-test.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock", "requirements-lowest.lock"])
def test_a_lock_names_no_place_to_fetch_from_and_has_a_hash_for_every_package(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert not re.search(r"https?:|file:|--(index-url|extra-index-url|find-links|trusted-host)", text)
    assert all(" \\\n    --hash=sha256:" in pin for pin in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:])
