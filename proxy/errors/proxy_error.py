"""What every error of ours is made of; the package's docstring draws the whole tree."""

import json
from typing import ClassVar

from proxy.command import as_typed
from proxy.logs.redaction import redact


class ProxyError(Exception):
    """Say what happened (title, detail) and what to do now (hint), in HTTP's and OpenAI's terms."""

    title: ClassVar[str] = "The proxy failed"
    hint: str = ""
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "server_error"
    should_retry: bool | None = None  # what x-should-retry tells the SDKs; None says nothing

    def __init__(self, detail: str = "", *, param: str | None = None) -> None:
        self.detail = redact(detail) if detail else ""  # maybe in the words of others
        self.param = param
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """Title, detail and hint as the sentences a person reads."""
        what = f"{self.title}: {self.detail}" if self.detail else self.title
        sentences = filter(None, (what, as_typed(self.hint)))
        return " ".join(sentence if sentence[-1] in ".?!" else f"{sentence}." for sentence in sentences)

    def body(self) -> bytes:
        """Return the OpenAI error object, as JSON."""
        return error_body(self.message, type=self.type, code=self.code, param=self.param)

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that belong to this error's answer."""
        headers = [("content-type", "application/json")]
        if self.should_retry is not None:
            headers.append(("x-should-retry", "true" if self.should_retry else "false"))
        return headers


def error_body(message: str, *, type: str, code: str | None, param: str | None = None) -> bytes:  # noqa: A002  the field's own name
    """Write the error object of the OpenAI API."""
    error = {"message": message, "type": type, "param": param, "code": code}
    return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "backslashreplace")


class ServerFault(ProxyError):
    """Own up to a bug of ours; the stack stands in the log only."""

    title = "The proxy had an internal error"
    hint = "Its log tells more; please report it with the request id"
