// The same as kernel_driver.c, for WebAssembly: node kernel_driver.mjs MODULE NAMES. A request is the length of calls
// and calls, an answer the length of buffers and buffers; every request gets a new instance. It ends with its input.
import { readFileSync, readSync, writeSync } from "node:fs";

const [module, ...names] = process.argv.slice(2);
const compiled = new WebAssembly.Module(readFileSync(module));

function read(bytes) {
    const got = Buffer.alloc(bytes);
    for (let at = 0; at < bytes;) {
        const more = readSync(0, got, at, bytes - at);
        if (more === 0) process.exit(0);
        at += more;
    }
    return got;
}

function write(all) {
    for (let done = 0; done < all.length;) {
        try {
            done += writeSync(1, all, done);
        } catch (error) {
            if (error.code !== "EAGAIN") throw error;
        }
    }
}

function answer(input) {
    const wasm = new WebAssembly.Instance(compiled).exports;
    let at = 0;
    const word = () => { const w = input.readUInt32LE(at); at += 4; return w; };
    const out = [];
    for (let calls = word(); calls; calls--) {
        const name = names[word()];
        let top = (wasm.__heap_base.value + 63) & ~63;
        const buffers = [];
        for (let n = word(); n; n--) {
            const bytes = word();
            const need = top + bytes + 65536;
            if (need > wasm.memory.buffer.byteLength) {
                wasm.memory.grow(Math.ceil((need - wasm.memory.buffer.byteLength) / 65536));
            }
            new Uint8Array(wasm.memory.buffer).set(input.subarray(at, at + bytes), top);
            at += bytes;
            buffers.push([top, bytes]);
            top = (top + bytes + 31) & ~15;
        }
        const view = new DataView(wasm.memory.buffer);
        for (let n = word(); n; n--) {
            const b = word(), offset = word(), target = word();
            const place = buffers[b][0] + offset; // what stands there is added: a pointer into the buffer
            view.setUint32(place, view.getUint32(place, true) + buffers[target][0], true);
        }
        const floats = word(), args = [input.readFloatLE(at), input.readFloatLE(at + 4)].slice(0, floats);
        at += 8;
        for (let n = word(); n; n--) {
            const pointer = word(), value = word(), offset = word();
            args.push(pointer ? buffers[value][0] + offset : value | 0);
        }
        wasm[name](...args);
        for (const [start, bytes] of buffers) {
            out.push(Buffer.from(wasm.memory.buffer.slice(start, start + bytes)));
        }
    }
    return Buffer.concat(out);
}

for (;;) {
    const made = answer(read(read(4).readUInt32LE()));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(made.length);
    write(length);
    write(made);
}
