"""Flask decides: what each address of the proxy does, without input or output of its own."""
