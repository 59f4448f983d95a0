"""A minion's pillar, compiled on the master from `pillar_roots` and `ext_pillar`.

tree        the files: environments, containment, and stamps of all that was looked at
yamltext    YAML as Salt reads it
templates   sandboxed Jinja; filters and functions are what a template may call
render      one file to data: the renderers
top         top files, and what they give to a minion
merge       the strategies by which dictionaries become one
compiler    one minion's whole pillar
external    the plug-in point of `ext_pillar`
service     what the master calls: native threads and the cache

Source: docs/pillar.md.
"""

from __future__ import annotations

from greensalt.master.pillar.compiler import Asked, Compiled, compile_pillar
from greensalt.master.pillar.service import PillarService

__all__ = ["Asked", "Compiled", "PillarService", "compile_pillar"]
