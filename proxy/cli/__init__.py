"""The terminal program: its commands, serving without a tray, and what it says in a terminal."""
