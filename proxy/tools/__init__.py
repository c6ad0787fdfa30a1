"""Tools the proxy runs for the model: the user's Python functions, MCP servers and a few that are shipped."""
