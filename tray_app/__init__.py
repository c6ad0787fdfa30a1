"""The desktop program: the icon, its menu, notifications, and what each click does."""
