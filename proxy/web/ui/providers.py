"""The providers that the first steps offer: their base URLs, and the pages on which they issue keys."""

from dataclasses import dataclass

from proxy.settings.upstreams import Auth


@dataclass(frozen=True)
class Provider:
    """A provider in the list to choose from."""

    name: str  # as an upstream
    title: str
    base_url: str
    about: str
    keys_url: str = ""  # the page on which a person gets a key
    auth: Auth = "bearer"


PROVIDERS = (
    Provider("openai", "OpenAI", "https://api.openai.com/v1", "GPT models", "https://platform.openai.com/api-keys"),
    Provider(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "Models of many makers, one key",
        "https://openrouter.ai/settings/keys",
    ),
    Provider(
        "anthropic",
        "Anthropic",
        "https://api.anthropic.com/v1",
        "Claude models",
        "https://console.anthropic.com/settings/keys",
        auth="x-api-key",
    ),
    Provider("groq", "Groq", "https://api.groq.com/openai/v1", "Open models, fast", "https://console.groq.com/keys"),
    Provider(
        "mistral", "Mistral", "https://api.mistral.ai/v1", "Mistral models", "https://console.mistral.ai/api-keys"
    ),
    Provider(
        "google",
        "Google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "Gemini models",
        "https://aistudio.google.com/apikey",
    ),
    Provider("ollama", "Ollama", "http://127.0.0.1:11434/v1", "On this computer, no key", auth="none"),
    Provider("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1", "On this computer, no key", auth="none"),
)
