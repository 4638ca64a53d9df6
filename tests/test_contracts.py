"""Every card in the registry is held to its contract: to register is to be tested."""

from collections.abc import Mapping
from typing import Any

import pytest

from hspace.plugins import plugins
from hspace.store import weights_status
from hspace.testing import BackboneContract, EncoderContract, FinderContract, HeadContract, MetricContract
from hspace.testing.backbone import require_weights

VARIANTS: Mapping[str, list[Mapping[str, Any]]] = {
    "table": [{"timesteps": [0, 400, 999], "components": 3, "component": 1}],
    "delta-block": [{"form": "openai"}, {"time": "none"}, {"norm_num_groups": 8}],
    "transformer": [{"form": "reproduction", "tokens": "channel-pixel", "time": "adagn"}],
    "jacobian-svd": [{"k": 3, "at": 400}],
}
"""Configurations beside the default one."""
OWN = {"pca", "jacobian-parts"}
"""Finders that do not return what the toy plants, but other directions of its span; their own tests plant these."""


def _class(contract: type, name: str, index: int, **attributes: Any) -> None:
    title = f"Test{name.title().replace('-', '')}{contract.__name__.removesuffix('Contract')}{index or ''}"
    globals()[title] = type(title, (contract,), attributes)


for _card in plugins().cards("backbones"):
    _status = weights_status(_card)
    if not _card.needs and _status in ("bundled", "cached"):
        _told = {name: _card.facts[name] for name in ("condition", "image_tolerance") if name in _card.facts}
        _marked = {"pytestmark": pytest.mark.weights} if _status == "cached" else {}
        _class(BackboneContract, _card.name, 0, card=_card.name, **_told, **_marked)

for _card in plugins().cards("heads"):
    for _index, _config in enumerate([{}, *VARIANTS.get(_card.name, [])]):
        _class(HeadContract, _card.name, _index, head=_card.name, config=_config)

for _card in plugins().cards("finders"):
    if not _card.needs and _card.name not in OWN:
        for _index, _config in enumerate([{}, *VARIANTS.get(_card.name, [])]):
            _class(FinderContract, _card.name, _index, finder=_card.name, config=_config)

for _card in plugins().cards("encoders"):
    if not _card.needs and _card.facts.get("weights", "bundled") == "bundled":
        _class(EncoderContract, _card.name, 0, encoder=_card.name)

SETTINGS: Mapping[str, Mapping[str, Any]] = {"sc": {"segmenter": "toys:bright"}}
"""Settings without which a metric cannot be built."""
for _card in plugins().cards("metrics"):
    if _card.name != "lpips":  # its weights do not come with it; its plugin tests it with random ones
        _class(MetricContract, _card.name, 0, metric=_card.name, config=SETTINGS.get(_card.name, {}))


def test_a_backbone_whose_weights_are_not_at_hand_is_skipped_and_says_so() -> None:
    card = next(card for card in plugins().cards("backbones") if card.facts.get("get"))
    if weights_status(card) == "cached":
        pytest.skip("its weights are at hand here")
    with pytest.raises(pytest.skip.Exception, match=f"the weights of {card.name} are not at hand"):
        require_weights(card.name)


def test_there_is_something_of_each_kind_to_test() -> None:
    assert {"ddpmpp-random-tiny"} <= {card.name for card in plugins().cards("backbones")}
    assert {"table", "delta-block"} <= {card.name for card in plugins().cards("heads")}
    assert {"toyclip"} <= {card.name for card in plugins().cards("encoders")}
    assert {"jacobian-svd"} <= {card.name for card in plugins().cards("finders")}
    assert {"psnr", "fid", "toyfaces"} <= {card.name for card in plugins().cards("metrics")}
