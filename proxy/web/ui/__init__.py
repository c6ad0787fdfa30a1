"""The program's own pages, below a secret path: for the person at this computer alone."""
