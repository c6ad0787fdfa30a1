"""HTTP as bytes and values: reading requests, header lists, write batching. No policy, and no sockets of its own."""
