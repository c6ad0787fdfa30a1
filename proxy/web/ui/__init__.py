"""The dashboard: the program's own pages, below a secret path, only for the user at this computer."""
