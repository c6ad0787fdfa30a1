"""The demo's refusals, in OpenAI's terms."""

from proxy.errors.proxy_error import error_body
from proxy.upstream.demo.asgi import Document


class DemoRefusal(Exception):
    """Refuse a request with an OpenAI error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.kind = kind

    def document(self) -> Document:
        """Return the answer that says so."""
        body = error_body(self.message, type=self.kind, code=self.code, param=self.param)
        return Document(body, status=self.status)


def missing_parameter(name: str) -> DemoRefusal:
    """Return the refusal of a request that lacks a parameter."""
    message = f"Missing required parameter: '{name}'."
    return DemoRefusal(message, param=name, code="missing_required_parameter")
