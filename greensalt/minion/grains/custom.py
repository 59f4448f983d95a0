"""Grains that the administrator sets: the file `grains` in the configuration directory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

log = logging.getLogger(__name__)


def file_grains(config_dir: Path) -> dict[str, Any]:
    """What `<config_dir>/grains` says, in YAML; one that can't be read is warned of, left out."""
    path = config_dir / "grains"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        log.warning("grains file %s can't be read: %s", path, error)
        return {}
    try:
        grains = yaml.safe_load(text)
    except yaml.YAMLError as error:
        log.warning("grains file %s is not YAML: %s", path, error)
        return {}
    if grains is None:
        return {}
    if not isinstance(grains, dict):
        log.warning("grains file %s is not a dictionary but a %s", path, type(grains).__name__)
        return {}
    return grains
