"""What the user can choose: one table, its sources, and the store that applies changes."""
