"""Copying text to the clipboard of whatever desktop this is."""
