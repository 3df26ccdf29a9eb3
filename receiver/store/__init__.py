"""What do we remember? The only place that says select, insert or update."""
