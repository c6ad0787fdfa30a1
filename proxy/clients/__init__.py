"""Client programs: how each is recognised, connected by its settings file, and disconnected again."""
