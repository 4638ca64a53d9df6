"""What `hspace discover` is asked for: a recipe's arguments, and the options that win over them."""

from collections.abc import Mapping
from typing import Any

from hspace.errors import UsageError
from hspace.plugins import plugins


def arguments_of(recipe: str | None, finder: str | None) -> dict[str, Any]:
    """The arguments of `discover` that a recipe gives; its settings are left away where another finder is asked for."""
    if recipe is None:
        return {}
    from hspace.direction_recipe import read_direction_recipe

    arguments = read_direction_recipe(recipe).arguments()
    return {**arguments, "config": arguments["config"] if finder in (None, arguments["finder"]) else {}}


def prompts_of(source: str | None, target: str | None, known: tuple[str, str] | None = None) -> tuple[str, str] | None:
    """The prompts of --from and --to, those `known` where they say nothing; None where there is neither.

    Raises UsageError where one is missing or empty, or both say the same.
    """
    if known is not None:
        source, target = known[0] if source is None else source, known[1] if target is None else target
    if source is None and target is None:
        return None
    for option, prompt in (("--from", source), ("--to", target)):
        if prompt is None or not prompt.strip():
            raise UsageError(f"{option} needs a prompt: --from 'a face' --to 'a smiling face'")
    if str(source).split() == str(target).split():
        raise UsageError(f"--from and --to both say {source!r}, so there is no direction between them; change one")
    return str(source), str(target)


def finder_of(unsupervised: bool, finder: str | None, prompts: tuple[str, str] | None) -> str:
    """The finder that is asked for, by its name or by what it is given. Raises UsageError where nothing says which."""
    from hspace.discovery import TEXT_DRIVEN, UNSUPERVISED

    if not unsupervised and finder is None and prompts is None:
        raise UsageError(
            "say how to look: --unsupervised, --from and --to, or --finder with a name from 'hspace list-finders'"
        )
    name = finder or (TEXT_DRIVEN if prompts is not None and not unsupervised else UNSUPERVISED)
    needs = plugins().find("finders", name).needs
    if unsupervised and needs:
        raise UsageError(f"--unsupervised takes a finder that needs nothing; {name!r} needs {', '.join(needs)}")
    return name


def by_part(settings: list[str]) -> dict[str, list[str]]:
    """The key=value pairs of --set by what they are for: "" the finder, "head" its head, "source" the pictures."""
    parts: dict[str, list[str]] = {"": [], "head": [], "source": []}
    for pair in settings:
        prefix = next((one for one in ("head", "source") if pair.startswith(f"{one}.")), "")
        parts[prefix].append(pair.removeprefix(f"{prefix}."))
    return parts


def by_prefix(pairs: list[str]) -> dict[str, list[str]]:
    """The pairs `NAME.key=value` of --set as `key=value`, by name. Raises UsageError for one of another form."""
    parts: dict[str, list[str]] = {}
    for pair in pairs:
        name, dot, rest = pair.partition(".")
        if not (name and dot and rest) or "=" in name:
            raise UsageError(f"--set takes NAME.key=value, as in source.seed=1; {pair!r} was given")
        parts.setdefault(name, []).append(rest)
    return parts


def config_of(
    finder: str, own: list[str], of_head: list[str], base: Mapping[str, Any], **options: str | None
) -> dict[str, Any]:
    """The finder's settings, options among them; under `head_config` those of the head, read by the head's own types.

    What is given wins over `base`, whose settings of a head are for its own head alone.
    """
    from hspace.settings import parse_settings, setting

    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    mine = parse_settings([*own, *given], "finders", finder)
    config = {**base, **mine}
    if mine.get("head", base.get("head")) != base.get("head"):
        config.pop("head_config", None)
    if of_head:
        trained = str(config.get("head", setting("finders", finder, "head")))
        config["head_config"] = {**config.get("head_config", {}), **parse_settings(of_head, "heads", trained)}
    return config


def source_config_of(source: str | None, settings: list[str]) -> dict[str, Any]:
    """The settings of a source of pictures. Raises UsageError where there are some, and no source."""
    from hspace.settings import parse_settings

    if source is not None:
        return parse_settings(settings, "sources", source)
    if settings:
        raise UsageError(f"--set source.{settings[0]} is for a source; name it with --source")
    return {}
