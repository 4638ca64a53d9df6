"""`--bind`: class conditions and guidance on the command line."""

import json
from pathlib import Path

import pytest

from hspace import registry
from hspace.meta import META_FILE

from .conftest import BACKBONE, Answer, Cli

CONDITIONAL = "adm-cond-random-tiny"
STEPS = ("--steps", 2)


def sample(cli: Cli, *more: object) -> Answer:
    return cli("sample", "--backbone", CONDITIONAL, "-n", 1, *STEPS, *more)


def test_a_label_decides_the_sample(cli: Cli) -> None:
    for label in (3, 4):
        assert sample(cli, "--bind", f"label={label}", "--out", f"of-{label}").code == 0
    assert Path("of-3/0-0000.png").read_bytes() != Path("of-4/0-0000.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "is class-conditional; say which class: --bind label=N"),
        (["label=10"], "label must be from 0 to 9; 10 was given"),
        (["label=cat"], "label must be a whole number, the class; 'cat' was given"),
        (["label=2.5"], "label must be a whole number, the class; 2.5 was given"),
        (["colour=3"], "takes label; bind() was given colour"),
        (["label"], "--bind takes KEY=VALUE, as in label=207; 'label' was given"),
        (["label=1", "label=2"], "--bind label was given twice"),
        (["scale=3"], "scale guides towards a condition, and none was given"),
        (["label=1", "scale=strong"], "scale must be a number; 'strong' was given"),
        (["label=1", "scale=3"], "has no class that means 'no condition'"),
        (["label=1", "unconditional=adm-random-tiny"], "unconditional is a half of guidance; give scale too"),
    ],
)
def test_a_condition_that_cannot_be_is_a_usage_error(cli: Cli, words: list[str], message: str) -> None:
    answer = sample(cli, *(part for word in words for part in ("--bind", word)))
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_an_unconditional_backbone_takes_no_condition(cli: Cli) -> None:
    answer = cli("sample", "--backbone", BACKBONE, "--bind", "label=1", *STEPS)
    assert answer.code == 2
    assert "takes no condition" in answer.err


def test_another_backbone_can_be_the_unconditional_half_of_guidance(cli: Cli) -> None:
    half = ("--bind", "label=1", "--bind", "unconditional=adm-random-tiny")
    assert sample(cli, *half, "--bind", "scale=1", "--out", "plain").code == 0
    assert sample(cli, *half, "--bind", "scale=4", "--out", "guided").code == 0
    assert sample(cli, "--bind", "label=1", "--out", "bound").code == 0
    plain, guided, bound = (Path(name, "0-0000.png").read_bytes() for name in ("plain", "guided", "bound"))
    assert plain == bound
    assert plain != guided


@pytest.mark.parametrize(
    ("other", "message"), [("ldm-random-tiny", "x_t of ldm-random-tiny is"), ("iddpm-random-tiny", "another noise")]
)
def test_a_half_that_does_not_fit_is_refused(cli: Cli, other: str, message: str) -> None:
    answer = sample(cli, "--bind", "label=1", "--bind", "scale=2", "--bind", f"unconditional={other}")
    assert answer.code == 3
    assert message in answer.err


def test_a_direction_keeps_its_condition_and_an_edit_asks_for_it(cli: Cli, face: Path) -> None:
    words = ("discover", "--unsupervised", "--backbone", CONDITIONAL, "-k", 1, "--samples", 1, "--name", "mine")
    answer = cli(*words, "--bind", "label=3", *STEPS, "--json")
    assert answer.code == 0, answer.err
    id = answer.json["directions"][0]["id"]
    meta = json.loads((registry.find(id).folder / META_FILE).read_text())
    assert meta["backbone"]["condition"] == {"label": 3}
    without = cli("edit", face, "--direction", id, *STEPS)
    assert without.code == 2
    assert "It was found under a condition: --bind label=3." in without.err
    other = cli("edit", face, "--direction", id, *STEPS, "--bind", "label=4")
    assert other.code == 3
    assert "It was found under a condition: --bind label=3." in other.err
    assert not Path("hspace-out/edit").exists()
    assert cli("edit", face, "--direction", id, *STEPS, "--bind", "label=3").code == 0
