// A Daisy's bootloader as WebUSB shows it, from DFU 1.1 and ST's AN3156: NOR flash behind a state machine.
window.simulated = (scene) => {
  const BASE = 0x90000000, flash = new Uint8Array(8 << 20).fill(0x5a), log = [];
  const named = {
    st: "@Internal Flash   /0x08000000/16*128Kg", readonly: "@Flash /0x90000000/64*4Ka/0x90040000/60*64Ka",
  }[scene] || "@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg,60*64Kg";
  let state = scene === "error" ? 10 : 2, status = scene === "error" ? 10 : 0, pointer = BASE, busy = 0, opened = false, claimed = false, left = false, calls = 0;
  const gone = () => { throw new DOMException("A transfer error has occurred.", "NetworkError"); };
  const stall = (code) => { state = 10; status = code; };
  const sector = (at) => at - BASE < 0x40000 ? 0x1000 : 0x10000;
  const down = (block, bytes) => {
    if (state !== 2 && state !== 5) return stall(14);
    if (bytes.length === 0) {
      left = true;
      log.push(`leave ${pointer.toString(16)}`);
      return;
    }
    if (bytes.length > 1024) return stall(14);
    state = 3;
    if (block === 0) {
      const view = new DataView(bytes.buffer, bytes.byteOffset), address = bytes.length === 5 ? view.getUint32(1, true) : 0;
      if (address < BASE || address >= BASE + flash.length) return stall(8);
      if (bytes[0] === 0x21) pointer = address;
      else if (bytes[0] === 0x41) {
        if (scene === "tired") return stall(4);
        const size = sector(address), begin = address - (address - BASE) % size - BASE;
        flash.fill(0xff, begin, begin + size);
        log.push(`erase ${address.toString(16)}`);
      } else return stall(11);
      busy = 2;
    } else {
      const at = pointer + (block - 2) * 1024 - BASE;
      for (let i = 0; i < bytes.length; ++i) flash[at + i] &= bytes[i];
      busy = 1;
    }
  };
  const device = {
    configuration: null,
    async open() {
      if (scene === "closed") throw new DOMException("Access denied.", "SecurityError");
      opened = true;
    },
    async close() { opened = false; },
    async selectConfiguration() {
      this.configuration = {interfaces: [{interfaceNumber: 0, alternates: [
        {alternateSetting: 1, interfaceClass: 0xfe, interfaceSubclass: 1, interfaceName: "@Option Bytes /0x5200201C/01*128 e"},
        {alternateSetting: 0, interfaceClass: 0xfe, interfaceSubclass: 1, interfaceName: named},
      ]}]};
    },
    async claimInterface() { claimed = opened; },
    async selectAlternateInterface(number, alternate) {
      if (!claimed || number !== 0 || alternate !== 0) gone();
    },
    async controlTransferIn({requestType, request, value}, length) {
      if (!claimed || left) gone();
      if (requestType === "standard" && request === 6 && value === 0x0200) {
        const bytes = [9, 2, 27, 0, 1, 1, 0, 0xc0, 50, 9, 4, 0, 0, 0, 0xfe, 1, 2, 4, 9, 0x21, 0x0b, 0xff, 0, 0, 4, 0x1a, 1];
        return {data: new DataView(Uint8Array.from(bytes).buffer), status: "ok"};
      }
      if (request !== 3 || length !== 6) gone();
      if (state === 3) state = 4;
      else if (state === 4 && --busy <= 0) state = 5;
      return {data: new DataView(Uint8Array.from([status, 1, 0, 0, state, 0]).buffer), status: "ok"};
    },
    async controlTransferOut({request, value}, bytes) {
      if (!claimed || left || (scene === "unplugged" && ++calls > 60)) gone();
      if (request === 4 && state === 10) [state, status] = [2, 0];
      else if (request === 6 && state === 5) state = 2;
      else if (request === 1) down(value, new Uint8Array(bytes));
      else stall(14);
      return {status: "ok"};
    },
  };
  Object.defineProperty(navigator, "usb", {configurable: true, value: scene === "none" ? undefined : {
    async requestDevice({filters}) {
      if (filters[0].vendorId !== 0x0483 || filters[0].productId !== 0xdf11) gone();
      if (scene === "nobody") throw new DOMException("No device selected.", "NotFoundError");
      return device;
    },
  }});
  return {flash, log, base: BASE, isOpen: () => opened};
};
