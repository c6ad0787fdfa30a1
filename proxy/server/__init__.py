"""The HTTP server in its thread, and the bridge between Flask and the event loop."""
