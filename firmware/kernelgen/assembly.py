"""Assembly for a Cortex-M7 by cycles: registers by name, arguments as one array on the stack."""

from __future__ import annotations

from dataclasses import dataclass, field

LINE, AHEAD = 32, 96
"""Bytes of a cache line, and how far ahead a line is asked for: more than a fill of SRAM takes."""

UNITS = 12
"""Units of four taps in a turn of a convolution's loop; three taps of 16 channels fill one."""


@dataclass
class Assembly:
    """Lines of one function; names of virtual registers become real ones when written."""

    name: str
    registers: dict[str, str]
    arguments: tuple[str, ...]
    lines: list[str] = field(default_factory=list)

    SAVED = "{r4-r11, lr}"
    SAVED_BYTES = 36

    def slot(self, name: str) -> str:
        """Where an argument lies: the first four are pushed below the caller's, so all are one array."""
        return f"[sp, #{self.SAVED_BYTES + 4 * self.arguments.index(name)}]"

    def cycle(self, *instructions: str) -> None:
        """Add what is meant to issue together, older first."""
        self.lines.append("    " + "; ".join(self._named(i) for i in instructions))

    def label(self, name: str, *, align: bool = False) -> None:
        """Add a label; loops begin on the 8 bytes that one fetch brings."""
        if align:
            self.lines.append("    .balign 8")
        self.lines.append(f".L{name}_{self.name}:")

    def note(self, text: str) -> None:
        """Add a comment."""
        self.lines.append(f"    /* {text} */")

    def _named(self, instruction: str) -> str:
        words = []
        if instruction.startswith("b") and instruction != "bx lr":
            return f"{instruction.replace(' ', ' .L')}_{self.name}"
        for word in instruction.replace(",", " , ").replace("[", "[ ").replace("]", " ]").split(" "):
            words.append(self.registers.get(word, word))
        text = " ".join(w for w in words if w)
        return text.replace(" , ", ", ").replace("[ ", "[").replace(" ]", "]")

    def text(self) -> str:
        """Return the function as it stands in the file."""
        used = ", ".join(f"{k} {v}" for k, v in self.registers.items())
        return "\n".join(
            [
                f'    .section .text.{self.name}, "ax", %progbits',
                "    .balign 8",
                f"    .global {self.name}",
                f"    .type {self.name}, %function",
                "    .thumb_func",
                f"/* {used} */",
                f"{self.name}:",
                *self.lines,
                f"    .size {self.name}, . - {self.name}",
                "",
            ]
        )


def enter(a: Assembly) -> None:
    """Put the register arguments below the caller's stack arguments and save what is kept."""
    a.cycle("push {r0-r3}")
    a.cycle(f"push {a.SAVED}")


def leave(a: Assembly) -> None:
    """Undo `enter`."""
    a.cycle(f"pop {a.SAVED}")
    a.cycle("add sp, sp, #16")
    a.cycle("bx lr")


FAR = 0x20020000
"""Where the tightly coupled memories of an STM32H7 end: what lies above comes through the cache."""


def begin(a: Assembly, *, far: bool) -> None:
    """Enter a convolution, whose first two arguments are weights and requantization.

    The one for near weights goes on to its twin for far ones where it must, which asks for the first lines.
    """
    if not far:
        a.cycle(f"movw r12, #{(FAR - 1) & 0xFFFF}")
        a.cycle(f"movt r12, #{(FAR - 1) >> 16}")
        a.cycle("cmp r0, r12")
        a.cycle("bls near")
        # a conditional branch would want a relocation that the disting NT's loader does not know
        a.lines.append(f"    b.w {a.name}_far")
        a.label("near")
    enter(a)
    if not far:
        return
    for line in range(0, AHEAD, LINE):
        a.cycle(f"pld [r0, #{line}]", f"pld [r1, #{line + 4}]")


def next_lines(pointer: str) -> tuple[str, str]:
    """Ask for two lines ahead in one cycle: addresses on different banks."""
    return f"pld [{pointer}, #{AHEAD}]", f"pld [{pointer}, #{AHEAD + LINE + 4}]"


def find_entry(a: Assembly, over: str, table: str) -> None:
    """Turn the slot "over" into the address of the unit that leaves whole turns of a loop, once a call.

    Parameters
    ----------
    over, table : str
        Two registers that are lost.
    """
    a.cycle(f"ldr {over}, {a.slot('over')}", f"adr {table}, .Lentries_{a.name}")
    a.cycle(f"ldr {over}, [{table}, {over}, lsl #2]")
    a.cycle(f"add {over}, {over}, {table}")
    a.cycle(f"str {over}, {a.slot('over')}")


def entries(a: Assembly) -> None:
    """Lay down the table of `find_entry` behind the code: offsets of Thumb code, wherever it is linked."""
    a.lines.append("    .balign 4")
    a.lines.append(f".Lentries_{a.name}:")
    for over in range(UNITS):
        unit = (UNITS - over) % UNITS
        a.lines.append(f"    .word .Lunit{unit}_{a.name} - .Lentries_{a.name} + 1")


def enter_loop(a: Assembly) -> None:
    """Jump to where `find_entry` said."""
    a.cycle(f"ldr pc, {a.slot('over')}")
