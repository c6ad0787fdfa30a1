"""The /v1/files endpoints: kept in memory, few and small."""

from dataclasses import dataclass

from proxy.upstream.demo.asgi import Document, Reply, Request
from proxy.upstream.demo.body import JsonObject, json_document
from proxy.upstream.demo.multipart import read_file, read_form
from proxy.upstream.demo.problems import DemoRefusal
from proxy.upstream.demo.texts import new_id, now

FILES_LIMIT = 20
SIZE_LIMIT_BYTES = 16 * 2**20


@dataclass(frozen=True)
class StoredFile:
    """A file somebody uploaded."""

    id: str
    created: int
    filename: str
    purpose: str
    content: bytes

    def to_json(self) -> JsonObject:
        """Return what the API tells of the file."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "expires_at": None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class FileStore:
    """Keep the uploaded files of one demo; used by its event loop only."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    def upload(self, request: Request) -> Reply:
        """Store a file, while there is room."""
        form = read_form(request)
        part = read_file(form)
        kept_bytes = sum(len(stored.content) for stored in self._files.values())
        if len(self._files) >= FILES_LIMIT or kept_bytes + len(part.content) > SIZE_LIMIT_BYTES:
            limit = f"{FILES_LIMIT} files and {SIZE_LIMIT_BYTES // 2**20} MB"
            raise DemoRefusal(f"The demo keeps at most {limit}; delete one first.", code="storage_limit_exceeded")
        purpose = form["purpose"].text if "purpose" in form else "user_data"
        stored = StoredFile(new_id("file-"), now(), part.filename or "upload", purpose, part.content)
        self._files[stored.id] = stored
        return json_document(stored.to_json())

    def list_all(self, request: Request) -> Reply:
        """List the files, or those of one purpose; all fit on one page."""
        purpose = request.query.get("purpose")
        data = [stored.to_json() for stored in self._files.values() if purpose in {None, stored.purpose}]
        ids = [entry["id"] for entry in data] or [None]
        return json_document(
            {"object": "list", "data": data, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}
        )

    def describe(self, request: Request) -> Reply:
        """Tell of one file."""
        return json_document(self._find(request.target_id).to_json())

    def download(self, request: Request) -> Reply:
        """Return the bytes of a file."""
        return Document(self._find(request.target_id).content, "application/octet-stream")

    def delete(self, request: Request) -> Reply:
        """Forget a file."""
        stored = self._find(request.target_id)
        del self._files[stored.id]
        return json_document({"id": stored.id, "object": "file", "deleted": True})

    def _find(self, file_id: str) -> StoredFile:
        if file_id not in self._files:
            raise DemoRefusal(f"No such File object: {file_id}", status=404, param="id")
        return self._files[file_id]
