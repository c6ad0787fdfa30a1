"""Load the certificate file that a setting names."""

import ssl


def trusting(path: str) -> ssl.SSLContext:
    """Return a TLS context that trusts only the certificates in a file.

    Raises ValueError for a file that cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError("the file holds no certificate") from error
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from error
