// To be drawn.
