"""What do we decide? Pure: values in, values out; no I/O, no clock."""
