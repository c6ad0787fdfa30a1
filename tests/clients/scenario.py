"""One thing that clients are put through: a call, the upstream's answer, and what every client must make of it."""

from dataclasses import dataclass
from typing import Literal

from clients.outcome import Outcome
from fakes.scripted_upstream import Answer

Call = Literal["chat", "chat stream", "completions stream", "responses", "responses stream"]


@dataclass(frozen=True)
class Same:
    """Nothing is wrong: through the proxy the client has the same in hand as without it."""

    def complaint(self, direct: Outcome, proxied: Outcome) -> str | None:
        """Say what is wrong with an outcome, None where nothing is."""
        return None if proxied == direct and direct.end == "complete" else f"{proxied} is not {direct}"


@dataclass(frozen=True)
class Whole:
    """Something is odd, and clients differ; through the proxy each has the whole answer in hand."""

    text: str = ""
    tool_calls: int = 0

    def complaint(self, direct: Outcome, proxied: Outcome) -> str | None:
        """Say what is wrong with an outcome, None where nothing is."""
        is_whole = proxied.end == "complete" and (proxied.text, len(proxied.tool_calls)) == (self.text, self.tool_calls)
        return None if is_whole else f"it is not whole: {proxied}"


@dataclass(frozen=True)
class Honest:
    """How much arrives the network decides; through the proxy each client has the whole in hand, or an error."""

    text: str

    def complaint(self, direct: Outcome, proxied: Outcome) -> str | None:
        """Say what is wrong with an outcome, None where nothing is."""
        is_honest = proxied.end in ("raised", "reported") or (proxied.end == "complete" and proxied.text == self.text)
        return None if is_honest else f"half an answer reads as {proxied.shown()}: {proxied}"


@dataclass(frozen=True)
class Fault:
    """Something is wrong; through the proxy each client says so, and names this code of the API where there is one."""

    code: str | None = None

    def complaint(self, direct: Outcome, proxied: Outcome) -> str | None:
        """Say what is wrong with an outcome, None where nothing is."""
        if proxied.end not in ("raised", "reported"):
            return f"a fault reads as {proxied.shown()}: {proxied}"
        return None if self.code in (None, proxied.code) else f"it is {proxied.code}, not {self.code}: {proxied}"


Expected = Same | Whole | Honest | Fault


@dataclass(frozen=True)
class Scenario:
    """One answer, and what is expected of it."""

    name: str
    call: Call
    answer: Answer
    expected: Expected
    asks_usage: bool = True
    is_slow: bool = False  # long silences are part of it


def scenarios(call: Call, expected: Expected, answers: dict[str, Answer]) -> list[Scenario]:
    """Return a scenario for each answer."""
    return [Scenario(name, call, answer, expected) for name, answer in answers.items()]
