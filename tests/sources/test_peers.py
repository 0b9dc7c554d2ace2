"""Who is talked to: names, addresses, certificates, and hosts that pretend."""

import socket
import ssl
import threading
from ipaddress import ip_address

import trustme

from handler.settings import Settings
from handler.sources import Sources
from handler.sources.addresses import Address
from sources.conftest import LOOPBACK, MakeSources, refusal
from sources.scripted import Host, host, seconds_at_most, whole


def test_a_handshake_that_never_ends(make: MakeSources) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        sources = make(fetch_seconds=0.5, image_hosts=f"pictures.example:{port}")
        with seconds_at_most(3):
            (found,) = sources.fetch([(f"https://pictures.example:{port}/", "image")])
    assert "more than 0.5 seconds" in refusal(found)[1]


def test_a_name_look_up_that_never_ends(pictures: Host, make: MakeSources) -> None:
    """It is given up, and others go on beside it."""
    ended = threading.Event()

    def resolve(name: str, _: int) -> list[Address]:
        if name == "slow.example":
            ended.wait()
        return [LOOPBACK]

    pictures.answers["/a"] = whole(b"picture")
    names = f"slow.example, pictures.example:{pictures.port}"
    sources = make(resolve, fetch_seconds=0.5, image_hosts=names, fetch_concurrency=2)
    with seconds_at_most(3):
        slow, good = sources.fetch(
            [("https://slow.example/a", "image[0]"), (pictures.url("/a"), "image[1]")]
        )
        assert sources.fetch([(pictures.url("/a"), "image")]) == [b"picture"]
    assert "the host slow.example: it took more than 0.5 seconds" in refusal(slow)[1]
    assert good == b"picture"
    ended.set()


def test_a_name_that_cannot_be_resolved(make: MakeSources) -> None:
    def resolve(name: str, port: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    (found,) = make(resolve, image_hosts="a.example").fetch([("https://a.example", "image")])
    assert refusal(found) == (
        "image_fetch_failed",
        "image could not be fetched from the host a.example: its name cannot be resolved",
    )


def test_a_connection_refused(make: MakeSources) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    sources = make(image_hosts=f"pictures.example:{port}")
    (found,) = sources.fetch([(f"https://pictures.example:{port}/", "image")])
    assert refusal(found)[1].endswith("pictures.example: the connection was refused")


def test_a_certificate_of_another_host(pictures: Host, make: MakeSources) -> None:
    sources = make(image_hosts=f"other.example:{pictures.port}")
    (found,) = sources.fetch([(pictures.url("/", "other.example"), "image")])
    assert refusal(found)[0] == "image_fetch_failed"
    assert "its certificate is not valid for it" in refusal(found)[1]
    assert pictures.heads == []


def test_a_certificate_of_an_unknown_authority(make: MakeSources) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("pictures.example").configure_cert(context)
    with host(context) as stranger:
        sources = make(image_hosts=f"pictures.example:{stranger.port}")
        (found,) = sources.fetch([(stranger.url("/"), "image")])
    assert "its certificate is not valid for it" in refusal(found)[1]
    assert stranger.heads == []


def test_a_host_that_does_not_speak_tls(make: MakeSources) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]

        def greet() -> None:
            peer, _ = plain.accept()
            with peer:
                peer.sendall(b"220 mail.example ESMTP\r\n")
                peer.recv(65_536)

        greeting = threading.Thread(target=greet)
        greeting.start()
        sources = make(image_hosts=f"pictures.example:{port}")
        (found,) = sources.fetch([(f"https://pictures.example:{port}/", "image")])
        greeting.join()
    assert refusal(found)[1].endswith("no TLS connection could be made or kept")


def test_rebinding_has_no_second_look_up_to_win(
    pictures: Host, certified: ssl.SSLContext, make: MakeSources
) -> None:
    """The name is one machine when it is checked and would be another one afterwards."""
    asked: list[str] = []

    def resolve(name: str, _: int) -> list[Address]:
        asked.append(name)
        return [LOOPBACK] if len(asked) == 1 else [ip_address("127.0.0.2")]

    with host(certified, ("127.0.0.2", pictures.port)) as private:
        pictures.answers["/"] = whole(b"public")
        private.answers["/"] = whole(b"private")
        sources = make(resolve)
        assert sources.fetch([(pictures.url("/"), "image")]) == [b"public"]
        assert asked == ["pictures.example"]
        (found,) = sources.fetch([(pictures.url("/"), "image")])
    assert refusal(found)[0] == "image_url_refused"
    assert (pictures.connections, private.connections) == (1, 0)


def test_one_private_address_among_public_ones_refuses_them_all(
    pictures: Host, make: MakeSources
) -> None:
    sources = make(lambda _, __: [LOOPBACK, ip_address("10.0.0.1")])
    (found,) = sources.fetch([(pictures.url("/"), "image")])
    assert refusal(found)[0] == "image_url_refused"
    assert pictures.connections == 0


def test_the_next_address_is_tried_when_one_refuses(
    pictures: Host, certified: ssl.SSLContext, trusted: trustme.CA
) -> None:
    pictures.answers["/"] = whole(b"picture")
    silent, answering = ip_address("127.0.0.3"), LOOPBACK
    sources = Sources(
        Settings(image_hosts=f"pictures.example:{pictures.port}"),
        resolve=lambda _, __: [silent, answering],
        allow_address=lambda address: address.is_loopback,
    )
    assert sources.fetch([(pictures.url("/"), "image")]) == [b"picture"]
    sources.close()
