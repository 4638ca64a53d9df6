"""Plugins: loaded one by one, so that a broken one is reported and never takes the others down."""

import importlib
import os
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from hspace import hookspecs
from hspace.cards import SINGULAR, Card
from hspace.errors import HspaceError, not_found
from hspace.zoo import LOADERS, card_folders, read_card

GROUP = "hspace"
"""The entry-point group that a plugin's distribution declares."""


@dataclass(frozen=True)
class Report:
    """What became of one plugin: status "ok", "warning", "broken", "duplicate" or "blocked", and why."""

    name: str
    status: str
    version: str = ""
    origin: str = ""
    hooks: tuple[str, ...] = ()
    detail: str = ""


class Plugins:
    """All plugins of this process: those installed, and those that `HSPACE_PLUGINS` names.

    `HSPACE_DISABLE` (names, comma-separated) blocks plugins by name; `HSPACE_PLUGINS` (files or modules,
    comma-separated) adds some without packaging; `HSPACE_TRACE=1` prints every hook call to stderr.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._reports: dict[str, Report] = {}
        if os.environ.get("HSPACE_TRACE"):
            self._manager.trace.root.setwriter(lambda text: sys.stderr.write(text))
            self._manager.enable_tracing()
        blocked = set(_names("HSPACE_DISABLE"))
        for found in [*_installed(), *_named()]:
            self._register(found, blocked)
        self.zoos: list[tuple[str, Path]] = [
            (plugin, Path(zoo)) for plugin, zoo in self._offers("hspace_zoos", str | Path, "a path")
        ]
        self._cards = {kind: self._collect(kind) for kind in SINGULAR}

    def _register(self, found: "_Found", blocked: set[str]) -> None:
        report = Report(found.name, "ok", found.version, found.origin)
        if found.name in blocked:
            self._reports[found.name] = replace(report, status="blocked", detail="HSPACE_DISABLE names it")
            return
        registered = dict(self._manager.list_name_plugin())
        try:
            module = found.module()
            if found.name in registered or module in registered.values():
                detail = "a plugin of this name, or this very module, is registered already"
                key = f"{found.name} ({found.origin})"
                self._reports[key] = replace(report, status="duplicate", detail=detail)
                return
            self._manager.register(module, name=found.name)
        except (Exception, SystemExit) as error:
            if self._manager.has_plugin(found.name) and found.name not in registered:
                self._manager.unregister(name=found.name)  # a hook of the wrong signature is found out half-way
            key = f"{found.name} ({found.origin})" if found.name in self._reports else found.name
            self._reports[key] = replace(report, status="broken", detail=_line(error))
            return
        callers = self._manager.get_hookcallers(module) or []
        hooks = tuple(sorted(caller.name for caller in callers if caller.has_spec()))
        misspelt = [caller.name for caller in callers if not caller.has_spec()]
        self._reports[found.name] = replace(
            report,
            hooks=hooks,
            status="warning" if misspelt else "ok",
            detail="; ".join(_misspelt(name) for name in misspelt),
        )

    def call(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """(plugin, answer) of each plugin that implements `hook`, in order of names; one that raises is reported."""
        answers = []
        registered = dict(self._manager.list_name_plugin())
        for name in sorted(name for name, plugin in registered.items() if plugin is not None):
            others = [plugin for other, plugin in registered.items() if other != name and plugin is not None]
            try:
                for answer in self._manager.subset_hook_caller(hook, others)(**arguments):
                    answers.append((name, answer))
            except (Exception, SystemExit) as error:
                self._complain(name, f"{hook}() raised {_line(error)}")
        return answers

    def _offers(self, hook: str, kind: Any, described: str) -> list[tuple[str, Any]]:
        """(plugin, thing) of everything that `hook` returns; what is not a list of `kind` is reported."""
        offers = []
        for plugin, offered in self.call(hook):
            if not isinstance(offered, list | tuple):
                self._complain(plugin, f"{hook}() returned {offered!r}, which is not a list")
                continue
            for one in offered:
                if isinstance(one, kind):
                    offers.append((plugin, one))
                else:
                    self._complain(plugin, f"{hook}() returned {one!r}, which is not {described}")
        return offers

    def _collect(self, kind: str) -> dict[str, list[Card]]:
        cards: dict[str, list[Card]] = defaultdict(list)
        for plugin, card in self._offers(f"hspace_{kind}", Card, "a Card"):
            cards[card.name].append(replace(card, plugin=plugin))
        if kind in LOADERS:
            for card in self._zoo_cards(kind):
                cards[card.name].append(card)
        for name, same in cards.items():
            if len(same) > 1:
                for card in same:
                    self._complain(card.plugin, _conflict(kind, name, same))
        return cards

    def _zoo_cards(self, kind: str) -> list[Card]:
        cards = []
        for plugin, zoo in self.zoos:
            for folder in card_folders(zoo, kind):
                try:
                    cards.append(read_card(folder, plugin, kind))
                except HspaceError as error:
                    self._complain(plugin, str(error))
        return cards

    def _complain(self, plugin: str, detail: str) -> None:
        report = self._reports[plugin]
        details = "; ".join(part for part in (report.detail, detail) if part)
        self._reports[plugin] = replace(report, status="warning", detail=details)

    def reports(self) -> list[Report]:
        """What became of every plugin, broken and blocked ones included, in order of names."""
        return sorted(self._reports.values(), key=lambda report: report.name)

    def cards(self, kind: str) -> list[Card]:
        """The cards of a kind ("backbones", ...) by name; those that two plugins both offer are left out."""
        return [same[0] for _, same in sorted(self._cards[kind].items()) if len(same) == 1]

    def find(self, kind: str, name: str) -> Card:
        """The card of that kind and name.

        Raises NotFoundError with the nearest names, HspaceError when two plugins offer the name.
        """
        same = self._cards[kind].get(name, [])
        if len(same) > 1:
            raise HspaceError(_conflict(kind, name, same))
        if not same:
            known = [card.name for card in self.cards(kind)]
            way_out = f"See 'hspace list-{kind}', and 'hspace plugins' for plugins that did not load."
            raise not_found(SINGULAR[kind], name, known, way_out)
        return same[0]


@dataclass(frozen=True)
class _Found:
    """A plugin before it is imported."""

    name: str
    origin: str
    version: str = ""
    entry: EntryPoint | None = None

    def module(self) -> Any:
        if self.entry is not None:
            return self.entry.load()
        return _from_file(Path(self.origin)) if self.origin.endswith(".py") else importlib.import_module(self.origin)


def _installed() -> list[_Found]:
    """One plugin per entry point, under its distribution's name (with the entry's own where there are several)."""
    entries = sorted(
        ((entry.dist.name, entry.dist.version, entry) for entry in entry_points(group=GROUP) if entry.dist),
        key=lambda found: (found[0], found[2].name),
    )
    count = Counter(distribution for distribution, _, _ in entries)
    return [
        _Found(name if count[name] == 1 else f"{name}:{entry.name}", entry.value, version, entry)
        for name, version, entry in entries
    ]


def _named() -> list[_Found]:
    places = _names("HSPACE_PLUGINS")
    return [_Found(Path(place).stem if place.endswith(".py") else place, place) for place in places]


def _from_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"HSPACE_PLUGINS names {str(path)!r}, which is not a Python file")
    if path.stem in sys.modules:
        raise ImportError(f"HSPACE_PLUGINS names {str(path)!r}, but a module {path.stem!r} exists; rename the file")
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # its cards say "stem:attribute"
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _misspelt(hook: str) -> str:
    known = [name for name in vars(hookspecs) if name.startswith("hspace_")]
    close = get_close_matches(hook, known, n=1)
    return f"no hook is called {hook!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _conflict(kind: str, name: str, same: list[Card]) -> str:
    plugins = sorted({card.plugin for card in same})
    if len(plugins) == 1:
        return f"plugin {plugins[0]!r} offers two {kind} called {name!r}; it must rename one"
    return (
        f"{SINGULAR[kind]} {name!r} is offered by {' and '.join(map(repr, plugins))}; "
        f"set HSPACE_DISABLE to all but one of them"
    )


@cache
def plugins() -> Plugins:
    """The plugins of this process, loaded on the first call."""
    return Plugins()
