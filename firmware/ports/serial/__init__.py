"""The serial protocol in C, shared by every port."""
