"""Rendered faces with known attributes, and the tiny models trained on them."""

import typer

import hspace

FEATURES = {"features": "hspace_toyfaces.regressor:load_features"}
SUITED = {"fid": FEATURES, "kid": FEATURES, "sc": {"segmenter": "hspace_toyfaces.segmenter:load"}}
"""The settings of other metrics that suit these pictures."""


@hspace.hookimpl
def hspace_sources() -> list[hspace.Card]:
    """The rendered faces."""
    return [
        hspace.Card(
            "toyfaces",
            "hspace_toyfaces.source:build",
            "rendered faces with known attributes, captions, region masks and counterfactuals",
            facts={"licence": "Apache-2.0", "config": {"size": 64, "seed": 0}, "metrics": SUITED},
        )
    ]


@hspace.hookimpl
def hspace_metrics() -> list[hspace.Card]:
    """What an edit did to faces whose attributes are known."""
    return [
        hspace.Card(
            "toyfaces",
            "hspace_toyfaces.metric:build",
            "what an edit did to faces with known attributes: effect, success, counterfactual ratio, entanglement, ...",
            needs=("attributes", "recon", "edit"),
        ),
        hspace.Card(
            "flips",
            "hspace_toyfaces.flips:build",
            "attributes of a toy face that an edit of another one flips, and how far it moves them",
            needs=("attributes",),
        ),
    ]


@hspace.hookimpl
def hspace_labellers() -> list[hspace.Card]:
    """The attributes of the faces."""
    return [
        hspace.Card(
            "attributes",
            "hspace_toyfaces.labeller:build",
            "the attribute of a toy face that an edit moves most, by the regressor",
        )
    ]


@hspace.hookimpl
def hspace_commands(app: typer.Typer) -> None:
    """`hspace toyfaces ...`."""
    from hspace_toyfaces.commands import app as commands

    app.add_typer(commands())
