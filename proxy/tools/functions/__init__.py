"""The process in which the functions of function_tools.py run, and how the proxy talks to it."""
