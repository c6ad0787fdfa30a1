"""What is let through and how it is changed: access, origin, headers, parameters."""
