"""Whom to believe: the authorities that the system trusts."""

import ssl
import sys
from pathlib import Path

#: Where systems keep their authorities, for a Python that was built somewhere else.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_trust() -> ssl.SSLContext:
    """A context that verifies what it connects to as the system does.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured. On Linux the authorities are read here, once:
    truststore reads them for every connection, and lets one handshake wait for the other.
    """
    if sys.platform == "darwin":
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_default_verify_paths()
    directory = ssl.get_default_verify_paths().capath
    has_any = context.cert_store_stats()["x509_ca"] or (
        directory and any(Path(directory).glob("*.0"))
    )
    if not has_any:
        bundle = next((path for path in _BUNDLES if Path(path).is_file()), None)
        if bundle:
            context.load_verify_locations(bundle)
    return context
