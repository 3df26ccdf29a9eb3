"""Questions to other systems: asked under a deadline, never on a page's way."""
