"""Clients of `paribus watch` that want something else than the page, or nothing at all."""

import socket
import threading
import time
from contextlib import suppress

import pytest

from paribus.report.page import serve
from paribus.report.page.render import Live
from paribus.report.page.serve import Built, Watcher

HOST = "Host: 127.0.0.1:1\r\n"
REQUESTS = {
    "a path that climbs": (f"GET /../../etc/passwd HTTP/1.1\r\n{HOST}\r\n", 404),
    "a path in escapes": (f"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n{HOST}\r\n", 404),
    "an absolute address": (f"GET http://evil.example/ HTTP/1.1\r\n{HOST}\r\n", 404),
    "a record": (f"GET /runs/0000000000000000/record.json HTTP/1.1\r\n{HOST}\r\n", 404),
    "a question": (f"GET /?q=<script> HTTP/1.1\r\n{HOST}\r\n", 404),
    "another host": ("GET / HTTP/1.1\r\nHost: evil.example:80\r\n\r\n", 403),
    "two hosts": (f"GET / HTTP/1.1\r\nHost: evil.example:80\r\n{HOST}\r\n", 403),
    "no host": ("GET / HTTP/1.1\r\n\r\n", 403),
    "a host that begins like ours": ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example:1\r\n\r\n", 403),
    "a host with a user": ("GET / HTTP/1.1\r\nHost: 127.0.0.1@evil.example:1\r\n\r\n", 403),
    "a POST": (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 999999999999\r\n\r\nx", 501),
    "a DELETE": (f"DELETE / HTTP/1.1\r\n{HOST}\r\n", 501),
    "a method of markup": (f"<script> / HTTP/1.1\r\n{HOST}\r\n", 501),
    "a line of 100,000 letters": ("GET /" + "a" * 100_000 + f" HTTP/1.1\r\n{HOST}\r\n", 414),
    "a thousand headers": ("GET / HTTP/1.1\r\n" + "X: y\r\n" * 1000 + "\r\n", 431),
    "a header of 100,000 letters": ("GET / HTTP/1.1\r\nX: " + "y" * 100_000 + "\r\n\r\n", 431),
    "another protocol": (f"GET / HTTP/9.9\r\n{HOST}\r\n", 505),
    "no protocol": ("\x16\x03\x01\x02\r\n\r\n", 400),
    "escapes": (f"GET /\x1b[2J HTTP/1.1\r\n{HOST}\r\n", 404),
}


@pytest.fixture
def watcher(monkeypatch):
    monkeypatch.setattr(serve, "REQUEST_SECONDS", 0.5)
    made = Watcher(lambda: Built("<p>the page", Live(0, 1, "", "0")), lambda: 0, 0, every=0.05)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(10)
    assert not thread.is_alive()


def connected(watcher):
    return socket.create_connection(("127.0.0.1", watcher.server.server_address[1]), timeout=10)


def answer(connection):
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:  # closed before it had read all that was sent
        pass
    return found.decode()


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_for_something_else(watcher, capfd, case):
    text, status = REQUESTS[case]
    with connected(watcher) as connection:
        connection.sendall(text.encode("latin-1"))
        said = answer(connection)
    assert str(status) in said[:20] or not said  # closed while it was still sent
    assert "the page" not in said
    assert "<script>" not in said
    assert "Python" not in said
    assert capfd.readouterr() == ("", "")


def closed(connections):
    """What each was answered."""
    found = []
    for connection in connections:
        with connection:
            found.append(answer(connection))
    return found


def served(watcher):
    with connected(watcher) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\n{HOST}\r\n".encode())
        return "the page" in answer(connection)


def test_clients_that_say_nothing_are_let_go_of_and_hold_up_nobody(watcher):
    silent = [connected(watcher) for _ in range(serve.AT_ONCE - 1)]
    assert served(watcher)
    assert closed(silent) == [""] * len(silent)


def test_a_client_that_sends_a_letter_now_and_then(watcher):
    """Its time is that of the whole request: a letter does not begin it anew."""
    with connected(watcher) as connection:
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 10:
                connection.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - began < 9


@pytest.mark.slow
def test_more_clients_than_are_served(watcher):
    many = [connected(watcher) for _ in range(3 * serve.AT_ONCE)]
    assert set(closed(many)) == {""}
    assert served(watcher)
