"""Certificates for the tests of TLS, made while they run: none is committed, and none is of use tomorrow."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate authority of our own, with its certificate in a file for those who trust it."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._directory = directory
        self.ca_file = str(directory / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def copy(self) -> str:
        """Return another file with its certificate, changed at another time."""
        file = self._directory / "copy.pem"
        self._ca.cert_pem.write_to_path(file)
        os.utime(file, (1, 1))
        return str(file)

    def server(self, *names: str, is_expired: bool = False) -> ssl.SSLContext:
        """The side of a server that answers to these names."""
        until = {"not_before": LONG_AGO, "not_after": LONG_AGO + timedelta(days=1)} if is_expired else {}
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*(names or ("localhost", "127.0.0.1")), **until).configure_cert(context)
        return context

    def asks_for_clients(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Let a server speak only to those who show a certificate of this authority."""
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_files(self) -> tuple[str, str]:
        """Return the files of a client's certificate and key."""
        made = self._ca.issue_cert("tocsin.example.org")
        certificate, key = self._directory / "client.pem", self._directory / "client.key"
        made.cert_chain_pems[0].write_to_path(certificate)
        made.private_key_pem.write_to_path(key)
        return str(certificate), str(key)
