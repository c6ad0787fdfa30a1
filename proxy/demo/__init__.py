"""The demo upstream: a small stand-in for OpenAI on this computer, for a first look without key or network."""
