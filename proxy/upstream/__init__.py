"""How the proxy speaks to the upstream."""
