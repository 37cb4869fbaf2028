"""The keeper: a small process outside of every box that holds warm parents and outlives the runs.

It is forked by the runner parent, in a session of its own, and goes on when the server ends. Its
socket (SOCK_SEQPACKET, in the server's private directory) takes, from runners,

    {"op": "take", "key"}                   → {"kernel": …} with the kernel's line, or {"cold": why}
    {"op": "show", "folders": […]}          → {"shown": true}, or {"cold": why}
    {"op": "learn", "plan": …, "modules": […]}   what a run of that plan had imported in the end
    {"op": "spoiled", "why"}                the guard of its kernel is gone: what that left may live
    {"op": "told"}                          → {"parents": […]} for whoever wants to know
    {"op": "leave"}                         no new kernels; it ends with the last that runs have

A kernel belongs to a run for as long as the run's connection stands; after that all of it is ended.
Parents that nobody used for a while go, and the least recently used ones before they take more than
the bounds allow.
"""

import math
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runhook.runner import scratch
from runhook.runner.identity import boot_id, lives, own_identity
from runhook.runner.report import StepFailed
from runhook.runner.spec import Identity, WarmSpec
from runhook.runner.warm import messages
from runhook.runner.warm.parents import Guard, Line, Parent
from runhook.runner.warm.plan import Plan, worth_importing

IMPORT_SECONDS = 90.0
START_AGAIN_SECONDS = 60.0
ACCEPT_AGAIN_SECONDS = 0.05
ASK_SECONDS = 1.0
EMPTY_SECONDS = 60.0
LOOK_SECONDS = 5.0
MOST_DENIALS, MOST_LESSONS = 12, 5
MOST_KNOWN = 200
NEW = "no warm parent of it stands yet: this run teaches what it imports"


@dataclass
class Lesson:
    """What is known about a plan while the keeper lives."""

    plan: Plan
    modules: list[str]
    denied: set[str] = field(default_factory=set)
    count: int = 0
    hopeless: str | None = None
    hopeless_until: float = math.inf

    def refusal(self) -> str | None:
        """Why no parent of it is to be had now."""
        if time.monotonic() >= self.hopeless_until:
            self.hopeless = None
        return self.hopeless

    def give_up(self, why: str, seconds: float = math.inf) -> None:
        """Have no parent of it for so long."""
        self.hopeless, self.hopeless_until = why, time.monotonic() + seconds


@dataclass
class Guest:
    """A runner's connection, and what it has."""

    socket: socket.socket
    parent: Parent | None = None
    name: str = ""
    guard: Guard | None = None
    folders: list[str] = field(default_factory=list)


class Keeper:
    """Serves one listening socket until nothing is left to keep."""

    def __init__(self, listener: socket.socket, bounds: WarmSpec) -> None:
        self._listener = listener
        self._bounds = bounds
        self._home = home_of(bounds.socket, own_identity())
        self._inode = os.stat(bounds.socket).st_ino
        self._selector = selectors.DefaultSelector()
        self._parents: dict[str, Parent] = {}
        self._coming: dict[str, Parent] = {}  # they take the place of others that know less
        self._leaving: list[Parent] = []
        self._lessons: dict[str, Lesson] = {}
        self._guests: dict[int, Guest] = {}
        self._waiting: list[Guest] = []
        self._retired = False
        self._number = 0
        self._empty_since = time.monotonic()

    def serve(self) -> None:
        remove_homes_of_the_dead(self._bounds.socket)
        self._watch(self._listener, self._accept)
        while not self._done():
            for key, _ in self._selector.select(LOOK_SECONDS):
                if self._selector.get_map().get(key.fd) == key:  # not closed meanwhile
                    self._hear(key)
            self._tidy()
        for parent in (*self._standing(), *self._leaving):
            self._close(parent)
        shutil.rmtree(self._home, ignore_errors=True)
        with suppress(OSError):
            if os.stat(self._bounds.socket).st_ino == self._inode:  # not another keeper's
                os.unlink(self._bounds.socket)

    def _hear(self, key: selectors.SelectorKey) -> None:
        """Whatever goes wrong with one of them concerns no other."""
        try:
            key.data()
        except Exception:
            traceback.print_exc()
            with suppress(KeyError, ValueError):
                self._selector.unregister(key.fileobj)

    # whoever comes

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # too many are open, or it has gone: others are still to be heard
            time.sleep(ACCEPT_AGAIN_SECONDS)
            return
        guest = self._guests[connection.fileno()] = Guest(connection)
        self._watch(connection, lambda: self._heard(guest))

    def _heard(self, guest: Guest) -> None:
        message = messages.receive(guest.socket)
        if message is None:
            self._gone(guest)
            return
        try:
            self._obey(guest, message.body)
        except (KeyError, TypeError, ValueError, OSError) as error:
            self._answer(guest, cold=f"the keeper of warm parents failed: {error}")

    def _obey(self, guest: Guest, body: dict[str, Any]) -> None:
        match body.get("op"):
            case "take":
                self._take(guest, body["key"])
            case "show" if guest.parent and guest.guard:
                self._show(guest, guest.parent, list(body["folders"]))
            case "learn":
                self._learn(Plan.from_json(body["plan"]), body["modules"])
            case "spoiled" if guest.parent:
                self._spoil(guest.parent, body["why"])
            case "told":
                self._answer(guest, parents=[_told(each) for each in self._standing()])
            case "leave":
                self._retired = True
                for parent in self._standing():
                    self._retire(parent)
                with suppress(OSError):
                    os.unlink(self._bounds.socket)

    def _gone(self, guest: Guest) -> None:
        self._forget(guest.socket)
        self._guests.pop(guest.socket.fileno())
        guest.socket.close()
        if guest in self._waiting:
            self._waiting.remove(guest)
        if guest.parent and guest.guard:
            guest.parent.lent.discard(guest.name)
            guest.parent.end_kernel(guest.name, guest.guard, guest.folders)

    def _answer(self, guest: Guest, descriptors: tuple[int, ...] = (), **body: Any) -> bool:
        try:
            messages.send(guest.socket, descriptors, **body)
        except OSError:
            return False  # it has gone; its connection says so next
        return True

    # what it wants

    def _take(self, guest: Guest, key: str) -> None:
        lesson, parent = self._lessons.get(key), self._parents.get(key)
        if lesson and (refusal := lesson.refusal()):
            self._answer(guest, cold=refusal)
        elif parent is None:
            if lesson:
                self._start(lesson)
            self._answer(guest, cold="its warm parent is started again" if lesson else NEW)
        elif parent.state != "ready":
            self._answer(guest, cold=parent.why)
        else:
            guest.parent, parent.used_at = parent, time.monotonic()
            self._waiting.append(guest)
            self._serve_waiting(parent)

    def _serve_waiting(self, parent: Parent) -> None:
        """Give the kernels that are ready to those who wait, and have as many made as are wanted:
        one for each of them, and one ahead."""
        waiting = [each for each in self._waiting if each.parent is parent]
        ready = [line for line in parent.lines if line.connection]
        for guest, line in zip(waiting, ready, strict=False):
            self._waiting.remove(guest)
            self._give(guest, parent, line)
        left = max(0, len(waiting) - len(ready))
        try:
            while parent.state == "ready" and len(parent.lines) < left + 1:
                line = parent.fork()
                self._watch(line.socket, lambda line=line: self._line_told(parent, line))  # type: ignore[misc]
        except OSError:
            self._spoil(parent, "its warm parent has ended")

    def _give(self, guest: Guest, parent: Parent, line: Line) -> None:
        self._forget(line.socket)
        parent.lines.remove(line)
        assert line.guard
        parent.lent.add(line.name)
        guest.name, guest.guard = line.name, line.guard
        about = {"guard": line.guard.pid, "process": line.kernel, "connection": line.connection}
        self._answer(guest, (line.socket.fileno(),), kernel=about)
        line.socket.close()

    def _show(self, guest: Guest, parent: Parent, folders: list[str]) -> None:
        """From now on other kernels of the box see them, too."""
        guest.folders = folders
        try:
            parent.show(folders)
        except OSError as error:
            self._answer(guest, cold=f"its folders cannot be shown to a warm parent: {error}")
            self._spoil(parent, f"folders cannot be shown in its box: {error}", for_good=True)
        else:
            self._answer(guest, shown=True)

    def _line_told(self, parent: Parent, line: Line) -> None:
        message = messages.receive(line.socket)
        if message and line.hear(message, parent.sockets):
            if line.connection:
                self._serve_waiting(parent)
        else:
            self._forget(line.socket)
            parent.drop(line)
            self._spoil(parent, "a kernel that was forked ahead did not get ready", for_good=True)

    # parents

    def _learn(self, plan: Plan, modules: list[str]) -> None:
        if self._retired:
            return
        lesson = self._lessons.setdefault(plan.key, Lesson(plan, []))
        for key in list(self._lessons)[:-MOST_KNOWN]:
            if key != plan.key and key not in self._parents:
                del self._lessons[key]
        known = set(lesson.modules)
        new = [name for name in modules if name not in known]
        first = lesson.count == 0
        if new and lesson.count < MOST_LESSONS:
            lesson.modules += new
            lesson.count += 1
        parent = self._parents.get(plan.key)
        if parent is None or (not first and worth_importing(new, lesson.denied)):
            self._start(lesson)

    def _start(self, lesson: Lesson) -> None:
        """Have a parent of this plan; where there is one, another that will take its place."""
        key = lesson.plan.key
        if lesson.refusal() or key in self._coming:
            return
        place = self._coming if key in self._parents else self._parents
        while place is self._parents and len(place) >= max(1, self._bounds.parents):
            self._retire(min(place.values(), key=lambda each: each.used_at))
        self._number += 1
        folder = self._home / str(self._number)
        parent = Parent(lesson.plan, list(lesson.modules), lesson.denied, folder)
        try:
            parent.start()
        except (OSError, StepFailed, subprocess.SubprocessError) as error:
            lesson.give_up(f"its warm parent cannot be started: {error}", START_AGAIN_SECONDS)
            return
        place[key] = parent
        self._watch(parent.control, lambda: self._parent_told(parent))

    def _parent_told(self, parent: Parent) -> None:
        message = messages.receive(parent.control)
        if message is None:
            self._forget(parent.control)  # its kernels may live on, and with them this object
            self._deny(parent, parent.at, f"its warm parent ended while it imported {parent.at}")
            return
        match message.body:
            case {"importing": str(name)}:
                parent.at = name
            case {"denied": str(name), "why": str(why)}:
                self._deny(parent, name, f"{name} {why}")
            case {"failed": str(why)} | {"refused": str(why)}:
                self._spoil(parent, why, for_good=True)
            case {"ready": _}:
                parent.pid, parent.at = message.pid, ""
                parent.state, parent.why = "ready", ""
                if self._coming.get(parent.plan.key) is parent:
                    self._retire(self._parents[parent.plan.key])  # which moves this one up
                self._serve_waiting(parent)

    def _deny(self, parent: Parent, name: str, why: str) -> None:
        """Begin again without a module, or not at all."""
        lesson = self._lessons.setdefault(parent.plan.key, Lesson(parent.plan, parent.modules))
        self._retire(parent)
        if parent.state == "ready" or not name:
            return  # it has died later: the next run has it started again
        lesson.denied.add(name.partition(".")[0])
        if len(lesson.denied) > MOST_DENIALS:
            lesson.give_up(f"too many of its modules cannot be imported ahead: {why}")
        self._start(lesson)

    def _spoil(self, parent: Parent, why: str, *, for_good: bool = False) -> None:
        """No kernel of it is given any more; those who wait are told."""
        if for_good and parent.plan.key in self._lessons:
            self._lessons[parent.plan.key].give_up(why)
        parent.state, parent.why = "spoiled", why
        self._retire(parent)

    def _retire(self, parent: Parent) -> None:
        for place in (self._parents, self._coming):
            if place.get(parent.plan.key) is parent:
                del place[parent.plan.key]
        if parent.plan.key in self._coming and parent.plan.key not in self._parents:
            self._parents[parent.plan.key] = self._coming.pop(parent.plan.key)
        if parent in self._leaving:
            return
        for guest in [each for each in self._waiting if each.parent is parent]:
            self._waiting.remove(guest)
            self._answer(guest, cold=parent.why or "its warm parent has just been given up")
        self._leaving.append(parent)

    def _standing(self) -> list[Parent]:
        return [*self._parents.values(), *self._coming.values()]

    def _close(self, parent: Parent) -> None:
        for line in parent.lines:
            self._forget(line.socket)
        self._forget(parent.control)
        parent.close()

    def _tidy(self) -> None:
        now = time.monotonic()
        for parent in self._standing():
            importing = parent.state == "importing" and now - parent.began_at > IMPORT_SECONDS
            if importing:
                self._deny(parent, parent.at, f"{parent.at} takes too long to import")
            elif not parent.lent and now - parent.used_at > self._bounds.idle:
                self._retire(parent)
        self._make_room()
        for parent in [each for each in self._leaving if not each.lent]:
            self._leaving.remove(parent)
            self._close(parent)

    _looked_at = 0.0

    def _make_room(self) -> None:
        """Retire the least recently used while all together take too much."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        sizes = {key: each.memory() for key, each in self._parents.items()}
        for key in sorted(sizes, key=lambda each: self._parents[each].used_at):
            if sum(sizes.values()) <= self._bounds.memory:
                return
            if sizes[key] > self._bounds.memory:
                room, taken = self._bounds.memory / 1e6, sizes[key] / 1e6
                why = f"its warm parent takes {taken:.0f} MB, more than warm.memory: {room:.0f} MB"
                lesson = self._lessons.get(key)
                if lesson:
                    lesson.give_up(why)
            self._retire(self._parents[key])
            del sizes[key]

    def _done(self) -> bool:
        if self._parents or self._leaving or self._guests:
            self._empty_since = time.monotonic()
            if not self._retired:
                return False
            return not any(each.lent for each in (*self._parents.values(), *self._leaving))
        return self._retired or time.monotonic() - self._empty_since > EMPTY_SECONDS

    # sockets

    def _watch(self, source: socket.socket, heard: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, heard)

    def _forget(self, source: socket.socket) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(source)


def _told(parent: Parent) -> dict[str, Any]:
    return {
        "key": parent.plan.key,
        "state": parent.state,
        "process": parent.pid,
        "memory": parent.memory(),
        "modules": len(parent.modules),
        "denied": sorted(parent.denied),
        "spare": sum(1 for line in parent.lines if line.connection),
        "lent": len(parent.lent),
    }


def home_of(address: str, keeper: Identity) -> Path:
    """Where the folders of a keeper's parents stand. An earlier keeper at this address may live on
    for runs that have kernels of it: each has a place of its own."""
    return Path(f"{Path(address).with_suffix('')}-{keeper.pid}-{keeper.start_time}")


def remove_homes_of_the_dead(address: str) -> None:
    """Remove the folders of keepers that were killed."""
    boot, base = boot_id(), Path(address).with_suffix("")
    for home in base.parent.glob(f"{base.name}-*-*"):
        pid, _, start_time = home.name.removeprefix(f"{base.name}-").partition("-")
        named = pid.isdecimal() and start_time.isdecimal()
        if named and not lives(Identity(boot, int(pid), int(start_time))):
            scratch.remove_tree(home)


def ensure(bounds: WarmSpec, in_fork: Callable[[], None]) -> None:
    """Have a keeper serve, unless one does; one that is too busy to answer is not waited for.
    Called by a process with a single thread; `in_fork` lets go of what is that process's alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asks:
        asks.settimeout(ASK_SECONDS)
        try:
            asks.connect(bounds.socket)
        except (TimeoutError, BlockingIOError):
            return  # its queue is full; the next attempt asks again
        except OSError:
            pass
        else:
            return
    with suppress(FileNotFoundError):
        os.unlink(bounds.socket)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(bounds.socket)
        listener.listen(256)
        if os.fork() == 0:
            _become_keeper(listener, bounds, in_fork)


def _become_keeper(listener: socket.socket, bounds: WarmSpec, in_fork: Callable[[], None]) -> None:
    status = 1
    try:
        os.setsid()
        in_fork()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.umask(0o022)
        Keeper(listener, bounds).serve()
        status = 0
    finally:
        os._exit(status)


def dismiss(address: str) -> None:
    """Have the keeper there, if any, give no more kernels, and end with the last that runs have."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asks, suppress(OSError):
        asks.connect(address)
        messages.send(asks, op="leave")


def told(address: str) -> list[dict[str, Any]]:
    """What the keeper there says about its parents; nothing if there is no keeper."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asks:
        try:
            asks.connect(address)
        except OSError:
            return []
        messages.send(asks, op="told")
        answer = messages.receive(asks)
    return list(answer.body["parents"]) if answer else []
