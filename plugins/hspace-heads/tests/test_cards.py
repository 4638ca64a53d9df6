"""What the cards say is what the heads take."""

import inspect

import pytest

from hspace.plugins import plugins

NAMES = ("delta-block", "transformer", "table")


@pytest.mark.parametrize("name", NAMES)
def test_the_options_on_a_card_are_parameters_of_its_head(name: str) -> None:
    card = plugins().find("heads", name)
    parameters = inspect.signature(card.load()).parameters
    assert set(card.facts["options"]) <= set(parameters)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_value_on_a_card_is_the_default(name: str) -> None:
    card = plugins().find("heads", name)
    for option, parameter in inspect.signature(card.load(), eval_str=True).parameters.items():
        if isinstance(parameter.default, str):
            assert card.facts["options"][option].split(", ")[0] == parameter.default
