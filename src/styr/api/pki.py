"""The server's own certificate authority: made at the first start, renewed in time; and the kubeconfig that trusts it.

Called by `plane` before the server listens. Imports `cryptography` only when something has to be made or checked for
expiry. Keys are ECDSA P-256, readable by their owner only. Never overwrites a CA that is still good: kubeconfigs and git
remotes hold it.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styr.api.aggregation.proxy import FrontProxy
from styr.kinds import certificates
from styr.kit.clock import Clock
from styr.kit.files import make_private, write_atomic

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

NAMES = ("localhost", "127.0.0.1", "::1")
CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
"""A certificate with less than this left is made anew at start."""


BACKDATED = timedelta(minutes=5)
SHORTEST, SHORT, LONGEST = timedelta(minutes=10), timedelta(hours=8), timedelta(days=365)
"""Of certificates that are signed on request."""
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


class PkiError(Exception):
    """A file of the PKI cannot be used. The text names it and the way out."""


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are. `ca` is public; the keys are mode 0600."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    @property
    def tokens(self) -> Path:
        """The folder of the keys that sign ServiceAccount tokens (`authn.keys`)."""
        return self.folder / "service-account"

    @property
    def front(self) -> Path:
        """The folder of the front proxy's CA and certificate."""
        return self.folder / "front-proxy"

    def context(self) -> ssl.SSLContext:
        """For the listening side: TLS 1.2 and up, client certificates of our CA accepted, not demanded. Raises
        `PkiError`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.ca)
        except (OSError, ssl.SSLError) as error:
            raise PkiError(f"the certificates in {self.folder} cannot be loaded ({error}); {_REMEDY}") from None
        return context


_REMEDY = (
    "move that folder away and start again: a new CA is made, and kubeconfigs and git remotes must be written anew"
)


def ensure(folder: Path, clock: Clock, names: Sequence[str] = NAMES) -> Pki:
    """The PKI of a data folder, made or renewed where needed. Raises `PkiError`, OSError."""
    pki = Pki(make_private(folder))
    if _fresh(pki, clock, names):
        return pki
    now = datetime.fromtimestamp(clock.time(), UTC)
    if pki.ca.exists() and not pki.ca_key.exists():
        raise PkiError(f"{pki.ca_key} is missing, so the server's certificate cannot be renewed; {_REMEDY}")
    authority, key = _load_ca(pki) if pki.ca.exists() else _make_ca(pki, now)
    if authority.not_valid_after_utc - now < timedelta(days=RENEW_DAYS):
        authority, key = _make_ca(pki, now)
    _make_server(pki, authority, key, now, names)
    return pki


def _meta(pki: Pki) -> Path:
    return pki.folder / "server.json"


def _fresh(pki: Pki, clock: Clock, names: Sequence[str]) -> bool:
    """Is the certificate good for a while? Told by a note beside it, so that a usual start need not import `cryptography`
    (0.1 CPU-s). `names` and the expiry are in the note; a lost note only means a new certificate."""
    try:
        note = json.loads(_meta(pki).read_text())
        left = float(note["expires"]) - clock.time()
        complete = all(path.exists() for path in (pki.ca, pki.certificate, pki.key))
        return complete and left > RENEW_DAYS * 86400 and note["names"] == list(names)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _load_ca(pki: Pki) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate(pki.ca.read_bytes())
        key = load_pem_private_key(pki.ca_key.read_bytes(), None)
    except ValueError as error:
        raise PkiError(f"the CA in {pki.folder} is damaged ({error}); {_REMEDY}") from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise PkiError(f"{pki.ca_key} holds another kind of key than ours; {_REMEDY}")
    return certificate, key


def _make_ca(pki: Pki, now: datetime) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(f"styr-ca-{now:%Y%m%d%H%M%S}", key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"styr-ca-{now:%Y%m%d%H%M%S}")])
    certificate = builder.issuer_name(name).sign(key, hashes.SHA256())
    # The key first: a crash between the two leaves no CA that could not sign.
    write_atomic(pki.ca_key, _pem(key))
    write_atomic(pki.ca, _pem(certificate), mode=0o644)
    return certificate, key


def _make_server(
    pki: Pki, authority: x509.Certificate, authority_key: EllipticCurvePrivateKey, now: datetime, names: Sequence[str]
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder("styr-apiserver", key.public_key(), now, SERVER_DAYS)
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    # The note goes first and comes last: a crash between key and certificate, which then do not match, is made good.
    _meta(pki).unlink(missing_ok=True)
    write_atomic(pki.key, _pem(key))
    write_atomic(pki.certificate, _pem(certificate), mode=0o644)
    note = {"expires": certificate.not_valid_after_utc.timestamp(), "names": list(names)}
    write_atomic(_meta(pki), json.dumps(note))


def client_certificate(pki: Pki, clock: Clock, user: str, groups: Sequence[str] = ()) -> tuple[bytes, bytes]:
    """A certificate (PEM) and its key (PEM) for a client: CN is the user, each O a group. Raises `PkiError`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority, authority_key = _load_ca(pki)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.fromtimestamp(clock.time(), UTC)
    certificate = (
        _builder(user, key.public_key(), now, SERVER_DAYS, groups)
        .issuer_name(authority.subject)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _pem(certificate), _pem(key)


FRONT_PROXY = "front-proxy-client"
"""Who the API server is to the servers that it hands requests on to (aggregation)."""


def front_proxy(folder: Path, clock: Clock) -> FrontProxy:
    """Its certificate, under a CA of its own: whoever holds one of that CA is believed about who asks. Made or renewed where
    needed. Raises `PkiError`, OSError."""
    pki = Pki(make_private(folder))
    certificate, key, note = folder / "client.crt", folder / "client.key", folder / "client.json"
    if not _lasts(note, clock, (pki.ca, certificate, key)):
        now = datetime.fromtimestamp(clock.time(), UTC)
        if not pki.ca.exists() or _load_ca(pki)[0].not_valid_after_utc - now < timedelta(days=RENEW_DAYS):
            _make_ca(pki, now)
        made, made_key = client_certificate(pki, clock, FRONT_PROXY)
        note.unlink(missing_ok=True)
        write_atomic(key, made_key)
        write_atomic(certificate, made, mode=0o644)
        write_atomic(note, json.dumps({"expires": clock.time() + SERVER_DAYS * 86400}))
    return FrontProxy(pki.ca.read_text(), certificate, key)


def _lasts(note: Path, clock: Clock, files: Sequence[Path]) -> bool:
    try:
        left = float(json.loads(note.read_text())["expires"]) - clock.time()
        return left > RENEW_DAYS * 86400 and all(path.exists() for path in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Signer:
    """Our CA, as a `kinds.seams.CertificateSigner`."""

    def __init__(self, pki: Pki, clock: Clock) -> None:
        self._pki = pki
        self._clock = clock

    def __call__(self, request: bytes, usages: Sequence[str], seconds: int | None) -> bytes:
        """As Kubernetes signs: subject and names of the request, no other extension of it; never a CA; five minutes back, so
        that a clock that is a little behind accepts it; at most a year, and no longer than our own."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        asked = certificates.parse(request).raw
        try:
            authority, authority_key = _load_ca(self._pki)
        except (PkiError, OSError) as error:
            raise ValueError(f"the CA cannot be used: {error}") from None
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        lasts = min(max(timedelta(seconds=seconds), SHORTEST), LONGEST) if seconds else LONGEST
        until = now + lasts - (BACKDATED if lasts >= SHORT else timedelta())
        key_usages = {word for usage in usages if (word := certificates.KEY_USAGES.get(usage))}
        extended = [x509.ObjectIdentifier(oid) for usage in usages if (oid := certificates.EXTENDED_USAGES.get(usage))]
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(authority.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(until, authority.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(authority_id, critical=False)
        )
        if key_usages:
            builder = builder.add_extension(_key_usage(*key_usages), critical=True)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(dict.fromkeys(extended)), critical=False)
        with suppress(x509.ExtensionNotFound):
            names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            builder = builder.add_extension(names, critical=False)
        return _pem(builder.sign(authority_key, hashes.SHA256()))


def _builder(common_name: str, public_key: Any, now: datetime, days: int, groups: Sequence[str] = ()) -> Any:
    from cryptography import x509

    attributes = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, group) for group in groups]
    attributes.append(x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name))
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # An hour back: clients whose clock is a little behind accept it.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*usages: str) -> Any:
    from cryptography import x509

    words = (*_KEY_USAGES, "encipher_only", "decipher_only")
    found = {word: word in usages for word in words}
    if not found["key_agreement"]:  # without it, the other two say nothing
        found |= {"encipher_only": False, "decipher_only": False}
    return x509.KeyUsage(**found)


def _san(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(thing: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if hasattr(thing, "private_bytes"):
        return bytes(thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return bytes(thing.public_bytes(Encoding.PEM))


def kubeconfig(
    path: Path, *, server: str, ca: Path, token: str, name: str = "styr", namespace: str = "default"
) -> None:
    """Writes a kubeconfig (mode 0600, atomically) for `server`, such as `https://127.0.0.1:6443`. It is JSON, which is
    YAML: nothing needs quoting by hand. Raises OSError."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    write_atomic(path, json.dumps(content, indent=2) + "\n")
