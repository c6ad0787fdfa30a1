"""A result that holds images or files beside its text: a text to everybody, more to the API that can hold more."""

from collections.abc import Sequence

from proxy.tools.tool import JsonObject


class RichResult(str):
    """The text of a result; `media` are its images and files, as the Responses API has them in a call's output.

    Tool messages of chat completions hold text alone: there the text names what is missing.
    """

    __slots__ = ("media",)

    def __new__(cls, text: str, media: Sequence[JsonObject]) -> "RichResult":
        """Return the text with its media."""
        made = super().__new__(cls, text)
        made.media = tuple(media)
        return made

    media: tuple[JsonObject, ...]


def output_of(result: str) -> str | list[JsonObject]:
    """Return a result as the output of a function call in the Responses API."""
    if not isinstance(result, RichResult):
        return result
    return [{"type": "input_text", "text": str(result)}, *result.media]
