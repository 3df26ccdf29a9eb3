"""In which order? The stages: load, decide, apply; one transaction each."""
