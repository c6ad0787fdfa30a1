"""What the program adds to the user's desktop and can remove again: launcher, start at login, and all its traces."""
