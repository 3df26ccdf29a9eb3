"""How are we reached? Requests come in here; what they want is done by the pipeline."""
