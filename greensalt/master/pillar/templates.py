"""Jinja in a sandbox: what a pillar template can see, import and call.

One environment for each Salt environment serves all threads and minions: it holds compiled
templates, and nothing of any minion. CVE-2021-25283: no template, and nothing a minion puts into
its grains, reaches Python's internals.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateModule
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from greensalt.errors import PillarError
from greensalt.master.pillar.filters import FILTERS
from greensalt.master.pillar.tree import Source, Tree, read_text

MOST_TEMPLATES = 2000  # compiled ones that are kept, of one environment
MOST_ENVIRONMENTS = 50  # with `__env__` their names are the minions' choice


class Current(threading.local):
    """The tree of the compilation that runs in this thread."""

    tree: Tree | None = None

    def find(self, environment: str, rel: str) -> Source | None:
        assert self.tree is not None, "a template is loaded outside of a compilation"
        return self.tree.find(environment, rel)


class Templates:
    """The Jinja environments, made as they are needed."""

    def __init__(
        self, *, trim_blocks: bool = False, lstrip_blocks: bool = False, undefined: bool = False
    ) -> None:
        self._blocks = {"trim_blocks": trim_blocks, "lstrip_blocks": lstrip_blocks}
        self._undefined = jinja2.Undefined if undefined else jinja2.StrictUndefined
        self._environments: dict[str, PillarJinja] = {}
        self._current = Current()

    def render(self, tree: Tree, saltenv: str, rel: str, context: Mapping[str, Any]) -> str:
        """The text of a template by its path; raises PillarError, saying in which line."""
        environment = self._environments.get(saltenv)
        if environment is None:
            if len(self._environments) >= MOST_ENVIRONMENTS:
                self._environments.clear()
            environment = PillarJinja(
                _Loader(self._current, saltenv), self._undefined, **self._blocks
            )
            self._environments[saltenv] = environment
        self._current.tree = tree
        try:
            return environment.get_template(rel).render(context)
        except PillarError:
            raise
        except Exception as error:  # whatever the template's code raised
            raise PillarError(_told(error)) from error
        finally:
            self._current.tree = None


class _PillarTemplate(jinja2.Template):
    """A template whose module is made anew for each import.

    Jinja would make it once: what one minion's template puts into an imported dictionary would
    then be in the next minion's pillar.
    """

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:  # noqa: ARG002
        return self.make_module()


class PillarJinja(SandboxedEnvironment):
    """The sandbox, with Salt's filters and tags."""

    template_class = _PillarTemplate

    def __init__(
        self, loader: jinja2.BaseLoader, undefined: type[jinja2.Undefined], **blocks: bool
    ) -> None:
        super().__init__(
            loader=loader,
            undefined=undefined,
            cache_size=MOST_TEMPLATES,
            keep_trailing_newline=True,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", DataTags],
            **blocks,
        )
        self.filters.update(FILTERS)
        self.globals.update(odict=dict, **{"raise": _raise})
        self.tests["list"] = FILTERS["is_list"]
        self.tests["match"] = lambda value, regex: FILTERS["regex_match"](value, regex) is not None

    def join_path(self, template: str, parent: str) -> str:
        """`./x` and `../x` are beside the template that asks; everything else is from the root."""
        if not template.startswith(("./", "../")):
            return template
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(parent), template))
        if joined.startswith("../"):
            raise PillarError(f"{template} leaves the pillar's root")
        return joined


class _Loader(jinja2.BaseLoader):
    """Reads templates from the tree of the compilation that asks."""

    def __init__(self, current: Current, saltenv: str) -> None:
        self._current = current
        self._saltenv = saltenv

    def get_source(
        self, _environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        name = template.removeprefix("salt://")
        source = self._current.find(self._saltenv, name)
        if source is None:
            raise jinja2.TemplateNotFound(template)

        def is_the_same() -> bool:
            # Also tells the tree of a later compilation what it depends on.
            return self._current.find(self._saltenv, name) == source

        return read_text(source), source.path, is_the_same


class DataTags(Extension):
    """`load_yaml as x` ... `endload`, `import_yaml "file" as x`, and the same of json and text."""

    tags = {f"{verb}_{form}" for verb in ("load", "import") for form in ("yaml", "json", "text")}

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Build the assignment of what the filter `load_*` makes of the text."""
        verb, form = str(parser.stream.current.value).split("_")
        lineno = parser.stream.current.lineno
        loader = f"load_{form}"
        if verb == "import":
            imported = parser.parse_import()
            module = nodes.Name(imported.target, "load")
            data = nodes.Filter(module, loader, [], [], None, None)
            target = nodes.Name(imported.target, "store")
            return [imported, nodes.Assign(target, data).set_lineno(lineno)]
        next(parser.stream)
        parser.stream.expect("name:as")
        name = parser.parse_assign_target()
        body = parser.parse_statements(("name:endload",), drop_needle=True)
        data = nodes.Filter(None, loader, [], [], None, None)
        return nodes.AssignBlock(name, data, body).set_lineno(lineno)


def _raise(message: object) -> NoReturn:
    raise PillarError(str(message))


def _told(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"Jinja syntax error: {error.message}; line {error.lineno}"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"Jinja error: {error.name} is not in this environment{_line(error)}"
    if isinstance(error, jinja2.UndefinedError):
        return f"Jinja variable {error.message}{_line(error)}"
    return f"Jinja error: {type(error).__name__}: {error}{_line(error)}"


def _line(error: Exception) -> str:
    """Where in the templates it happened: Jinja has put their lines into the traceback."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            found = f"; line {trace.tb_lineno} of {posixpath.basename(code.co_filename)}"
        trace = trace.tb_next
    return found
