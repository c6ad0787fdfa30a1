"""Which requests are allowed and how they are changed: access, origin, headers, parameter rules."""
