"""All that the desktop sees: the icon, its menu, and what each click does."""
