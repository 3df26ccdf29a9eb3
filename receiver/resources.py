"""Where do the files that ship with the code lie: beside it in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGED = Path(__file__).parent / "_data"
ROOT = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent
TEMPLATES = ROOT / "templates"
MIGRATIONS = ROOT / "migrations"
EXAMPLE_CONFIG = ROOT / "routing.yaml"
