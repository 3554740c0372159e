"""The HTTP client against evil servers on real loopback sockets, and real TLS (SECURITY.md T12, C5)."""

from __future__ import annotations

import datetime
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor, ssl
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from bittwist.errors import FetchError
from bittwist.net.http import HttpClient, HttpResponse, Purpose
from bittwist.net.policy import Network
from tests.net.servers import Script, Server, Visit
from tests.scale import SOAK

DEADLINE = 1.0  # seconds of real time for each answer
LIMIT = 1 << 20


def drip(visit: Visit, part: bytes, every: float) -> None:
    if not visit.closed:
        visit.say(part)
        reactor.callLater(every, drip, visit, part, every)


def pour(visit: Visit, part: bytes) -> None:
    """Send without an end, as fast as it is taken."""
    visit.transport.registerProducer(Tap(visit, part), False)


class Tap:
    def __init__(self, visit: Visit, part: bytes) -> None:
        self._visit = visit
        self._part = part

    def resumeProducing(self) -> None:
        self._visit.say(self._part)

    def stopProducing(self) -> None:
        """The connection is gone."""


def endless(head: bytes, part: bytes) -> Script:
    def script(visit: Visit) -> None:
        visit.say(head)
        pour(visit, part)

    return script


OK = b"HTTP/1.1 200 OK\r\n"
EVIL: dict[str, tuple[Script, str]] = {
    "silence": (lambda visit: None, "no whole answer within 1 s"),
    "a byte now and then": (lambda visit: drip(visit, b"H", 0.1), "no whole answer within 1 s"),
    "a slow body": (
        lambda visit: (visit.say(OK + b"\r\n"), drip(visit, b"x", 0.1))[0],
        "no whole answer within 1 s",
    ),
    "an endless body": (endless(OK + b"\r\n", bytes(65536)), "longer than"),
    "a body of 10 GiB": (endless(OK + b"Content-Length: 10737418240\r\n\r\n", bytes(65536)), "longer than"),
    "a gzip bomb": (lambda visit: visit.answer(BOMB, Content_Encoding="gzip"), "longer than"),
    "endless gzip members": (
        endless(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1000), "more than 64 parts"
    ),
    "a chunk bomb": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", bytes(65536)),
        "longer than",
    ),
    "endless headers": (endless(OK, b"X: y\r\n" * 1000), "head is longer than"),
    "a redirect to itself": (lambda visit: visit.redirect(visit.target), "run in a circle"),
    "10 redirects": (lambda visit: visit.redirect(visit.target + "x"), "more than 5 redirects"),
    "a redirect to a file": (lambda visit: visit.redirect("file:///etc/passwd"), "only http and https"),
    "a redirect to nowhere": (lambda visit: visit.redirect("http://0.0.0.0/"), "not an address"),
    "a redirect to the cloud": (
        lambda visit: visit.redirect("http://169.254.169.254/announce"), "169.254.169.254 is a link-local"
    ),
}  # fmt: skip
BOMB = gzip.compress(bytes(64 << 20))


@pytest_twisted.async_yield_fixture
async def serve() -> AsyncIterator[Callable[..., tuple[Server, int]]]:
    ports: list[IListeningPort] = []

    def listen(script: Script, tls: ssl.CertificateOptions | None = None) -> tuple[Server, int]:
        server = Server(script)
        if tls is None:
            ports.append(reactor.listenTCP(0, server, interface="127.0.0.1"))
        else:
            ports.append(reactor.listenSSL(0, server, tls, interface="127.0.0.1"))
        return server, ports[-1].getHost().port

    yield listen
    for port in ports:
        await port.stopListening()


def client(trust: list[ssl.Certificate] | None = None) -> HttpClient:
    return HttpClient(reactor, Network(reactor), trust=trust)


async def fetch(url: str, http: HttpClient | None = None) -> HttpResponse:
    return await (http or client()).get(url, purpose=Purpose.TRACKER, deadline=DEADLINE, limit=LIMIT)


@pytest.mark.parametrize("evil", EVIL)
@pytest_twisted.ensureDeferred
async def test_it_ends_with_a_named_error_and_the_connection_closed(serve, evil):
    script, reason = EVIL[evil]
    server, port = serve(script)
    began = reactor.seconds()
    if SOAK:
        tracemalloc.start()
    with pytest.raises(FetchError, match=reason):
        await fetch(f"http://127.0.0.1:{port}/announce")
    if SOAK:
        assert reactor.seconds() - began < DEADLINE + 0.5
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()
    while not all(visit.closed for visit in server.visits):
        await deferLater(reactor, 0.01)


@pytest_twisted.ensureDeferred
async def test_a_plain_answer_still_gets_through(serve):
    _, port = serve(lambda visit: visit.answer(gzip.compress(b"hello"), Content_Encoding="gzip"))
    assert (await fetch(f"http://127.0.0.1:{port}/announce")).body == b"hello"


def certificate(host: str) -> tuple[ssl.CertificateOptions, ssl.Certificate]:
    """A certificate that its own key signed, for a name or an address; and as one to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bittwist test")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        subject: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ssl.PrivateCertificate.loadPEM(pem + private).options(), ssl.Certificate.loadPEM(pem)


@pytest_twisted.ensureDeferred
async def test_a_certificate_nobody_vouches_for_is_refused(serve):
    options, _ = certificate("127.0.0.1")
    server, port = serve(lambda visit: visit.answer(b"secret"), options)
    with pytest.raises(FetchError, match="TLS: certificate verify failed"):
        await fetch(f"https://127.0.0.1:{port}/announce")
    assert not any(visit.target for visit in server.visits)


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_another_host_is_refused(serve):
    for name in ("127.0.0.2", "tracker.example"):
        options, authority = certificate(name)
        server, port = serve(lambda visit: visit.answer(b"secret"), options)
        with pytest.raises(FetchError, match="TLS: the certificate is for another host"):
            await fetch(f"https://127.0.0.1:{port}/announce", client([authority]))
        assert not any(visit.target for visit in server.visits)


@pytest_twisted.ensureDeferred
async def test_a_good_certificate_is_taken(serve):
    options, authority = certificate("127.0.0.1")
    _, port = serve(lambda visit: visit.answer(b"hello"), options)
    answer = await fetch(f"https://127.0.0.1:{port}/announce", client([authority]))
    assert answer.body == b"hello"


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_silent_instead_of_tls_is_given_up(serve):
    _, port = serve(lambda visit: None)
    with pytest.raises(FetchError, match="no whole answer within 1 s"):
        await fetch(f"https://127.0.0.1:{port}/announce")
