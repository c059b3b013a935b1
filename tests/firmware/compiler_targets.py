"""Run one compiled model on every processor: host, emulated Cortex-M7, aarch64 under qemu, wasm in node.

The same generated driver feeds the same blocks everywhere; outputs come back as float32.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np

from firmware import toolchain
from firmware.compiler.pipeline import compile_onnx

DRIVER_MJS = Path(__file__).with_name("compiler_driver.mjs")


def driver_source(name: str, ports: list[dict], frames: dict[str, int], calls: int) -> tuple[str, int, int]:
    """A C file that feeds a model from static arrays; also the number of input and output floats."""
    ins = [p for p in ports if p["direction"] == "input"]
    outs = [p for p in ports if p["direction"] == "output"]
    offsets, sizes = {}, []
    for group in (ins, outs):
        at = 0
        for port in group:
            offsets[port["name"]] = at
            at += port["channels"] * frames[port["label"]]
        sizes.append(max(1, at))

    def members(group: list[dict], array: str, counter: str) -> str:
        return ", ".join(
            f"{array} + {offsets[p['name']]} + {counter}[{i}], {frames[p['label']]}"
            for i, p in enumerate(group)
        )

    steps = "".join(f"        a[{i}] += {name}_frames_due(&state, ticks, {i}); \n" for i in range(len(ins)))
    out_steps = "".join(
        f"        b[{i}] += {name}_frames_out(&state, ticks, {i});\n" for i in range(len(outs))
    )
    text = f"""#include "{name}.h"
static float in_floats[{sizes[0]}], out_floats[{sizes[1]}];
static uint32_t calls[{calls}];
static {name}_state state;
float *drive_in(void); float *drive_out(void); uint32_t *drive_calls(void); void drive(uint32_t count);
float *drive_in(void) {{ return in_floats; }}
float *drive_out(void) {{ return out_floats; }}
uint32_t *drive_calls(void) {{ return calls; }}
void drive(uint32_t count) {{
    size_t a[{max(1, len(ins))}] = {{0}}, b[{max(1, len(outs))}] = {{0}};
    {name}_reset(&state);
    for (uint32_t i = 0; i < count; i++) {{
        const size_t ticks = calls[i];
        const {name}_inputs in = {{{members(ins, "in_floats", "a")}}};
        const {name}_outputs out = {{{members(outs, "out_floats", "b")}}};
{steps}{out_steps}        {name}_process(&state, ticks, &in, &out);
    }}
}}
#ifdef WITH_MAIN
#include <stdio.h>
int main(void) {{
    if (fread(in_floats, 4, {sizes[0]}, stdin) != {sizes[0]}) return 1;
    const size_t count = fread(calls, 4, {calls}, stdin);
    drive((uint32_t)count);
    return fwrite(out_floats, 4, {sizes[1]}, stdout) == {sizes[1]} ? 0 : 1;
}}
#endif
"""
    return text, *sizes


def run_on(
    target: str, source, feeds: dict[str, np.ndarray], blocks: list[int], **options
) -> dict[str, np.ndarray]:
    """Compile a model for a target, build it, run it there.

    Parameters
    ----------
    target : str
        host, host-asan, m7, aarch64 or wasm.
    source : path or ModelProto
    feeds : mapping of input label to ndarray [1, channels, frames]
    blocks : list of int
        Ticks of every call.

    Returns
    -------
    dict of output label to float32 ndarray [channels, frames]
    """
    program = compile_onnx(source, "host" if target == "host-asan" else target, **options)
    ports = program.report["ports"]
    ticks = sum(blocks)
    frames = {p["label"]: -(-ticks // p["period_ticks"]) for p in ports}
    text, count_in, count_out = driver_source(program.name, ports, frames, len(blocks))
    key = hashlib.sha256((program.source + program.header + text + target).encode()).hexdigest()[:24]
    folder = toolchain.cache_dir() / "models" / key
    program.write(folder)
    driver = folder / "driver.c"
    driver.write_text(text)
    flat = [
        np.asarray(feeds[p["label"]], np.float32)[0][:, : frames[p["label"]]]
        for p in ports
        if p["direction"] == "input"
    ]
    fed = np.concatenate([f.reshape(-1) for f in flat])
    assert fed.size == count_in
    raw = _run(target, folder, program.name, fed, np.array(blocks, np.uint32), count_out)
    results, at = {}, 0
    for port in ports:
        if port["direction"] == "output":
            size = port["channels"] * frames[port["label"]]
            results[port["label"]] = raw[at : at + size].reshape(port["channels"], -1)
            at += size
    return results


def _run(
    target: str, folder: Path, name: str, fed: np.ndarray, blocks: np.ndarray, count_out: int
) -> np.ndarray:
    sources = [folder / f"{name}.c", folder / "driver.c", *toolchain.kernel_sources(target)]
    if target == "m7":
        return _run_m7(folder, sources, fed, blocks, count_out)
    if target == "wasm":
        module = toolchain.link_shared(sources, target, folder / f"{name}.wasm")
        command = ["node", str(DRIVER_MJS), str(module), str(fed.size), str(blocks.size), str(count_out)]
    else:
        objects = [
            toolchain.compile_source(s, target, extra=("-DWITH_MAIN",) if s.name == "driver.c" else ())
            for s in sources
        ]
        program = toolchain.link_objects(objects, target, folder / f"{name}.{target}")
        command = toolchain.run_command(target, program)
    done = subprocess.run(command, input=fed.tobytes() + blocks.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return np.frombuffer(done.stdout, np.float32)


def _run_m7(
    folder: Path, sources: list[Path], fed: np.ndarray, blocks: np.ndarray, count_out: int
) -> np.ndarray:
    from bench.m7.elf import read_elf
    from bench.m7.emulator import Machine
    from bench.m7.link import Placement, link
    from hardware.board import load_board

    board = load_board("patch_sm")
    objects = [toolchain.compile_source(s, "m7") for s in sources]
    image = link(
        objects,
        board,
        folder / "image.elf",
        placement=Placement(data="sdram"),
        entry="drive",
        keep=("drive_in", "drive_out", "drive_calls"),
    )
    machine = Machine(read_elf(image), board)
    machine.write(machine.call("drive_in").value, fed)
    machine.write(machine.call("drive_calls").value, blocks)
    machine.call("drive", int(blocks.size))
    return machine.read_array(machine.call("drive_out").value, np.float32, count_out)
