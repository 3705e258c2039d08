"""The live page: newest content, for this machine alone, and news only where there are some."""

from __future__ import annotations

import http.client
import json
import threading

import pytest

from paribus.base.errors import UserError
from paribus.report.page.render import Live
from paribus.report.page.serve import Built, Watcher


class Source:
    """Counts how often it is asked; `state` is what the records are."""

    def __init__(self):
        self.state = 0
        self.built = 0

    def build(self) -> Built:
        if self.state == 13:
            raise UserError("these runs differ in budget")
        self.built += 1
        return Built(f"<p>page {self.state}", Live(self.state, 9, f"{self.state} of 9", str(self.state)))

    def changed(self) -> object:
        return self.state


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def watcher(source):
    made = Watcher(source.build, source.changed, 0, every=0.01)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(10)
    assert not thread.is_alive()


def get(watcher, path: str, host: str | None = None):
    connection = http.client.HTTPConnection("127.0.0.1", watcher.server.server_address[1], timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def until(condition, seconds: float = 10.0):
    done = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        done.wait(0.02)
    return False


def test_page_and_progress(watcher):
    answer, body = get(watcher, "/")
    assert (answer.status, body) == (200, "<p>page 0")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(get(watcher, "/progress")[1]) == {"done": 0, "total": 9, "text": "0 of 9", "version": "0"}
    assert get(watcher, "/etc/passwd")[0].status == 404


def test_it_builds_again_only_when_the_records_change(watcher, source):
    source.state = 4
    assert until(lambda: get(watcher, "/")[1] == "<p>page 4")
    assert json.loads(get(watcher, "/progress")[1])["version"] == "4"
    threading.Event().wait(0.1)
    assert source.built == 2


def test_records_that_can_not_be_compared_leave_the_last_page_and_say_why(watcher, source):
    source.state = 13
    assert until(lambda: "can't be shown: these runs differ in budget" in get(watcher, "/progress")[1])
    assert get(watcher, "/")[1] == "<p>page 0"
    source.state = 14
    assert until(lambda: get(watcher, "/")[1] == "<p>page 14")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:1", ""])
def test_only_this_machine_is_answered(watcher, host):
    connection = http.client.HTTPConnection("127.0.0.1", watcher.server.server_address[1], timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 403
    assert "page 0" not in answer.read().decode()
    connection.close()
    assert watcher.server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_explained(watcher, source):
    port = watcher.server.server_address[1]
    with pytest.raises(UserError, match=rf"port {port} can't be served: .*Choose another with --port"):
        Watcher(source.build, source.changed, port)
