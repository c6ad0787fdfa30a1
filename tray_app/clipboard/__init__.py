"""Copy text to the clipboard of this desktop."""
