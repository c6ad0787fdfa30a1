"""Check for common problems; the checks run in parallel, each with its own time limit."""
