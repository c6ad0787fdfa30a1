"""One request from its first byte to its end: what is known of it, and who is told."""
