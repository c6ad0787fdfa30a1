"""The log: its lines without keys, the file they are written to, and what nobody caught."""
