"""The cards of the published checkpoints: complete, and in agreement with the facts of the official code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hspace.cards import Card
from hspace.store import Store, store_of
from hspace.testing.imports import heavy_after
from hspace_backbones import hub
from hspace_backbones.conversion import FAMILIES
from hspace_backbones.manifest import blueprints, parameters
from hspace_backbones.published import cards, checkpoints, like, published

PARITY = Path(__file__).parents[4] / "shared" / "parity"
FACTS = [json.loads(path.read_text()) for path in sorted(PARITY.glob("*.json")) if "asyrp" not in path.name]
CARDS = {card.name: card for card in cards()}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_tells_all_that_is_known(card: Card) -> None:
    keys = {"family", "x_shape", "h_shape", "h_site", "schedule", "licence", "source", "weights", "get", "official"}
    assert {key for key in keys if not card.facts.get(key)} == set()
    assert card.facts["family"] in FAMILIES
    assert card.facts["weights"] == ("download" if {"repo", "url"} & card.facts.keys() else "bring-your-own")
    assert "repo" in card.facts or card.facts["file"] in card.facts["get"]


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_what_a_card_knows_of_a_file_is_well_formed(card: Card) -> None:
    for name, digits in {"sha256": 64, "md5": 32, "revision": 40}.items():
        value = card.facts.get(name)
        assert value is None or (len(value) == digits and int(value, 16))
    assert card.facts.get("url", "https://").startswith("https://")


@pytest.mark.skipif(not FACTS, reason="the facts of the official code are not beside this checkout")
@pytest.mark.parametrize("facts", FACTS, ids=[facts["variant"] for facts in FACTS])
def test_every_published_file_has_a_card_with_its_shapes(facts: dict[str, Any]) -> None:
    of_model = {name: one for name, one in checkpoints().items() if one["model"] == facts["variant"]}
    files = {one["file"]: name for name, one in of_model.items() if "repo" not in one}
    for one in facts["published"]:
        if one["file"].startswith("("):
            continue  # names that the repositories do not state
        name = files[one["file"].rpartition(" in ")[2].rpartition("/")[2]]
        assert CARDS[name].facts["h_shape"] == tuple(facts["bottleneck"]["shape"])
        assert CARDS[name].facts.get("url", one.get("url")) == one.get("url", CARDS[name].facts.get("url"))
        assert CARDS[name].facts.get("md5") == one.get("md5")
        assert one["source"].startswith(CARDS[name].facts["source"])


@pytest.mark.parametrize("name", published())
def test_a_manifest_has_the_parameters_of_the_official_code(name: str) -> None:
    facts = next((one for one in FACTS if one["variant"] == name), None)
    if facts is None:
        pytest.skip("the facts of the official code are not beside this checkout")
    model = published()[name]
    shapes = parameters(blueprints(model["family"], model, 32)["unet"])
    count = facts.get("num_parameters") or facts["num_unet_parameters"]
    assert sum(_product(shape) for shape in shapes.values()) == count


def _product(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def test_the_repositories_of_the_hub_are_those_of_the_families_that_it_has() -> None:
    assert {card.facts["family"] for card in CARDS.values() if "repo" in card.facts} == set(hub.FILES)


def test_a_checkpoint_is_known_to_convert_by_card_file_and_repository() -> None:
    for name in ("sdedit-celebahq", "celeba_hq.ckpt", "celeba_hq", "google/ddpm-ema-celebahq-256"):
        assert like(name, "ddpmpp") is published()["ddpm-celebahq256"]
    assert like("openai-imagenet256", "adm") is like("256x256_diffusion_uncond.pt", "adm")


def test_the_store_is_one() -> None:
    store: Store = store_of(CARDS["sdedit-celebahq"])
    assert not store.cached(CARDS["sdedit-celebahq"])


def test_looking_for_what_is_cached_imports_nothing_heavy() -> None:
    assert (
        heavy_after("from hspace_backbones import store, published\n[store.cached(c) for c in published.cards()]") == []
    )


def test_looking_for_what_is_cached_takes_no_time() -> None:
    code = "import time; from hspace_backbones import store, published; start = time.process_time()\n"
    code += "[store.cached(card) for card in published.cards()]; print(time.process_time() - start)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True)
    assert float(ran.stdout) < 0.1
