// Writes an image into a Daisy over WebUSB: DFU 1.1 with the commands that ST adds (AN3156), as dfu-util does.

const DFU = {
  DNLOAD: 1, GET_STATUS: 3, CLEAR_STATUS: 4, ABORT: 6,
  SET_ADDRESS: 0x21, ERASE: 0x41,
  IDLE: 2, BUSY: 4, LOADS: 5, ERROR: 10,
};
const BOOTLOADER = {vendorId: 0x0483, productId: 0xdf11};
const STATUSES = {3: "it could not write", 4: "it could not erase", 8: "the address is not in its flash", 11: "the command is not known there"};
const LEAST_TRANSFER = 1024, PATIENCE_MS = 30000;

// What is said to whoever stands before the page; anything else is a slip of this program.
class Refusal extends Error {}

// "@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg": sectors in order, and whether each can be erased and written.
function sectorsOf(name) {
  const [, ...parts] = name.split("/"), sectors = [];
  for (let at = 0; at + 1 < parts.length; at += 2) {
    let begin = Number(parts[at].trim());
    for (const run of parts[at + 1].split(",")) {
      const found = /^\s*(\d+)\*(\d+)\s*([KMB ]?)([a-g])/i.exec(run);
      if (!found) continue;
      const bytes = Number(found[2]) * ({K: 1024, M: 1 << 20}[found[3].toUpperCase()] || 1);
      const kind = found[4].toLowerCase().charCodeAt(0) - 96;
      for (let count = 0; count < Number(found[1]); ++count, begin += bytes) sectors.push({begin, end: begin + bytes, writable: (kind & 6) === 6});
    }
  }
  return sectors;
}

class Bootloader {
  constructor(device) {
    this.device = device;
  }

  // The alternate setting 0 of its DFU interface.
  async open() {
    try {
      await this.device.open();
      if (!this.device.configuration) await this.device.selectConfiguration(1);
      const found = this.device.configuration.interfaces.flatMap((one) => one.alternates.map((alternate) => ({number: one.interfaceNumber, alternate})))
        .filter(({alternate}) => alternate.interfaceClass === 0xfe && alternate.interfaceSubclass === 1)
        .sort((a, b) => a.alternate.alternateSetting - b.alternate.alternateSetting)[0];
      if (!found) throw new Refusal("this device has no DFU interface; choose the module.");
      this.number = found.number;
      this.name = found.alternate.interfaceName || "";
      await this.device.claimInterface(this.number);
      await this.device.selectAlternateInterface(this.number, found.alternate.alternateSetting);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal(`the bootloader could not be opened (${error.message}); close every other program that uses it. On Windows give it WinUSB with Zadig, on Linux write the udev rule of \`vaectrol doctor\`.`);
    }
    this.transfer = await this.transferBytes();
  }

  // Of its functional descriptor.
  async transferBytes() {
    try {
      const {data} = await this.device.controlTransferIn({requestType: "standard", recipient: "device", request: 6, value: 0x0200, index: 0}, 255);
      for (let at = 0; at + 9 <= data.byteLength && data.getUint8(at) > 0; at += data.getUint8(at)) {
        if (data.getUint8(at + 1) === 0x21) return data.getUint16(at + 5, true) || LEAST_TRANSFER;
      }
    } catch {
      // some systems keep descriptors to themselves
    }
    return LEAST_TRANSFER;
  }

  request(request, value) {
    return {requestType: "class", recipient: "interface", request, value, index: this.number};
  }

  async status() {
    const {data} = await this.device.controlTransferIn(this.request(DFU.GET_STATUS, 0), 6);
    return {status: data.getUint8(0), wait: data.getUint8(1) | data.getUint8(2) << 8 | data.getUint8(3) << 16, state: data.getUint8(4)};
  }

  // Whatever it was in, it is idle then.
  async settle() {
    for (let turn = 0; turn < 4; ++turn) {
      const {state} = await this.status();
      if (state === DFU.IDLE) return;
      await this.device.controlTransferOut(this.request(state === DFU.ERROR ? DFU.CLEAR_STATUS : DFU.ABORT, 0));
    }
    throw new Refusal("the bootloader does not come to rest; tap RESET and try again.");
  }

  // One block, or with block 0 a command; back when it is done.
  async download(block, bytes) {
    await this.device.controlTransferOut(this.request(DFU.DNLOAD, block), bytes);
    for (const until = Date.now() + PATIENCE_MS; Date.now() < until;) {
      const {status, wait, state} = await this.status();
      if (state === DFU.LOADS) return;
      if (state !== DFU.BUSY) throw new Refusal(`the bootloader refused: ${STATUSES[status] || `status ${status}, state ${state}`}.`);
      await new Promise((done) => setTimeout(done, wait));
    }
    throw new Refusal("the bootloader was busy for half a minute; tap RESET and try again.");
  }

  command(code, address) {
    const bytes = new Uint8Array(5), view = new DataView(bytes.buffer);
    bytes[0] = code;
    view.setUint32(1, address, true);
    return this.download(0, bytes);
  }

  async write(address, bytes, tell) {
    const sectors = sectorsOf(this.name).filter(({begin, end}) => begin < address + bytes.length && end > address);
    const covered = sectors.reduce((at, {begin, end, writable}) => writable && begin <= at && end > at ? end : at, address);
    if (covered < address + bytes.length) throw new Refusal(`this bootloader cannot write 0x${address.toString(16)}: it has ${this.name || "no name"}.`);
    await this.settle();
    for (const [count, {begin}] of sectors.entries()) {
      await this.command(DFU.ERASE, begin);
      tell("Erased", (count + 1) / sectors.length);
    }
    for (let at = 0; at < bytes.length; at += this.transfer) {
      await this.command(DFU.SET_ADDRESS, address + at);
      await this.download(2, bytes.slice(at, at + this.transfer));
      tell("Written", Math.min(1, (at + this.transfer) / bytes.length));
    }
  }

  // It starts what was written, and is gone before it can answer.
  async leave(address) {
    await this.command(DFU.SET_ADDRESS, address);
    try {
      await this.device.controlTransferOut(this.request(DFU.DNLOAD, 2), new Uint8Array(0));
      await this.status();
    } catch {
      // as it should be
    }
  }
}

// Asks for the module, writes the image, and says what came of it.
async function flash(image, tell) {
  if (!navigator.usb) throw new Refusal("this browser cannot reach USB; open the page in Chrome, Edge or Opera, or run `vaectrol flash`.");
  let device;
  try {
    device = await navigator.usb.requestDevice({filters: [BOOTLOADER]});
  } catch (error) {
    if (error.name === "NotFoundError") throw new Refusal(`no module was chosen. ${image.enter}`);
    throw error;
  }
  const bootloader = new Bootloader(device);
  await bootloader.open();
  try {
    if (!bootloader.name.startsWith(image.bootloader)) throw new Refusal(`${bootloader.name.split("/")[0].trim() || "a nameless bootloader"} answers, and this image needs ${image.bootloader}. ${image.enter}`);
    const bytes = Uint8Array.from(atob(image.data), (letter) => letter.charCodeAt(0));
    try {
      await bootloader.write(image.address, bytes, tell);
      await bootloader.leave(image.address);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal(`the module went away while it was written (${error.message}); the image in it is not whole, the bootloader is untouched. ${image.enter}`);
    }
    return `Wrote ${bytes.length.toLocaleString("en")} bytes at 0x${image.address.toString(16)}. The module starts ${image.instrument} ${image.version}.`;
  } finally {
    await device.close().catch(() => null);
  }
}

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const button = document.getElementById("flash"), said = document.getElementById("said"), bar = document.getElementById("bar");
button.addEventListener("click", async () => {
  button.disabled = true;
  said.className = "";
  try {
    const done = await flash(read("image"), (what, share) => {
      bar.value = share;
      said.textContent = `${what} ${Math.floor(100 * share)} %`;
    });
    bar.value = 1;
    said.textContent = done;
    said.className = "done";
  } catch (error) {
    said.textContent = error instanceof Refusal ? error.message[0].toUpperCase() + error.message.slice(1) : `This page has a fault: ${error.message}`;
    said.className = "wrong";
  } finally {
    button.disabled = false;
  }
});
