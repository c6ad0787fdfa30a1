"""What happens to the bytes of an answer between the upstream and the client."""
