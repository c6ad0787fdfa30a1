"""The headers of a message, in their order, as every room passes them on."""

from collections.abc import Iterable


class Headers(list[tuple[str, str]]):
    """Pairs of name and value, names in lower case; a name may stand there several times."""

    __slots__ = ()

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a name."""
        for key, value in self:
            if key == name:
                return value
        return default

    def without(self, *names: str) -> "Headers":
        """Return the headers but for these names."""
        return Headers(pair for pair in self if pair[0] not in names)

    def plus(self, *pairs: tuple[str, str]) -> "Headers":
        """Return the headers with these behind them."""
        return Headers((*self, *pairs))

    def replaced(self, name: str, value: str) -> "Headers":
        """Return the headers with one value for a name, behind all others."""
        headers = Headers([pair for pair in self if pair[0] != name])
        headers.append((name, value))
        return headers


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as they stand on the wire."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
