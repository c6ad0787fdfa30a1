"""The doctor: checks that look for common problems, side by side, each with a time limit of its own."""
