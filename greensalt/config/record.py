"""Frozen objects with a hundred declared options, at next to no cost at import.

They are declared and type-checked like dataclasses. A real dataclass would compile methods for
every option at each start of a command: 20 ms that a CLI does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, NoReturn, Self, dataclass_transform


class Limits(NamedTuple):
    """What an option's value is held to, besides its type."""

    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    secret: bool = False


class Declared(NamedTuple):
    """An option as declared: replaced by its default when the class is complete."""

    default: Any
    limits: Limits


def option(
    default: Any,
    *,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    secret: bool = False,
) -> Any:
    """An option with limits: allowed words, or the least and the most that a number may be.

    A secret is left out of the repr.
    """
    return Declared(default, Limits(choices, least, most, secret))


def port(default: int) -> Any:
    """An option that is a TCP port; 0 lets the system choose."""
    return option(default, least=0, most=65535)


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """Base of classes whose annotated attributes are the keywords of the constructor.

    `annotations` maps each of them to the text of its type, `limits` those that have any.
    """

    annotations: ClassVar[Mapping[str, str]] = {}
    limits: ClassVar[Mapping[str, Limits]] = {}

    def __init_subclass__(cls) -> None:
        """Collect what the class declares, on top of its base's."""
        own = {
            name: text
            for name, text in cls.__dict__.get("__annotations__", {}).items()  # noqa: RUF063  # inspect costs 10 ms
            if not text.startswith("ClassVar")
        }
        cls.annotations = {**cls.annotations, **own}
        limits = dict(cls.limits)
        for name in own:
            declared = cls.__dict__[name]
            if isinstance(declared, Declared):
                limits[name] = declared.limits
                setattr(cls, name, declared.default)
        cls.limits = limits

    def __init__(self, **given: Any) -> None:
        for name in given:
            if name not in self.annotations:
                raise TypeError(f"{type(self).__name__} has no option {name!r}")
        # A map of its own for each object: what is shared by all must not be changed by one.
        defaults = {name: getattr(type(self), name) for name in self.annotations}
        copies = {name: dict(value) for name, value in defaults.items() if type(value) is dict}
        self.__dict__.update({**copies, **given})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} can't be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} can't be deleted")

    def __repr__(self) -> str:
        shown = (
            f"{name}={'<secret>' if self._is_secret(name) else repr(value)}"
            for name, value in sorted(self.__dict__.items())
            if value != getattr(type(self), name)
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def replace(self, **changes: Any) -> Self:
        """The same with some options changed."""
        return type(self)(**{**self.__dict__, **changes})

    @classmethod
    def _is_secret(cls, name: str) -> bool:
        return name in cls.limits and cls.limits[name].secret
