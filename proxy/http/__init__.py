"""HTTP as bytes and values: header lists, write batching. No policy, and no sockets of its own."""
