"""A run of several machines: each forks its own ranks, and the first one holds the lock and writes the record.

Every node is given the same command line. The first does what any command does with a run, and meets the others before
it starts its ranks; the others wait for it, start theirs, and tell it how they end. What becomes of the run is decided
by the first alone, as if all ranks were its own, and is said to the others.
"""

from __future__ import annotations

import functools
import json
import math
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from paribus.base.errors import Interrupted, RankFailed, UserError
from paribus.base.signals import graceful_stop
from paribus.base.terminal import say
from paribus.config.run import Run
from paribus.run.bookkeeping import failure_type
from paribus.run.execute import train
from paribus.store.lock import Busy
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.addresses import interface_of, plain
from paribus.sweep.fork import ForkServer
from paribus.sweep.meeting import (
    JOIN_SECONDS,
    SAID_SECONDS,
    Channel,
    Gone,
    Guest,
    Node,
    come,
    meeting,
    note_of,
    read_note,
    write_note,
)
from paribus.sweep.rank import Rank
from paribus.sweep.ranks import TICK, Here, concluded, free_port, ranks_here, wait_for_all
from paribus.sweep.result import Result

LOOK_SECONDS = 0.3  # between two looks for the note of the first node


def train_on_nodes(
    run: Run,
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    node: Node,
    *,
    server: ForkServer | None = None,
    threads: int | None = None,
    checked: bool = False,
) -> Record:
    """The record of a run that several machines train, this one among them. Called on each with its own number.

    Raises on each node what `train` and `run_ranks` raise on the first; UserError where the nodes don't fit together.
    """
    if node.count != run.trainer.num_nodes:
        raise UserError(f"{node.count} nodes take part in a run that has trainer.num_nodes={run.trainer.num_nodes}")
    store = Store(Path(run.paths.outputs))
    if node.number:
        return follow(run, store, node, server, threads)
    note = note_of(store.root, run.id, node)
    ranks = functools.partial(lead, node=node, server=server, threads=threads)
    try:
        record = train(run, choices, overrides, ranks, checked=checked)
    except Busy:
        if node.job:  # else it is the note of who trains it
            write_note(note, {"ended": {"kind": "busy", "message": "another process trains it"}})
        raise
    except BaseException as error:
        write_note(note, {"ended": said_of(error)})
        raise
    write_note(note, {"ended": {"kind": "done", "record": json.loads(record.to_json())}})
    return record


# ---------------------------------------------------------------------------------------------- the first node


def lead(
    run: Run, record: Record, store: Store, *, node: Node, server: ForkServer | None, threads: int | None
) -> Record:
    """The first node's part: `run_ranks`, with ranks on other machines."""
    stop = threading.Event()
    words = "" if node.job else f": paribus node --rank N --of {node.count} and the same overrides"
    with graceful_stop(stop.set), meeting(store.root, record.id, node) as met:
        guests = met.gather(stop, words)
        port = str(free_port())
        for guest in guests:
            group = {"MASTER_ADDR": guest.address, "MASTER_PORT": port}
            begin(guest, group, record)
        group = {"MASTER_ADDR": guests[0].address, "MASTER_PORT": port}
        others = [Elsewhere(guest, run.trainer.devices, stop) for guest in guests]
        try:
            with ranks_here(run, record, store, 0, through(group, guests[0].address), server, threads) as here:
                ended = wait_for_all([here, *others], stop)
            finished = concluded(run, store, record.id, ended)
        except BaseException as error:
            tell(others, said_of(error))
            raise
        tell(others, {"kind": "done", "record": json.loads(finished.to_json())})
        return finished


def begin(guest: Guest, group: Mapping[str, str], record: Record) -> None:
    with suppress(Gone):  # whoever waits for its ranks finds out
        guest.channel.send(begin=dict(group), record=json.loads(record.to_json()))


def tell(others: Sequence[Elsewhere], outcome: Mapping[str, Any]) -> None:
    for each in others:
        each.send(ended=dict(outcome))


class Elsewhere:
    """The ranks of another node, as the first one sees them. stop: set where that node is told to stop."""

    def __init__(self, guest: Guest, devices: int, stop: threading.Event):
        self.guest = guest
        self.ranks: Sequence[int] = range(guest.number * devices, (guest.number + 1) * devices)
        self.left = set(self.ranks)
        self.asked = stop

    def ended(self, seconds: float) -> list[Rank]:
        found = []
        try:
            for message in self.guest.channel.received(seconds):
                if "stop" in message:
                    self.asked.set()
                else:
                    found.append(read_rank(message))
        except Gone:
            reason = f"node {self.guest.number} ({self.guest.host}) is gone"
            gone = Result("killed", message=reason)
            found += [Rank(rank, -signal.SIGKILL, gone, math.inf) for rank in sorted(self.left)]
        self.left -= {each.rank for each in found}
        return found

    def stop(self) -> None:
        self.send(stop=True)

    def kill(self, rank: int) -> None:
        self.send(kill=rank)

    def send(self, **message: Any) -> None:
        with suppress(Gone):  # `ended` tells
            self.guest.channel.send(**message)


def written(each: Rank) -> dict[str, Any]:
    """A rank that has ended, as a message. Clocks of two machines have nothing in common: ago is in seconds."""
    ago = None if each.at == math.inf else time.monotonic() - each.at
    result = {"kind": each.result.kind, "message": each.result.message, "traceback": each.result.traceback}
    return {"rank": each.rank, "code": each.code, "ago": ago, **result}


def read_rank(message: Mapping[str, Any]) -> Rank:
    at = math.inf if message["ago"] is None else time.monotonic() - message["ago"]
    result = Result(message["kind"], message=message["message"], traceback=message["traceback"])
    return Rank(message["rank"], message["code"], result, at)


def through(group: Mapping[str, str], own: str) -> dict[str, str]:
    """The variables of this node's ranks: gloo takes the address that the host's name has, which may be the loopback,
    unless it is told the interface. (NCCL looks for the fastest one, and for the loopback last.)

    own: this node's address on the connection between the nodes."""
    if "GLOO_SOCKET_IFNAME" in os.environ or (name := interface_of(own)) is None:
        return dict(group)
    return {**group, "GLOO_SOCKET_IFNAME": name}


# ---------------------------------------------------------------------------------------------- the other nodes


def follow(run: Run, store: Store, node: Node, server: ForkServer | None, threads: int | None) -> Record:
    """Any other node's part: find the first node, start the ranks of this one, and end as the run does.

    By hand the nodes come in any order. Where the run has a record already and nobody trains it, there is nothing to
    wait for.
    """
    stop = threading.Event()
    with graceful_stop(stop.set):
        found = find(run.id, store, node, stop)
        if isinstance(found, Record):
            return found
        try:
            return take_part(run, store, node, found, stop, server, threads)
        except Gone as error:
            raise RankFailed("node 0 is gone; the same commands resume this run", "killed") from error
        finally:
            found.close()


def find(id: str, store: Store, node: Node, stop: threading.Event) -> Channel | Record:
    """The connection to the first node, or the record that it has without this one.

    Raises what it raised there; Interrupted when stop is set, UserError where it doesn't come within half an hour.
    """
    path = note_of(store.root, id, node)
    before = {} if node.job else read_note(path)  # it may tell of an attempt that is over
    began = said = time.monotonic()
    while True:
        note = read_note(path)
        if "secret" in note:
            if (channel := come(note, node)) is not None:
                return channel
        elif note and note != before:
            return outcome(note["ended"])
        elif not node.job and (record := store.finished(id)) is not None and not store.is_locked(id):
            say(f"{id} is {record.status} already")
            return record
        if stop.is_set():
            raise Interrupted("stopped while it waited for node 0")
        if (now := time.monotonic()) - began > JOIN_SECONDS:
            raise UserError(
                f"node {node.number} waits for node 0, which says nothing for {JOIN_SECONDS / 60:.0f} minutes in "
                f"{path}. Start node 0 with the same overrides and the same paths.outputs"
            )
        if now - said > SAID_SECONDS or said == began:
            said = now
            say(f"node {node.number} of {node.count} waits for node 0 of run {id}")
        stop.wait(LOOK_SECONDS)


def take_part(
    run: Run,
    store: Store,
    node: Node,
    channel: Channel,
    stop: threading.Event,
    server: ForkServer | None,
    threads: int | None,
) -> Record:
    """The ranks of this node, from the first node's word to begin until its word of how the run has ended.

    Raises Gone where the first node is.
    """
    while not (begun := channel.first(TICK)):
        if stop.is_set():
            raise Interrupted("stopped while it waited for other nodes")
    record, first = Record.from_json(json.dumps(begun["record"]).encode()), begun["begin"]["MASTER_ADDR"]
    say(f"node {node.number} of {node.count} trains run {record.id} with node 0 on {first}")
    group = through(begun["begin"], plain(str(channel.connection.getsockname()[0])))
    with ranks_here(run, record, store, node.number, group, server, threads) as here:
        try:
            return outcome(serve(channel, here, stop))
        except KeyboardInterrupt as error:
            raise Interrupted("stopped at once; the same commands resume from the last checkpoint") from error
        finally:
            for rank in here.ranks:
                here.kill(rank)


def serve(channel: Channel, here: Here, stop: threading.Event) -> Mapping[str, Any]:
    """Tell the first node how the ranks here end, and do as it says until it says how the run has ended."""
    told = False
    while True:
        for each in here.ended(TICK):
            channel.send(**written(each))
        for message in channel.received():
            if "ended" in message:
                ended: Mapping[str, Any] = message["ended"]
                return ended
            if "kill" in message:
                here.kill(message["kill"])
            else:
                here.stop()
        if stop.is_set() and not told:
            told = True
            channel.send(stop=True)
            here.stop()


# ---------------------------------------------------------------------------------------------- what became of a run


def said_of(error: BaseException) -> dict[str, Any]:
    """An exception of the first node, for the others."""
    if isinstance(error, Interrupted | KeyboardInterrupt | SystemExit):
        return {"kind": "stopped", "message": str(error)}
    if isinstance(error, RankFailed):
        return {"kind": error.kind, "message": str(error)}
    if isinstance(error, UserError):
        return {"kind": "invalid", "message": str(error)}
    return {"kind": failure_type(error) if isinstance(error, Exception) else "bug", "message": str(error)}


def outcome(said: Mapping[str, Any]) -> Record:
    """The record of a run that the first node has finished; raises what stands for its exception here."""
    kind, message = said["kind"], said.get("message", "")
    if kind == "done":
        return Record.from_json(json.dumps(said["record"]).encode())
    if kind == "busy":
        raise Busy(message)
    if kind == "stopped":
        raise Interrupted(message)
    if kind == "invalid":
        raise UserError(f"node 0: {message}")
    raise RankFailed(f"node 0: {message}", kind)
