"""Ask the proxy which models a client may choose."""

import http.client
import json
import re
import urllib.error
import urllib.request

LIMIT_S = 5.0
MAX_ANSWER_BYTES = 4_000_000
NO_CHAT = re.compile(r"embed|whisper|tts|dall-e|moderation|transcri|image|audio|realtime|rerank|sora", re.IGNORECASE)
PREFERRED = ("gpt-5-mini", "gpt-4o-mini")


def chat_models(base_url: str, key: str) -> tuple[str, ...]:
    """Return the ids of models that are likely to chat, the one to begin with first; () where none is known.

    Only ask an address that is known to be the proxy's: the key goes there. Blocks for some seconds.
    """
    request = urllib.request.Request(  # noqa: S310  the proxy's own address
        f"{base_url}/models", headers={"Authorization": f"Bearer {key}", "User-Agent": "openai-tray-proxy"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through HTTP_PROXY
    try:
        with opener.open(request, timeout=LIMIT_S) as answer:
            listed = json.loads(answer.read(MAX_ANSWER_BYTES))["data"]
        ids = [model["id"] for model in listed if isinstance(model["id"], str)]
    except urllib.error.HTTPError as error:
        error.close()
        return ()
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return ()
    chatting = [model for model in ids if model.isprintable() and not NO_CHAT.search(model)]
    return tuple(sorted(chatting, key=lambda model: model not in PREFERRED))  # a stable order otherwise
