"""Reading multipart/form-data, the way files are uploaded (RFC 7578)."""

from dataclasses import dataclass
from email import message_from_string
from email.message import Message

from proxy.upstream.demo.asgi import Request
from proxy.upstream.demo.problems import DemoRefusal, missing_parameter


@dataclass(frozen=True)
class Part:
    """One field of a form."""

    content: bytes
    filename: str | None

    @property
    def text(self) -> str:
        """Return the content of a plain field."""
        return self.content.decode("utf-8", "replace")


def read_form(request: Request) -> dict[str, Part]:
    """Return the fields of a form by name."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise DemoRefusal("Expected a body of multipart/form-data.", code="invalid_content_type")
    form: dict[str, Part] = {}
    for piece in (b"\r\n" + request.body).split(b"\r\n--" + boundary.encode())[1:]:
        head, _, content = piece.partition(b"\r\n\r\n")
        fields = message_from_string(head.decode("utf-8", "replace").lstrip())
        name = fields.get_param("name", header="content-disposition")
        if isinstance(name, str):
            form[name] = Part(content, fields.get_filename())
    return form


def read_file(form: dict[str, Part]) -> Part:
    """Return the field `file`, which has to be a file."""
    part = form.get("file")
    if part is None or part.filename is None:
        raise missing_parameter("file")
    return part
