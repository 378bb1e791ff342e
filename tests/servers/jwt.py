"""Signed tokens of the kind that Distribution verifies (its docs/spec/auth/jwt.md)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

Algorithm = Literal["RS256", "ES256"]
KeyHeader = Literal["x5c", "kid"]

_P256_BYTES = 32
_LIBTRUST_BYTES = 30  # of the key's digest: 240 bits are 48 letters of base32


class Signer:
    """A key with a certificate that it signed itself, for the registry's `rootcertbundle`."""

    def __init__(self, issuer: str, algorithm: Algorithm, key_header: KeyHeader) -> None:
        self._key = _key(algorithm)
        certificate = _self_signed(issuer, self._key)
        self.certificate_pem = certificate.public_bytes(Encoding.PEM)
        self._header: dict[str, Any] = {"typ": "JWT", "alg": algorithm}
        if key_header == "x5c":
            der = certificate.public_bytes(Encoding.DER)
            self._header["x5c"] = [base64.b64encode(der).decode()]
        else:
            self._header["kid"] = _libtrust_id(self._key)

    def sign(self, claims: Mapping[str, Any]) -> str:
        payload = f"{_part(self._header)}.{_part(claims)}"
        return f"{payload}.{_base64url(self._signature(payload.encode()))}"

    def _signature(self, payload: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        # JWS wants the two numbers side by side, not their DER.
        r, s = decode_dss_signature(self._key.sign(payload, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def _key(algorithm: Algorithm) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _self_signed(
    issuer: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _libtrust_id(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:_LIBTRUST_BYTES]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _part(document: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(document, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
