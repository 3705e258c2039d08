"""The training entry of a stack: many configs in, one record for each out, as if each had run alone."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paribus.base.errors import Interrupted, StackFailed, UserError, is_storage
from paribus.base.memory import keep_freed
from paribus.base.redaction import redacted_text
from paribus.base.signals import Stop, graceful_stop
from paribus.base.terminal import say
from paribus.config.identity import run_id
from paribus.config.run import Run
from paribus.extras.stack.groups import Groups
from paribus.extras.stack.measured import Measured
from paribus.extras.stack.members import Member, NotBegun, in_order, read_members, running, with_places
from paribus.extras.stack.planning import foreign_parts, program
from paribus.run.bookkeeping import (
    already,
    brief,
    declared,
    failed,
    failure_type,
    named,
    new_record,
    now,
    summary,
    used_versions,
    write_config,
)
from paribus.run.execute import execute
from paribus.run.foreign import mark_trained
from paribus.run.log import log_file
from paribus.store.checksums import checksums
from paribus.store.lock import Busy
from paribus.store.record import Record
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.run.restart import Restart

log = logging.getLogger("paribus")
HANDED_BACK = "handed back"


def train_stack(run: Run, members_file: Path) -> Record:
    """Train the members that a file lists, together as far as that pays; the record of the first.

    Members that are done, or that another process trains, are left out. The order of training and what is trained
    together do not change what a record says, up to rounding. Members that can't be trained together are handed back:
    their records stay as they are, and whoever launched this job trains each in one of its own. The record that is
    returned then says why, as its failure.

    Raises UserError where the list can't be read, Interrupted when the user stops it, and StackFailed with the reasons
    of those members that failed, after all others have been trained.
    """
    asked, group = read_members(members_file)
    store = Store(Path(run.paths.outputs))
    failures: dict[str, str] = {}
    members: list[Member] = []
    with ExitStack() as locks:
        for each in asked:
            id = run_id(each["config"])
            try:
                own = Run.parse(each["config"])
                locks.enter_context(store.lock(id))
            except Busy as busy:
                say(f"{id} is left out of the stack: {busy}")
                continue
            except UserError as error:
                failures[id] = str(error)
                continue
            try:
                done = already(own, store, id)
            except UserError as error:
                failures[id] = str(error)
                continue
            if done is None:
                record = new_record(own, each["choices"], each["overrides"])
                members.append(Member(own, record, store.run_dir(id)))
        training = _Training(members, group, store, run.stack)
        if members:
            failures.update(training.run())
    if failures:
        raise StackFailed(failures, training.storage)
    first = asked[0]
    own = Run.parse(first["config"])
    record = store.read(own.id) or new_record(own, first["choices"], first["overrides"])
    return failed(record, HANDED_BACK, training.reason, own) if training.reason else record


class _Training:
    """The members of one job: stacks of them, and those that go alone. group: what was planned as this job."""

    def __init__(self, members: Sequence[Member], group: Sequence[str], store: Store, stack: int | str):
        self.members = list(members)
        self.group = list(group)
        self.store = store
        self.stack = stack
        self.failures: dict[str, str] = {}
        self.storage = False  # whether some could not write their files
        self.reason = ""  # why members were handed back
        self.stop = Stop(lambda: None)

    def run(self) -> dict[str, str]:
        """Train all; member -> what went wrong."""
        # torch and Lightning are imported here: whatever could be said without them has been said.
        from paribus.datasets.prepare import TensorSet
        from paribus.run import build
        from paribus.run.fit import set_threads

        first = self.members[0].run
        set_threads(first)
        keep_freed()
        self.setting = build.build_setting(first)
        self.data = build.build_data(first, self.setting)
        self.check()
        if not self.members:
            return self.failures
        if not isinstance(self.data.splits.train, TensorSet):
            say("workers read the samples, so the members of the stack are trained one after the other")
            with graceful_stop() as self.stop:
                self.alone(self.members)
            return self.failures
        if len(self.members) > 1 and (reason := self.objection()) is not None:
            self.hand_back(self.members, reason)
            return self.failures
        size, compile = self.decide()
        wanted = first.trainer.compile
        members = {member.record.id: member for member in self.members}
        parts = [self.group[start : start + size] for start in range(0, len(self.group), size)]
        with graceful_stop() as self.stop:
            for restart in self.restarts(parts):
                going = [members[id] for id in restart.ids]
                if restart.rows:
                    self.together(with_places(going, restart.rows, self.store), bool(restart.compile))
                    continue
                for start in range(0, len(going), size):
                    part = in_order(going[start : start + size])
                    # What a smaller stack at the end would take to compile has not been measured.
                    self.together(part, compile and (wanted or len(part) == size))
        return self.failures

    def restarts(self, parts: Sequence[Sequence[str]]) -> list[Restart]:
        from paribus.run.restart import restarts

        return restarts({member.record.id: member.folder for member in self.members}, parts)

    def check(self) -> None:
        """What can't work is left out before anything is written; what many members share is looked at once."""
        from paribus.run import build
        from paribus.run.preflight import Preflight

        preflight = Preflight()
        known: dict[str, str | None] = {}
        for member in list(self.members):
            run = member.run
            parts = (run.loss, run.optimizer, run.decay, asdict(run.lr_scaling), run.scheduler)
            key = json.dumps(parts, sort_keys=True)
            if key not in known:
                try:
                    preflight.check_built(run, build.build_setting(run), self.data)
                    known[key] = None
                except UserError as error:
                    known[key] = str(error)
            if (reason := known[key]) is not None:
                self.drop(member, reason)

    def drop(self, member: Member, reason: str) -> None:
        self.members.remove(member)
        self.failures[member.record.id] = reason

    def objection(self) -> str | None:
        """Why the members can't be trained together, where a stack would call code that is not ours; remembered."""
        strangers = sorted({target for member in self.members for target in foreign_parts(member.run)})
        if not strangers:
            return None
        from paribus.extras.stack.rehearsal import objection
        from paribus.run.instantiate import sources

        found = objection(self.members, self.setting, self.data)
        if found is None:
            log.info(
                "%s: the stack trains as its runs do alone (three updates of each were compared)", ", ".join(strangers)
            )
            return None
        reason = self.without_secrets(f"{', '.join(strangers)}: {found}")
        Measured(self.store.root).refuse(program(self.members[0].run), reason, sources(strangers))
        return reason

    def hand_back(self, members: Sequence[Member], reason: str) -> None:
        """Leave members to jobs of their own: fresh processes, which run side by side."""
        self.reason = self.reason or reason
        say(f"{len(members)} runs are trained one by one: {reason}")

    def decide(self) -> tuple[int, bool]:
        """How many members go together, and whether their program is compiled: decided once for a group."""
        if isinstance(self.stack, int):
            return max(1, self.stack), self.members[0].run.trainer.compile
        from paribus.extras.stack.decision import decide

        groups = Groups(self.store.root)
        if (known := groups.cut(self.group)) is not None:
            return known
        size, compile = decide(self.members, self.setting, self.data, self.store.root)
        groups.remember_cut(self.group, size, compile)
        return size, compile

    def together(self, members: Sequence[Member], compile: bool) -> None:
        """Train a stack to its end: smaller when replicas have ended early, in halves when memory does not suffice."""
        from paribus.extras.stack.checkpoint import Regroup
        from paribus.extras.stack.fit import fit_stack

        self.stop.check()
        members = self.alone(members) if len(members) == 1 else list(members)
        while members:
            living = [member for member in members if not member.absent]
            for member in living:
                self.begin(member)
            try:
                with ExitStack() as files:
                    for member in living:
                        files.enter_context(log_file(member.folder / "train.log"))
                    fit_stack(members, self.data, self.finish, compile)
                return
            except Regroup:
                members = running(members)
                if len(members) == 1:
                    members = self.alone(members)
                continue
            except (Interrupted, KeyboardInterrupt):
                raise
            except Exception as error:
                if isinstance(error, NotBegun):
                    cause = error.__cause__ or error
                    log.error("%s", self.without_secrets("".join(traceback.format_exception(cause))))
                    self.hand_back(
                        living, self.without_secrets(f"their stack failed before its first update ({brief(cause)})")
                    )
                    return
                if failure_type(error) == "out_of_memory" and len(members) > 1:
                    members = running(members)
                    half = (len(members) + 1) // 2
                    say(f"a stack of {len(members)} does not fit into memory; training {half} at a time")
                    error.__traceback__ = None  # it holds on to the memory
                    parts = members[:half], members[half:]
                    break
                log.error("%s", self.without_secrets(str(error) if is_storage(error) else traceback.format_exc()))
                self.fail(living, error)
                return
        else:
            return
        for part in parts:
            if part:
                self.together(part, compile)

    def without_secrets(self, text: str) -> str:
        """The text without what the configurations of any member call a secret."""
        for member in self.members:
            text = redacted_text(text, member.run.resolved)
        return text

    def begin(self, member: Member) -> None:
        member.record.comparable = member.run.comparable(self.data.splits.fingerprint)
        member.record.classes = self.setting.form.num_classes
        member.folder.mkdir(parents=True, exist_ok=True)
        write_config(member.folder, member.run)
        mark_trained(member.record, member.folder)
        self.store.write(member.record)

    def finish(self, member: Member, how: Literal["done", "diverged", "failed"], failure: str, outcome: Any) -> None:
        """Write the record of a run that has ended."""
        record = member.record
        if how == "failed":
            member.record = failed(record, "bug", failure, member.run)
            self.failures[record.id] = redacted_text(failure, member.run.resolved)
        else:
            record.checksums = checksums(member.folder)
            record.status = how
            record.finished = now()
        record = member.record
        record.declared = declared(member.run, outcome.chance)
        record.metrics, record.timing, record.parameters = outcome.metrics, outcome.timing, outcome.parameters
        record.provenance["hardware"]["device"] = outcome.device
        record.provenance["segments"] = outcome.segments
        record.provenance.setdefault("versions", {}).update(used_versions(member.run, record))
        self.store.write(record)
        say(f"{record.id} {record.status}: {summary(record)}  ({member.folder})")

    def fail(self, members: Sequence[Member], error: Exception) -> None:
        self.storage = self.storage or is_storage(error)
        for member in members:
            if member.record.status == "running":
                self.failures[member.record.id] = redacted_text(named(error), member.run.resolved)
                member.record = failed(member.record, failure_type(error), named(error), member.run)
                with suppress(OSError):  # a full disk takes no record either: the run counts as not trained
                    self.store.write(member.record)

    def alone(self, members: Sequence[Member]) -> list[Member]:
        """Train members one after the other, as single runs; returns none."""
        for member in members:
            self.stop.check()
            try:
                execute(member.run, member.record, self.store)
            except (Interrupted, KeyboardInterrupt):
                raise
            except Exception as error:
                self.storage = self.storage or is_storage(error)
                self.failures[member.record.id] = redacted_text(named(error), member.run.resolved)
        return []
