"""The C of an instrument whose models may be replaced while it is flashed (``engine/slots``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firmware.compiler.slots.part import Part, numbers_of, shape_of

if TYPE_CHECKING:
    from hardware.board import Board

SIGNATURE_BYTES = 16
"""PORT_SIGNATURE_BYTES of the engine."""
NAME = "instrument_part"
SIGNATURE = "MODEL_SIGNATURE"
SLOT_CALLS = (
    "    const bool moves = model_slots_move(&model_slots);\n"
    "    if (moves && !model_slots_play(&model_slots, block)) {\n        return;\n    }\n",
    "    if (moves) {\n        model_slots_fade(&model_slots, block);\n    }\n",
    "    if (!model_slots_still(&model_slots)) {\n"
    "        (void)store(storage); /* what the panel would forget */\n    }\n"
    "    const bool swapped = model_slots_swap(&model_slots);\n"
    "    if (swapped) {\n        start_again();\n    }\n",
    "    if (swapped) {\n        model_slots_return(&model_slots, storage);\n    }\n"
    "    model_preset_idle(&model_slots, &panel, storage);\n",
)
"""Before and behind what is rendered; before and behind what is stored."""
NO_MODELS = '"this image holds no models beside its own"'
CONSTANT = "#define MODEL_NUMBERS static const"
NO_SLOTS = f"""#define NO_MODELS {NO_MODELS}

void instrument_load(const PortStorage *storage)
{{
    (void)storage;
}}

void instrument_models(PortModels *models)
{{
    *models = (PortModels){{0}};
}}

bool instrument_model(const PortStorage *storage, uint8_t slot, PortModel *model)
{{
    (void)storage, (void)slot, (void)model;
    return false;
}}

const char *instrument_model_begin(const PortStorage *storage, uint8_t slot, const void *head, size_t bytes)
{{
    (void)storage, (void)slot, (void)head, (void)bytes;
    return NO_MODELS;
}}

const char *instrument_model_data(const PortStorage *storage, uint32_t at, const uint8_t *data, size_t count)
{{
    (void)storage, (void)at, (void)data, (void)count;
    return NO_MODELS;
}}

const char *instrument_model_commit(const PortStorage *storage)
{{
    (void)storage;
    return NO_MODELS;
}}

const char *instrument_model_use(const PortStorage *storage, uint8_t slot)
{{
    (void)storage, (void)slot;
    return NO_MODELS;
}}

const char *instrument_model_morph(const PortStorage *storage, uint8_t slot)
{{
    (void)storage, (void)slot;
    return NO_MODELS;
}}

const char *instrument_model_erase(const PortStorage *storage, uint8_t slot)
{{
    (void)storage, (void)slot;
    return NO_MODELS;
}}
"""
VERBS = """static void start_again(void)
{
    const ModelPreset kept = model_preset_before(&model_slots, &panel);
    instrument_init(info.sample_rate_hz);
    instrument_reset();
    model_preset_again(kept, &panel);
}

void instrument_load(const PortStorage *storage)
{
    model_slots.spec = &model_slots_spec;
    model_slots_load(&model_slots, storage);
}

void instrument_models(PortModels *models)
{
    model_slots_info(&model_slots, models);
}

bool instrument_model(const PortStorage *storage, uint8_t slot, PortModel *model)
{
    return model_slots_slot(&model_slots, storage, slot, model);
}

const char *instrument_model_begin(const PortStorage *storage, uint8_t slot, const void *head, size_t bytes)
{
    return model_slots_begin(&model_slots, storage, slot, head, bytes);
}

const char *instrument_model_data(const PortStorage *storage, uint32_t at, const uint8_t *data, size_t count)
{
    return model_slots_data(&model_slots, storage, at, data, count);
}

const char *instrument_model_commit(const PortStorage *storage)
{
    return model_slots_commit(&model_slots, storage);
}

const char *instrument_model_use(const PortStorage *storage, uint8_t slot)
{
    return model_slots_use(&model_slots, storage, slot);
}

const char *instrument_model_morph(const PortStorage *storage, uint8_t slot)
{
    return model_slots_morph(&model_slots, storage, slot);
}

const char *instrument_model_erase(const PortStorage *storage, uint8_t slot)
{
    return model_slots_erase(&model_slots, storage, slot);
}
"""


@dataclass(frozen=True)
class Slotted:
    """What a slot may replace of an instrument.

    Attributes
    ----------
    signature : bytes
        Of all generated C but the numbers: equal where one's numbers may lie where the other's lay.
    parts : sequence of Part
    """

    signature: bytes
    parts: Sequence[Part]

    @property
    def payload(self) -> bytes:
        """The numbers, as a slot has them."""
        return b"".join(part.payload for part in self.parts)


def slot_head() -> str:
    """What stands before all numbers."""
    return """#include "slots/preset.h"
#include "slots/slots.h"

/* What a slot may replace: on a module it lies where constants lie, in memory that can be written. */
#if defined(__arm__)
#define MODEL_NUMBERS __attribute__((section(".axi.model_numbers"))) static
#define MODEL_SLOW __attribute__((section(".sdram_bss.models"))) static
#else
#define MODEL_NUMBERS static
#define MODEL_SLOW static
#endif"""


def with_slots(
    source: str, board: Board, target: str, nets: Sequence[Part], kinds: Mapping[str, str], blends: bool
) -> tuple[str, Slotted]:
    """Make an instrument's source one whose models may be replaced.

    Parameters
    ----------
    source : str
        All of it but what this adds.
    target : str
        Of the compiler; how numbers are laid out depends on it.
    nets : sequence of Part
        Of its compiled models.
    kinds : mapping of place to kind of check
        Of its own numbers.
    blends : bool
        Whether two models are blended.
    """
    text, own = numbers_of(source, NAME, kinds)
    at = text.index("const PortInfo *instrument_info(void)")
    size = sum(len(part.payload) for part in (*nets, own))
    names = ", ".join(f"&{part.name}" for part in (*nets, own))
    pair = " .first = model_first, .second = model_second," if blends else ""
    both = ("model_first", "model_second") if blends else ()
    buffers = "".join(f"MODEL_SLOW _Alignas(8) uint8_t {name}[{size}];\n" for name in both)
    before = f"""{own.declaration()}
MODEL_SLOW _Alignas(8) uint8_t model_built_in[{size}];
MODEL_SLOW _Alignas(8) uint8_t model_staged[{size}];
{buffers}static const ModelPart *const model_parts[] = {{{names}}};
static const ModelSlotsSpec model_slots_spec = {{
    .board = "{board.name}", .target = "{target}",
    .signature = {{{SIGNATURE}}},
    .audios = {board.audio.outputs}, .cvs = {len(board.dacs)},
    .parts = {len(nets) + 1}, .bytes = {size}, .part = model_parts,
    .built_in = model_built_in, .staged = model_staged,{pair}
}};
static ModelSlots model_slots = {{
    .spec = &model_slots_spec, .gain = MODEL_FADE_TICKS, .pair = PORT_NO_MODEL,
}};

"""
    whole = f"{text[:at]}{before}{VERBS}\n{text[at:]}"
    shapes = [part.shape for part in nets] + [shape_of(whole)]
    signature = hashlib.sha256("\0".join(shapes).encode()).digest()[:SIGNATURE_BYTES]
    bytes_ = ", ".join(f"0x{byte:02x}" for byte in signature)
    return whole.replace(SIGNATURE, bytes_), Slotted(signature, [*nets, own])
