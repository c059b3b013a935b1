"""Timing on the machine at hand: host, peers, loopback, a module over USB."""
