"""Recent requests with their bodies, in memory, bounded: what was really sent, and what came back."""
