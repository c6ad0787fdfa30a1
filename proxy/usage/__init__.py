"""What requests cost: what is known of each when it is over."""
