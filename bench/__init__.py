"""The emulated Cortex-M7, host and Pi latency, quality and the report."""
