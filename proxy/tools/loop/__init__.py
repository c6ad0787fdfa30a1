"""The loop: the model asks for tools, the proxy runs them and asks again, and the client sees one finished answer."""
