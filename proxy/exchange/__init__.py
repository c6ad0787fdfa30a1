"""What happens to a request between arriving and leaving."""
