"""The settings of what a card names: which there are, and `key=value` pairs read by the types that they have."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hspace.cards import SINGULAR
from hspace.errors import UsageError
from hspace.plugins import plugins

GIVEN: Mapping[str, tuple[str, ...]] = {
    "heads": ("h_shape", "temb_dim"),
    "metrics": ("prompts", "encoder", "strength", "seed", "device"),
}
"""What hspace itself passes to the `build` of a kind of card; the rest of its parameters are settings."""


def parse_settings(pairs: Sequence[str], kind: str, name: str) -> dict[str, Any]:
    """The key=value pairs of --set for the card of that kind ("heads", ...) and name, by the types of its parameters.

    A list is written as JSON: `timesteps=[0,500]`. Raises NotFoundError for an unknown name, UsageError for a pair
    without '=', an unknown key, or a value of another type.
    """
    build = plugins().find(kind, name).load()
    parameters = inspect.signature(build, eval_str=True).parameters
    config: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value; {pair!r} was given")
        require_known([key], kind, name, build)
        config[key] = _value(key, text, parameters[key].annotation if key in parameters else Any)
    return config


def check_settings(config: Mapping[str, Any], kind: str, name: str, where: str) -> None:
    """Raises UsageError, naming `where` it stands, for a setting that the card's `build` does not take as it is.

    Raises NotFoundError for an unknown name.
    """
    from pydantic import TypeAdapter, ValidationError

    build = plugins().find(kind, name).load()
    parameters = inspect.signature(build, eval_str=True).parameters
    require_known(list(config), kind, name, build)
    for key, value in config.items():
        adapter: TypeAdapter[Any] = TypeAdapter(parameters[key].annotation if key in parameters else Any)
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            raise UsageError(f"{where}: {key}: {error.errors()[0]['msg'].lower()}; it is {value!r}") from error


def setting(kind: str, name: str, key: str) -> Any:
    """The default of a setting. Raises NotFoundError for an unknown name, UsageError where there is no such setting."""
    build = plugins().find(kind, name).load()
    require_known([key], kind, name, build)
    return inspect.signature(build).parameters[key].default


def require_known(keys: Sequence[str], kind: str, name: str, build: Callable[..., Any]) -> None:
    """Raises UsageError, with the settings there are, for a key that `build` does not take as a setting."""
    parameters = inspect.signature(build).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    known = [key for key in parameters if key not in GIVEN.get(kind, ())]
    for key in keys:
        if key not in known:
            takes = ", ".join(known) or "none"
            raise UsageError(f"{SINGULAR[kind]} {name!r} has no setting {key!r}; it takes {takes}")


def _value(key: str, text: str, annotation: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    adapter: TypeAdapter[Any] = TypeAdapter(Any if annotation is inspect.Parameter.empty else annotation)
    try:
        return adapter.validate_json(text) if text.startswith("[") else adapter.validate_strings(text)
    except ValidationError as error:
        raise UsageError(f"--set {key}: {error.errors()[0]['msg'].lower()}; {text!r} was given") from error
