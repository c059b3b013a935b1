"""Plays back what dfu-util 0.11 prints, message for message, without a device.

FAKE_DFU_SCENE chooses what happens; FAKE_DFU_LOG gets the arguments of each call. The texts and the exit
statuses (74 after `:leave`, 64 and 74 on errors, from sysexits.h) are the real tool's.
"""

import os
import sys

HEAD = """dfu-util 0.11

Copyright 2005-2009 Weston Schmidt, Harald Welte and OpenMoko Inc.
Copyright 2010-2021 Tormod Volden and Stefan Schmidt
This program is Free Software and has ABSOLUTELY NO WARRANTY
Please report bugs to http://sourceforge.net/p/dfu-util/tickets/
"""
DAISY = (
    'Found DFU: [0483:df11] ver=0200, devnum=12, cfg=1, intf=0, path="{path}", alt=0, '
    'name="@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg,60*64Kg", serial="395B377C3233"'
)
ST = (
    'Found DFU: [0483:df11] ver=0200, devnum=9, cfg=1, intf=0, path="{path}", alt={alt}, name="{name}", '
    'serial="200364500000"'
)
ST_ALTS = ("@Internal Flash   /0x08000000/16*128Kg", "@Option Bytes   /0x5200201C/01*128 e")
CLOSED = {  # what each version says of a device that it was not let open
    "forbidden": "dfu-util: Cannot open DFU device 0483:df11 found on devnum 12 (LIBUSB_ERROR_ACCESS)",
    "forbidden_0.9": "dfu-util: Cannot open DFU device 0483:df11",
    "forbidden_0.7": "dfu-util: Cannot open device",
    "forbidden_0.5": "Cannot open device: Permission denied",
    "forbidden_libusb": "libusb: error [_get_usbfs_fd] libusb requires write access to USB device nodes.",
    "driver": "dfu-util: Cannot open DFU device 0483:df11 found on devnum 3 (LIBUSB_ERROR_NOT_SUPPORTED)",
    "busy": "dfu-util: Cannot open DFU device 0483:df11 found on devnum 3 (LIBUSB_ERROR_BUSY)",
    "another": "dfu-util: Cannot open DFU device 05ac:1227",
}
OPEN = """dfu-util: Warning: Invalid DFU suffix signature
dfu-util: A valid DFU suffix will be required in a future dfu-util release
Opening DFU capable USB device...
Device ID 0483:df11
Device DFU version 011a
Claiming USB DFU Interface...
Setting Alternate Interface #0 ...
Determining device status...
DFU state(2) = dfuIDLE, status(0) = No error condition is present
DFU mode device DFU version 011a
Device returned transfer size 1024"""


def found(scene: str) -> list[str]:
    if scene == "none" or scene in CLOSED:
        return []
    if scene == "pathless":
        return [DAISY.replace('path="{path}", ', "")]
    if scene == "nameless":
        return [ST.format(path="1-2", alt=0, name="UNKNOWN")]
    if scene == "st":
        return [ST.format(path="1-2", alt=alt, name=name) for alt, name in reversed(list(enumerate(ST_ALTS)))]
    if scene == "two":
        return [DAISY.format(path="1-1"), DAISY.format(path="1-4.2")]
    if scene == "stranger":
        return [ST.format(path="1-2", alt=0, name="@Internal RAM /0x20000000/1*64Kg")]
    return [DAISY.format(path="1-2")]


def bar(stage: str, percent: int, size: int) -> str:
    filled = "=" * (percent // 4)
    return f"\r{stage}\t[{filled:<25}] {percent:3d}% {size * percent // 100:12d} bytes"


def download(scene: str, address: str, size: int) -> int:
    print(OPEN)
    print('DfuSe interface name: "Flash "' if scene != "st" else 'DfuSe interface name: "Internal Flash   "')
    if scene == "not_writeable":
        print(f"dfu-util: Last page at {address} is not writeable", file=sys.stderr)
        return 74
    print(f"Downloading element to address = {address}, size = {size}")
    for percent in range(0, 101, 25):
        sys.stdout.write(bar("Erase   ", percent, size))
    print("\nErase    done.")
    for percent in range(0, 101, 25):
        sys.stdout.write(bar("Download", percent, size))
        if scene == "unplugged" and percent == 50:
            print()
            sys.stdout.flush()
            print("dfu-util: Error during download (LIBUSB_ERROR_NO_DEVICE)", file=sys.stderr)
            return 74
        if scene == "strange" and percent == 50:
            print()
            sys.stdout.flush()
            print('dfu-util: Wrong state after command "ERASE_PAGE" download', file=sys.stderr)
            return 64
    print("\nDownload done.\nFile downloaded successfully")
    sys.stdout.flush()
    if scene == "clean":
        return 0
    print("Submitting leave request...")
    sys.stdout.flush()
    print("dfu-util: Error during download get_status", file=sys.stderr)
    return 74


def main() -> int:
    scene = os.environ.get("FAKE_DFU_SCENE", "leave")
    arguments = sys.argv[1:]
    with open(os.environ["FAKE_DFU_LOG"], "a") as log:
        log.write(" ".join(arguments) + "\n")
    print(HEAD)
    sys.stdout.flush()
    if "-l" in arguments:
        if scene in CLOSED:
            print(CLOSED[scene], file=sys.stderr)
        print("\n".join(found(scene)))
        return 0
    address = arguments[arguments.index("-s") + 1].split(":")[0].lower()
    size = os.path.getsize(arguments[arguments.index("-D") + 1])
    if scene == "closed_while_writing":
        print("dfu-util: Cannot open device", file=sys.stderr)
        return 74
    if scene == "vanished":
        print("dfu-util: No DFU capable USB device available", file=sys.stderr)
        return 74
    return download(scene, address, size)


sys.exit(main())
