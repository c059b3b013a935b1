"""What Python makes for the kernels: packed weights, tables, scheduled assembly."""
