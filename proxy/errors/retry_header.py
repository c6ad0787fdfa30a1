"""The header that tells a client whose request has had effects not to send it again by itself."""

Headers = list[tuple[str, str]]

RETRY = "x-should-retry"  # the SDKs go by it before they look at the status


def without_retry(status: int, headers: Headers) -> Headers:
    """Return an answer's headers; an error's say that it is final, whatever the upstream said of it."""
    if status < 400:
        return headers
    return [*((name, value) for name, value in headers if name.lower() != RETRY), (RETRY, "false")]
