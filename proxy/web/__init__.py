"""The Flask app: what each address of the proxy does. A view on /v1 does no input or output itself."""
