"""The hub: whatever a source says goes by the rules to whoever takes it."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from firmware.bridge.mapping import Mapping, Rule
from firmware.play.live.outbox import Outbox

STEP_S = 0.005
"""Of a glide."""
ARRIVED = 1e-4
"""A glide that is so near is there."""
GATE_ABOVE, BACK = 0.5, 0.05
"""Where a gate rises, and how far below that it falls again."""


class _Route:
    """A rule and what it remembers: where it glides, and whether its source is up."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.now: float | None = None
        self.goal = 0.0
        self.up = False

    def moves(self, value: float) -> float | None:
        """What the target is told at once; None for nothing, or nothing yet."""
        rule = self.rule
        if rule.manner == "level":
            self.goal = rule.curve(value)
            if rule.smoothing_s == 0.0 or self.now is None:
                self.now = self.goal
                return self.goal
            return None
        if rule.manner == "gate" or rule.above is not None:
            threshold = GATE_ABOVE if rule.above is None else rule.above
            was, self.up = self.up, value > (threshold - BACK if self.up else threshold)
            if was == self.up:
                return None
            if not self.up:
                return 0.0 if rule.manner in ("gate", "note") else None
            return self._happens(1.0 if rule.manner == "gate" else value)
        if value <= 0.0:
            return 0.0 if rule.manner == "note" else None
        return self._happens(value)

    def _happens(self, value: float) -> float:
        if self.rule.value is not None:
            return self.rule.value
        return 1.0 if self.rule.manner in ("gate", "pulse") else min(1.0, max(0.0, self.rule.curve(value)))

    def glide(self, seconds: float) -> float | None:
        """Go on towards the goal; None once it was reached."""
        if self.now is None or self.now == self.goal:
            return None
        self.now += (self.goal - self.now) * -math.expm1(-seconds / self.rule.smoothing_s)
        if abs(self.goal - self.now) < ARRIVED:
            self.now = self.goal
        return self.now


class Hub:
    """Takes values from any thread and lays moves into the outboxes of those who take them.

    A context manager: glides run while it is open.

    Attributes
    ----------
    messages : int
        What came in, by rules or as it is.
    lost : int
        Values that were no finite number.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.through = mapping.through
        self.messages = 0
        self.lost = 0
        self._routes: dict[str, list[_Route]] = defaultdict(list)
        for rule in mapping.rules:
            self._routes[rule.source].append(_Route(rule))
        self._takers: list[tuple[Callable[[str], bool], Outbox]] = []
        self._gliding: set[_Route] = set()
        self._change = threading.Condition()
        self._ended = False

    def outbox(self, takes: Callable[[str], bool]) -> Outbox:
        """Return a new outbox for all targets that `takes` says yes to."""
        box = Outbox()
        self._takers.append((takes, box))
        return box

    def names(self, source: str) -> bool:
        """Whether a rule begins at this source."""
        return source in self._routes

    def receive(self, source: str, value: float) -> bool:
        """Take what a source says; False where no rule names it."""
        routes = self._routes.get(source)
        if routes is None:
            return False
        if not math.isfinite(value):
            self.lost += 1
            return True
        with self._change:
            self.messages += 1
            for route in routes:
                told = route.moves(value)
                if told is not None:
                    self._lay(route.rule.target, told)
                elif route.rule.manner == "level":
                    self._gliding.add(route)
                    self._change.notify()
        return True

    def put(self, target: str, value: float) -> bool:
        """Move a target as it is; False where there was no room."""
        with self._change:
            self.messages += 1
            return self._lay(target, value)

    def _lay(self, target: str, value: float) -> bool:
        return all([box.put(target, value) for takes, box in self._takers if takes(target)])

    def _glide(self) -> None:
        last = time.monotonic()
        with self._change:
            while not self._ended:
                if not self._gliding:
                    self._change.wait()
                    last = time.monotonic()
                    continue
                self._change.wait(STEP_S)
                now = time.monotonic()
                for route in list(self._gliding):
                    told = route.glide(now - last)
                    if told is None:
                        self._gliding.discard(route)
                    else:
                        self._lay(route.rule.target, told)
                last = now

    def __enter__(self) -> Hub:
        """Let levels glide."""
        self._thread = threading.Thread(target=self._glide, name="glides", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        with self._change:
            self._ended = True
            self._change.notify()
        self._thread.join()
