"""A sensor that is not there: tilts for some seconds by OSC, and hits at every turn.

python examples/tilt.py 9000 5
"""

import math
import sys
import time

from pythonosc.udp_client import SimpleUDPClient

port, seconds = int(sys.argv[1]), float(sys.argv[2])
client = SimpleUDPClient("127.0.0.1", port)
began, side = time.monotonic(), 0
while (now := time.monotonic() - began) < seconds:
    degrees = 60 * math.sin(2 * math.pi * 0.5 * now)
    client.send_message("/sensor/tilt", degrees)
    if (degrees > 0) != (side > 0):
        side = 1 if degrees > 0 else -1
        client.send_message("/sensor/hit", 0.8)
    time.sleep(0.01)
