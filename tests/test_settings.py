"""Settings: key=value pairs by the types of what they are for."""

import pytest

from hspace.errors import NotFoundError, UsageError
from hspace.settings import parse_settings


def test_values_have_the_types_of_the_parameters() -> None:
    pairs = ["form=openai", "norm_num_groups=8", "seed=3"]
    assert parse_settings(pairs, "heads", "delta-block") == {"form": "openai", "norm_num_groups": 8, "seed": 3}


def test_a_list_is_json() -> None:
    assert parse_settings(["timesteps=[0, 500.5]"], "heads", "table") == {"timesteps": [0, 500.5]}


def test_a_value_that_is_not_one_of_an_option_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="--set time: input should be 'add', 'multiply', 'adagn' or 'none'; 'film'"):
        parse_settings(["time=film"], "heads", "transformer")


def test_an_unknown_setting_names_those_there_are_and_not_what_hspace_gives() -> None:
    with pytest.raises(UsageError, match="head 'delta-block' has no setting 'h_shape'; it takes form, time, norm"):
        parse_settings(["h_shape=[1,2,3]"], "heads", "delta-block")


def test_a_pair_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(UsageError, match="--set takes key=value; 'form' was given"):
        parse_settings(["form"], "heads", "delta-block")


def test_an_unknown_head_is_answered_with_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'transformer'"):
        parse_settings([], "heads", "transfomer")
