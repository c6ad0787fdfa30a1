"""Connect a client by its settings file, and undo it: exactly where nobody else has written, else our keys alone."""

import base64
import difflib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from proxy.clients import settings_file
from proxy.clients.client import Client, Target
from proxy.clients.edits import Add, CannotEdit, Edit, Format, Put, apply, taken_back
from proxy.clients.table import CLIENTS
from proxy.errors.configuration import ClientFileRefused
from proxy.files import write_private
from proxy.settings.file_text import FileText

CONTEXT_LINES = 1  # of the diff: the lines beside ours may hold other keys


@dataclass(frozen=True)
class Record:
    """What is kept of a connection: the file before and after, the edits, and the proxy key that was made for it."""

    path: Path
    before: bytes | None
    after: bytes
    edits: tuple[Edit, ...]
    key_name: str | None
    made_folders: tuple[Path, ...]
    at: float  # seconds of the wall clock

    def __repr__(self) -> str:  # a dataclass's own would show the file's keys in a traceback
        return f"Record({str(self.path)!r})"


@dataclass(frozen=True)
class Plan:
    """A change of a client's settings file that has not been made."""

    path: Path
    now: bytes | None
    then: bytes | None
    before: bytes | None  # without our keys
    edits: tuple[Edit, ...] = ()
    kept: tuple[str, ...] = ()  # keys of ours that the user has changed, which stay

    def __repr__(self) -> str:  # as above
        return f"Plan({str(self.path)!r})"

    @property
    def seen(self) -> str:
        """Return what stands for the file as it is now: who agrees to the plan hands it back."""
        return "none" if self.now is None else sha256(self.now).hexdigest()

    @property
    def diff(self) -> str:
        """Return the lines that change, "" for none."""
        old, new = (FileText.of(content or b"").text.splitlines() for content in (self.now, self.then))
        lines = difflib.unified_diff(old, new, str(self.path), str(self.path), lineterm="", n=CONTEXT_LINES)
        return "".join(f"{line}\n" for line in lines)


class Connections:
    """Connect clients and undo it. What is kept lies in a folder of the program's own, a file a client."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder

    def plan(self, client: Client, target: Target) -> Plan:
        """Return what connecting a client would change; raises ClientFileRefused."""
        file = client.file
        if file is None:
            raise ClientFileRefused(f"{client.title} keeps them where no program may write; enter the lines by hand")
        if file.needs_model and not target.models:
            raise ClientFileRefused(f"{client.title} needs the name of a model: start the proxy first, or name one")
        path, edits = located(file.find), file.edits(target)
        now = settings_file.read(path)
        record = self.record(client)
        before = now
        if record is not None and record.path == path:
            before, _ = without(file.form, path, now, record)
        then = edited(path, before, lambda text: apply(file.form, text, edits))
        return Plan(path, now, then, before, edits)

    def connect(self, client: Client, plan: Plan, key_name: str | None = None) -> None:
        """Make the change, with a before-image first; raises ClientFileRefused, and then nothing has changed."""
        if plan.then is None:
            raise ClientFileRefused("there is nothing to write")
        old = self.record(client)
        folders = old.made_folders if old else ()
        key_name = key_name or (old.key_name if old else None)  # one that was made before is still to be revoked
        record = Record(plan.path, plan.before, plan.then, plan.edits, key_name, folders, time.time())
        self._keep(client, record)
        try:
            made = settings_file.write(plan.path, plan.then, plan.now)
        except ClientFileRefused:
            self._keep(client, old)
            raise
        if made:
            self._keep(client, Record(**{**vars(record), "made_folders": (*folders, *made)}))

    def undo_plan(self, client: Client) -> Plan | None:
        """Return what undoing would change, None where the client is not connected; raises ClientFileRefused."""
        record = self.record(client)
        if record is None or client.file is None:
            return None
        now = settings_file.read(record.path)
        then, kept = without(client.file.form, record.path, now, record)
        return Plan(record.path, now, then, then, kept=tuple(kept))

    def undo(self, client: Client, plan: Plan) -> None:
        """Undo and forget the before-image; raises ClientFileRefused, and then nothing has changed."""
        record = self.record(client)
        if plan.then != plan.now:
            settings_file.write(plan.path, plan.then, plan.now)
        if record is not None and plan.then is None:
            settings_file.remove_folders(list(record.made_folders))
        self._keep(client, None)

    def connected(self) -> list[Client]:
        """Return the clients of which something is kept."""
        return [client for client in CLIENTS if self._file(client).exists()]

    def record(self, client: Client) -> Record | None:
        """Return what is kept of a client, None where it is not connected; raises ClientFileRefused."""
        file = self._file(client)
        try:
            return read_record(json.loads(file.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ClientFileRefused(f"{file}, what the file held before, cannot be read") from error

    def _keep(self, client: Client, record: Record | None) -> None:
        file = self._file(client)
        try:
            if record is None:
                file.unlink(missing_ok=True)
                settings_file.remove_folders([file.parent])
            else:
                write_private(file, json.dumps(written_record(record)).encode())
        except OSError as error:
            raise ClientFileRefused(f"{file} cannot be written: {error.strerror or error}") from error

    def _file(self, client: Client) -> Path:
        return self._folder() / f"{client.name}.json"


def located(find: Callable[[], Path]) -> Path:
    """Return where a client's settings file is; raises ClientFileRefused."""
    try:
        return find()
    except (CannotEdit, RuntimeError) as error:  # the second: there is no home
        raise ClientFileRefused(str(error)) from error


def without(form: Format, path: Path, now: bytes | None, record: Record) -> tuple[bytes | None, list[str]]:
    """Return the file without what was written, and the keys of ours that stay for the user has changed them."""
    if now is None:
        return None, []
    if now in (record.after, record.before):
        return record.before, []
    before = FileText.of(record.before or b"").text
    kept: list[str] = []

    def take_back(text: str) -> str:
        changed, names = taken_back(form, text, before, record.edits)
        kept.extend(names)
        return changed

    left = edited(path, now, take_back)
    return (None if record.before is None and not (left or b"").strip() else left), kept


def edited(path: Path, content: bytes | None, change: Callable[[str], str]) -> bytes:
    """Return a file's bytes with its text changed, in the form it has; raises ClientFileRefused."""
    try:
        file = FileText.of(content or b"")
        return file.content(change(file.text))
    except CannotEdit as error:
        raise ClientFileRefused(f"{path} is not edited: {error}; enter the lines by hand") from error
    except (ValueError, RecursionError) as error:
        raise ClientFileRefused(f"{path} cannot be read: {error}") from error


def written_record(record: Record) -> dict[str, Any]:
    """Return a record as JSON has it."""
    return {
        "path": str(record.path),
        "before": None if record.before is None else base64.b64encode(record.before).decode(),
        "after": base64.b64encode(record.after).decode(),
        "edits": [
            {"path": list(edit.path), "value": edit.value, "by": edit.by}
            if isinstance(edit, Add)
            else {"path": list(edit.path), "value": edit.value, "is_frame": edit.is_frame}
            for edit in record.edits
        ],
        "key_name": record.key_name,
        "made_folders": [str(folder) for folder in record.made_folders],
        "at": record.at,
    }


def read_record(kept: dict[str, Any]) -> Record:
    """Return the record that was written; raises KeyError, TypeError, ValueError."""
    edits = tuple(
        Add(tuple(each["path"]), each["value"], each["by"])
        if "by" in each
        else Put(tuple(each["path"]), each["value"], each["is_frame"])
        for each in kept["edits"]
    )
    return Record(
        Path(kept["path"]),
        None if kept["before"] is None else base64.b64decode(kept["before"]),
        base64.b64decode(kept["after"]),
        edits,
        kept["key_name"],
        tuple(map(Path, kept["made_folders"])),
        kept["at"],
    )
