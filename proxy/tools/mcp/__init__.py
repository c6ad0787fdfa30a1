"""MCP servers as a source of tools: started, watched, asked and stopped on a loop of their own."""
