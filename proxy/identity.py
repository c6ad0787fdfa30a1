"""The product's names, in one place."""

__version__ = "0.2.0"

APP_ID = "openai-tray-proxy"
TITLE = "OpenAI Tray Proxy"
KEYRING_SERVICE = APP_ID
