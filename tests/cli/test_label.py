"""`hspace label`, and `hspace discover --score`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hspace import registry
from hspace.plugins import Plugins

from .conftest import Cli

LABELLER = """
import hspace
from hspace.labeller import Labeller


@hspace.hookimpl
def hspace_labellers():
    return [hspace.Card("colours", "colourful:build", "which channel changed")]


def build(least: float = 1e-4):
    return Colours(least)


class Colours(Labeller):
    names = ("red", "green", "blue")
    unit = "mean levels"

    def __init__(self, least):
        self.least = least

    def latents(self, backbone, n, seed, steps):
        from hspace.sampling import latents

        return latents(backbone, n, seed), f"{n} latents of seed {seed}"

    def scores(self, plain, edited):
        return (edited - plain).mean((2, 3))
"""
QUICK = ("-n", 2, "--steps", 4)


@pytest.fixture
def colours(planted_find: str, write_plugin: Callable[[str, str], Plugins]) -> str:
    """The name of a labeller; `planted_find` is a basis that it can look at."""
    write_plugin("colourful", LABELLER)
    return "colours"


def test_each_component_gets_a_label_for_either_sign(cli: Cli, planted_find: str, colours: str) -> None:
    answer = cli("label", planted_find, "--by", colours, *QUICK, "--json").json
    assert answer["labeller"] == colours
    assert [one["direction"] for one in answer["labels"]] == [f"{planted_find}#{k}" for k in (0, 0, 1, 1)]
    assert [one["strength"] for one in answer["labels"]] == [-2, 2, -2, 2]
    assert {one["nearest"] for one in answer["labels"]} <= {"red", "green", "blue"}
    assert answer["threshold"] == 1e-4
    assert answer["threshold_from"] == "the labeller"
    assert len(answer["random"]) == 4
    assert answer["hit"]["k"] == 10
    assert set(answer["hit"]["selective"]) <= set(answer["hit"]["names"])


def test_settings_go_to_the_labeller(cli: Cli, planted_find: str, colours: str) -> None:
    answer = cli("label", planted_find, "--by", colours, "--set", "least=100", *QUICK, "--json").json
    assert {one["label"] for one in answer["labels"]} == {"unnamed"}
    assert answer["hit"]["names"] == []


def test_people_get_a_table_and_the_hits(cli: Cli, planted_find: str, colours: str) -> None:
    out = cli("label", f"{planted_find}#1", "--by", colours, *QUICK, "--controls", 0).out
    assert len([line for line in out.splitlines() if line.startswith(planted_find)]) == 2
    assert "HIT@10: " in out
    assert "0 random directions as long: not looked at; a name holds from 0.0001 on" in out
    assert "2 latents of seed 1; sampled in 4 steps; scores are mean levels" in out


def test_labels_are_recorded_in_the_direction(cli: Cli, planted_find: str, colours: str) -> None:
    cli("label", planted_find, "--by", colours, *QUICK, "--record")
    labels = registry.find(planted_find).meta().labels
    assert [text.split()[0] for text in labels] == ["#0-", "#0+", "#1-", "#1+"]
    assert cli("verify", planted_find).code == 0


@pytest.mark.parametrize("options", [(), ("--attributes", "--prompts", "a, b")])
def test_one_way_to_name_must_be_chosen(cli: Cli, planted_find: str, options: tuple[str, ...]) -> None:
    answer = cli("label", planted_find, *options)
    assert (answer.code, "one of --prompts, --attributes, or --by" in answer.err) == (2, True)


def test_an_encoder_that_nobody_reads_is_refused(cli: Cli, planted_find: str, colours: str) -> None:
    answer = cli("label", planted_find, "--by", colours, "--encoder", "toyclip")
    assert (answer.code, "reads no encoder" in answer.err) == (2, True)


def test_an_unknown_labeller_exits_with_4(cli: Cli, planted_find: str) -> None:
    answer = cli("label", planted_find, "--by", "atributes")
    assert (answer.code, "did you mean 'attributes'" in answer.err) == (4, True)


def test_a_direction_is_named_by_prompts(cli: Cli, found: str) -> None:
    prompts = {"a face with dark skin", "a face with blond hair", "a smiling face"}
    Path("prompts.txt").write_text("\n".join(prompts))
    call = ("label", f"{found}#0", "--prompts", "prompts.txt", "--encoder", "toyclip", *QUICK)
    answer = cli(*call, "--controls", 1, "--json").json
    assert answer["threshold_from"] == "random directions"
    assert {one["nearest"] for one in answer["labels"]} <= prompts
    assert "toyclip" in answer["protocol"]


def test_a_direction_is_named_by_attributes(cli: Cli, found: str) -> None:
    answer = cli("label", f"{found}#0", "--attributes", *QUICK, "--controls", 1, "--json").json
    assert answer["threshold"] == 0.5
    assert "2 rendered 16 px faces of seed 1, 4 DDIM steps" in answer["protocol"]


def test_discover_scores_what_it_found(cli: Cli, planted: str, colours: str) -> None:
    call = ("discover", "--unsupervised", "--backbone", planted, "-k", 2, "--samples", 1, "--steps", 4)
    answer = cli(*call, "--score", colours, "--set", "score.least=0.01", "--json").json
    score = answer["score"]
    assert score["path"] == answer["sheet"].removesuffix(".png") + ".colours.json"
    written = json.loads(Path(score.pop("path")).read_text())
    assert written == score
    assert (written["labeller"], written["threshold"], len(written["labels"])) == (colours, 0.01, 4)
    told = cli(*call, "--score", colours).out
    assert ("HIT@10" in told, "scores: " in told) == (True, True)


def test_a_wrong_scorer_is_told_before_anything_is_found(cli: Cli, planted: str) -> None:
    call = ("discover", "--unsupervised", "--backbone", planted)
    before = list(registry.entries())
    assert cli(*call, "--score", "colour").code == 4
    answer = cli(*call, "--set", "score.least=1")
    assert (answer.code, "name it with --score" in answer.err) == (2, True)
    assert list(registry.entries()) == before
