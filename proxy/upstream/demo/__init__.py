"""The demo upstream: an offline stand-in for OpenAI, for a first look without key or network."""
