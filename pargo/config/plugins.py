"""Kinds of plug-ins: a module of settings each, found by its name, so that adding one changes no other's code.

A kind is a package below `pargo.config`, e.g. `pargo.config.projectors`. Its module `qformer` holds the settings of the
plug-in that a config calls `qformer`: one class whose tag field (`name` or `kind`) is a `Literal` of the module's name.
Modules that begin with an underscore are shared by plug-ins, and are none.

A stage reads the settings of its own plug-in through `Kind.chosen`, and imports nothing of the others. The union of all
is made for a whole `Config` alone.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo

from pargo.config.base import Settings
from pargo.errors import PargoError

Base = TypeVar("Base", bound=Settings)


class Kind(Generic[Base]):
    """A package of plug-ins' settings.

    Args:
        package: dotted name of the package.
        base: class that all settings of the kind derive from; what a stage may expect of any of them.
        tag: the field that names the plug-in.
        word: what one is called in messages, e.g. `projector`.
    """

    def __init__(self, package: str, base: type[Base], *, tag: str, word: str) -> None:
        self.package, self.base, self.tag, self.word = package, base, tag, word

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all plug-ins, sorted.

        Raises:
            PargoError: two files claim one name, `x.py` and `x/__init__.py`, of which Python sees one alone.
        """
        folders = [Path(folder) for folder in importlib.import_module(self.package).__path__]
        found = [path for folder in folders for path in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))]
        claims = Counter(path.parent.name if path.stem == "__init__" else path.stem for path in found)
        names = {module.name for module in pkgutil.iter_modules(map(str, folders)) if not module.name.startswith("_")}
        if twice := sorted(name for name in names if claims[name] > 1):
            raise PargoError(f"{self.package}: a file and a folder both claim the name {twice[0]!r}")
        return tuple(sorted(names))

    def module(self, name: str) -> str:
        """Dotted name of the module of a plug-in's settings; PargoError lists the choices."""
        if name not in self.names:
            raise PargoError(f"unknown {self.word} {name!r}; choices: {', '.join(self.names)}")
        return f"{self.package}.{name}"

    def settings(self, name: str) -> type[Base]:
        """The settings class of a plug-in.

        Raises:
            PargoError: no such plug-in, or its module does not hold exactly one class that carries its name.
        """
        module = importlib.import_module(self.module(name))
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, self.base) and value.__module__ == module.__name__
        ]
        classes = [value for value in own if self.tag in value.model_fields and self._tags(value)]
        if len(classes) != 1:
            raise PargoError(
                f"{module.__name__}: expected one subclass of {self.base.__name__} with a field "
                f"`{self.tag}: Literal[{name!r}]`, found {len(classes)}"
            )
        if (tags := self._tags(classes[0])) != (name,):
            raise PargoError(
                f"{module.__name__}: {classes[0].__name__}.{self.tag} is {', '.join(map(repr, tags))}; "
                f"expected {name!r}, the name of the file"
            )
        return classes[0]

    def _tags(self, settings: type[Settings]) -> tuple[Any, ...]:
        return get_args(settings.model_fields[self.tag].annotation)

    def parse(self, value: Any, info: ValidationInfo) -> Any:
        """A mapping as the settings of the plug-in that it names; anything else as it is, for pydantic to judge.

        Raises:
            ValueError: no such plug-in, or not its settings.
        """
        if not isinstance(value, dict) or not isinstance(value.get(self.tag), str):
            return value
        try:
            settings = self.settings(value[self.tag])
        except PargoError as error:
            raise ValueError(str(error)) from None
        if info.mode == "json":  # whose lists are tuples, also to strict settings
            return settings.model_validate_json(json.dumps(value))
        return settings.model_validate(value)

    @property
    def chosen(self) -> Any:
        """Type of a stage's field that holds the settings of one plug-in of this kind."""
        return Annotated[self.base, SerializeAsAny(), BeforeValidator(self.parse)]

    @property
    def union(self) -> Any:
        """Type of a config's field: the settings of any plug-in; imports them all."""
        classes = tuple(self.settings(name) for name in self.names)
        return Annotated[Union[classes], Field(discriminator=self.tag)]  # noqa: UP007 - of a tuple
