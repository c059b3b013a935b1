"""Daisy modules: C++ on libDaisy v8, and the link of an image."""
