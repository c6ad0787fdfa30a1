"""The tools that are there from the start. None of them touches a file, the network or a shell."""
