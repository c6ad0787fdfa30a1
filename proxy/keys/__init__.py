"""Keys: the upstream key and the proxy keys, the keyring that keeps them, and when they are read from it."""
