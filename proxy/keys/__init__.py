"""Upstream keys and proxy keys, the keyring that stores them, and when they are read from it."""
