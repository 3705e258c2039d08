"""Nodes find each other by a note and a connection; strangers, and nodes that don't fit, are turned away."""

import socket
import threading
import time

import pytest

from paribus.base.errors import Interrupted, UserError
from paribus.sweep import addresses as of_machine
from paribus.sweep import meeting as meetings
from paribus.sweep.addresses import addresses, interface_of, is_loopback
from paribus.sweep.meeting import Channel, Gone, Node, come, meeting, note_of, read_note, write_note
from paribus.sweep.slurm_step import step


@pytest.fixture
def pair():
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    yield Channel(one), Channel(other)
    one.close()
    other.close()


def until_gone(channel):
    """All messages that come before the other end is gone."""
    found = []
    while True:
        try:
            found += channel.received(5.0)
        except Gone:
            return found


def test_messages_come_in_their_order_and_the_last_ones_before_the_end(pair):
    one, other = pair
    assert other.received() == []
    one.send(a=1)
    one.send(b="zwei\n" * 1000)
    one.close()
    assert until_gone(other) == [{"a": 1}, {"b": "zwei\n" * 1000}]
    with pytest.raises(Gone):
        one.send(c=3)


def test_a_message_that_came_with_the_first_comes_next(pair):
    one, other = pair
    assert other.first(0.0) == {}
    one.send(a=1)
    one.send(b=2)
    one.send(c=3)
    one.close()
    assert other.first(5.0) == {"a": 1}
    assert other.first(5.0) == {"b": 2}
    assert other.received(5.0) == [{"c": 3}]


def test_who_sends_no_messages_is_gone(pair):
    one, other = pair
    one.connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert until_gone(other) == []


def test_only_its_owner_reads_a_note(tmp_path):
    path = note_of(tmp_path, "0123456789abcdef", Node(0, 2, "17.0.0"))
    assert path == tmp_path / "nodes" / "0123456789abcdef-17.0.0.json"
    assert read_note(path) == {}
    write_note(path, {"secret": "s"})
    assert read_note(path) == {"secret": "s"}
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("[1]")
    assert read_note(path) == {}


@pytest.mark.parametrize("number", [-1, 2, 7])
def test_nodes_are_counted_from_zero(number):
    with pytest.raises(UserError, match=f"2 nodes have the numbers 0 to 1, got {number}"):
        Node(number, 2)


class Host:
    """The first of so many nodes, which waits in a thread."""

    def __init__(self, root, count, job=None):
        self.stop, self.found, self.error = threading.Event(), None, None
        self.node, self.root = Node(0, count, job), root
        self.thread = threading.Thread(target=self.gather)
        self.thread.start()
        self.path = note_of(root, "a" * 16, self.node)
        deadline = time.monotonic() + 30
        while "secret" not in read_note(self.path):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def gather(self):
        with meeting(self.root, "a" * 16, self.node) as met:
            try:
                self.found = met.gather(self.stop, "")
                self.stop.wait(30)
            except BaseException as error:
                self.error = error

    def end(self):
        self.stop.set()
        self.thread.join(30)


def test_a_run_begins_when_all_nodes_are_there(tmp_path, monkeypatch):
    host = Host(tmp_path, 3)
    try:
        note = read_note(host.path)
        assert come({**note, "secret": "guessed"}, Node(1, 3)) is None
        with pytest.raises(UserError, match="the run has 3 nodes by its first one, and 2 by node 1"):
            come(note, Node(1, 2))
        with monkeypatch.context() as other:
            other.setattr(meetings, "versions", lambda: {"paribus": f"0.{threading.get_ident()}"})
            with pytest.raises(UserError, match="all nodes need the same versions"):
                come(note, Node(1, 3))
        left = come(note, Node(2, 3))
        with pytest.raises(UserError, match="node 2 of 3 is there already"):
            come(note, Node(2, 3))
        left.close()  # somebody has pressed Ctrl-C there
        deadline = time.monotonic() + 30
        while True:
            try:
                second = come(note, Node(2, 3))
                break
            except UserError:
                assert time.monotonic() < deadline
        assert host.found is None
        first = come(note, Node(1, 3))
        while host.found is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [guest.number for guest in host.found] == [1, 2]
        assert {guest.host for guest in host.found} == {socket.gethostname()}
        for guest, channel in zip(host.found, (first, second), strict=True):
            guest.channel.send(begin=guest.number)
            assert channel.received(10.0) == [{"begin": guest.number}]
        # They came by the first address of this machine that works, which is none of the loopback if it has another.
        loopback = all(map(is_loopback, note["addresses"]))
        assert all(is_loopback(guest.address) == loopback for guest in host.found)
        first.close()
        second.close()
    finally:
        host.end()
    assert come(note, Node(1, 3)) is None  # it is over


def test_who_waits_for_other_nodes_can_be_stopped(tmp_path, monkeypatch):
    host = Host(tmp_path, 2)
    host.end()
    assert isinstance(host.error, Interrupted)
    monkeypatch.setattr(meetings, "JOIN_SECONDS", 0.0)
    host = Host(tmp_path, 2)
    host.thread.join(30)
    assert isinstance(host.error, UserError)
    assert "there are 1. Look at the logs of the others" in str(host.error)


def test_notes_of_jobs_that_are_over_are_removed(tmp_path):
    own, other = (note_of(tmp_path, "a" * 16, Node(0, 2, job)) for job in ("1.0.0", "2.0.0"))
    for path in (own, other):
        write_note(path, {})
    with meeting(tmp_path, "a" * 16, Node(0, 2, "1.0.0")):
        assert other.exists()  # somebody may be about to read it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meetings, "OLD_SECONDS", -1.0)
        with meeting(tmp_path, "a" * 16, Node(0, 2, "1.0.0")):
            assert (own.exists(), other.exists()) == (True, False)


def test_the_loopback_is_named_only_where_there_is_nothing_else(monkeypatch):
    found = addresses()
    assert found
    if len(found) > 1 or not is_loopback(found[0]):
        assert not any(map(is_loopback, found))
    monkeypatch.setattr(of_machine, "interfaces", lambda: {"10.0.0.7": "eth0", "fd00::7": "eth0"})
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(None, None, None, "", ("127.0.1.1", 0))])
    assert addresses() == ["10.0.0.7", "fd00::7"]
    assert interface_of("10.0.0.7") == "eth0"
    assert interface_of("127.0.0.1") is None
    monkeypatch.setattr(of_machine, "interfaces", dict)
    assert addresses() == ["127.0.0.1"]


def test_a_task_on_each_node_of_a_step_of_slurm_is_a_node():
    environment = {"SLURM_JOB_ID": "17", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1"}
    nodes = {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "2"}
    assert step({**environment, **nodes}) == Node(1, 2, "17.0.0")
    assert step({**environment, **nodes, "SLURM_RESTART_COUNT": "3"}) == Node(1, 2, "17.0.3")
    assert step({**environment, **nodes, "SLURM_STEP_NUM_TASKS": "8"}) is None
    assert step({"SLURM_JOB_ID": "17"}) is None
