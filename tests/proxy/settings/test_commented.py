"""The settings file as it is first made: it changes nothing, and each of its lines can be put in force."""

import re
from pathlib import Path

import pytest
import tomlkit

from proxy.settings.commented import NOT_SET, commented_settings, row
from proxy.settings.model import Settings, about, variable
from proxy.settings.store import SettingsStore

FIELDS = [field for field in Settings.model_fields if not about(field).secret]


def test_the_file_holds_every_setting_with_its_meaning_and_no_key() -> None:
    text = commented_settings()
    flat = " ".join(text.replace("## ", "").split())

    assert re.findall(r"(?m)^# ([a-z_]+) = ", text) == FIELDS
    for field in FIELDS:
        assert " ".join(about(field).meaning.split()) in flat
        assert variable(field) in flat
    for field in set(Settings.model_fields) - set(FIELDS):
        assert field not in text


def test_the_file_as_it_is_made_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(commented_settings(), encoding="utf-8")

    store = SettingsStore(file)

    assert (store.warning, tomlkit.parse(file.read_text("utf-8")).unwrap()) == (None, {})


@pytest.mark.parametrize("field", [field for field in FIELDS if NOT_SET not in row(field)])
def test_a_line_that_is_taken_in_as_it_stands_sets_the_default(tmp_path: Path, field: str) -> None:
    file = tmp_path / "settings.toml"
    text = commented_settings().replace(f"# {field} = ", f"{field} = ")
    file.write_text(text, encoding="utf-8")

    store = SettingsStore(file)

    assert store.warning is None
    assert store.origin(field) == "settings file"
    assert getattr(store.current, field) == getattr(Settings(), field)


def test_a_setting_that_is_not_set_is_said_to_be_so() -> None:
    unset = [field for field in FIELDS if Settings.model_fields[field].default is None]

    assert all(row(field).rstrip().endswith(f"# {field} = {NOT_SET}") for field in unset)
    assert {"proxy_upstream", "openai_ca_file"} <= set(unset)
