"""The log: redacted lines, the file they are written to, and uncaught exceptions."""
