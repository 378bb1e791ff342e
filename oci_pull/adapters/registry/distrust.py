"""Why a certificate was not believed, in words that say what to do about it."""

import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from oci_pull.adapters.registry.origin import host_text
from oci_pull.errors import TlsFailed
from oci_pull.oci.certificate import Certificate

#: Of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = (62, 64)
_MAX_NAMES = 5
_SYSTEM = "the system's store"


def untrusted(
    error: ssl.SSLCertVerificationError,
    origin: str,
    certificate: Certificate | None,
    *,
    believed: Iterable[Path] = (),
    is_registry: bool = False,
) -> TlsFailed:
    """The error for a certificate that was not believed, as far as it could be read.

    `believed` are the files of authorities beside the system's own.
    """
    anyway = f"\n--insecure for {host_text(origin)} alone" if is_registry else ""
    facts = []
    if certificate and certificate.issuer:
        facts.append(f"issued by: {certificate.issuer}")
    code = getattr(error, "verify_code", 0)
    if certificate and code == _EXPIRED and certificate.not_after < datetime.now(UTC):
        message = f"expired on {certificate.not_after:%Y-%m-%d}"
        hint = f"its operator has to renew it, unless the clock here is wrong{anyway}"
    elif certificate and code == _NOT_YET_VALID and certificate.not_before > datetime.now(UTC):
        message = f"is valid only from {certificate.not_before:%Y-%m-%d} on"
        hint = f"date  to see whether the clock here is wrong{anyway}"
    elif code in _WRONG_NAME:
        names = certificate.names if certificate else ()
        shown = ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
        message = f"is for {shown or 'another host'}"
        hint = f"ask for it by a name of its certificate{anyway}"
    else:
        reason = getattr(error, "verify_message", "") or "verification failed"
        message = f"is not trusted: {reason}"
        facts.append(f"looked for its authority in: {', '.join((_SYSTEM, *map(str, believed)))}")
        hint = (
            f"--ca-file FILE  with the certificate of its authority (or SSL_CERT_FILE=FILE){anyway}"
        )
    return TlsFailed(
        f"the certificate of {origin} {message}", facts=facts, hint=hint, origin=origin
    )


def shown_certificate(peer: tuple[str, int], host: str, timeout: float) -> Certificate | None:
    """What a server shows, unverified, over another connection to the very same address.

    Nothing is sent but the handshake. None where there is no certificate that can be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(peer, timeout) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            return Certificate.parse(secured.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None
