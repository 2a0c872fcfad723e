"""The table of attention and position codes: in the settings, in the documentation and as trained models."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tsattn import Forecaster
from tsattn.config import ATTENTIONS, POSITIONALS, POSITIONS_OF, EncoderConfig
from tsattn.models.encoder import Encoder

ALLOWED = [(attention, code) for attention in ATTENTIONS for code in POSITIONALS if code in POSITIONS_OF[attention]]
FORBIDDEN = [(attention, code) for attention in ATTENTIONS for code in POSITIONALS if code not in POSITIONS_OF[attention]]
DOCUMENT = Path(__file__).parents[1] / "docs" / "attention.md"


def documented() -> dict[str, dict[str, str]]:
    """Rows of the first table of the document by the name of the attention."""
    lines = [line.strip("|").split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in rows}


def test_the_documented_table_is_the_one_of_the_settings():
    table = documented()
    assert tuple(table) == ATTENTIONS
    for attention, row in table.items():
        assert sorted(row["`model.positional`"].split(", ")) == sorted(POSITIONS_OF[attention])
        assert all(row.values())


def test_every_kind_and_every_code_has_a_paragraph():
    text = DOCUMENT.read_text()
    for name in (*ATTENTIONS, *POSITIONALS):
        assert f"\n**{name}**: " in text


def test_the_table_has_every_attention_and_names_only_codes_that_exist():
    assert set(POSITIONS_OF) == set(ATTENTIONS)
    assert len(ALLOWED) == sum(len(codes) for codes in POSITIONS_OF.values())
    assert FORBIDDEN == [("additive", "rotary"), ("linear", "alibi"), ("linear", "relative")]


@pytest.mark.parametrize(("attention", "positional"), FORBIDDEN)
def test_a_pair_that_does_not_go_together_is_refused_with_those_that_do(attention, positional):
    with pytest.raises(ValueError, match=f"attention={attention} cannot use model.positional={positional}") as caught:
        EncoderConfig(attention=attention, positional=positional)
    for name, codes in POSITIONS_OF.items():
        assert f"{name}: {', '.join(codes)}" in str(caught.value)


@pytest.mark.parametrize(("attention", "positional"), ALLOWED)
def test_every_pair_that_goes_together_gives_finite_forecasts(attention, positional):
    sizes = {"patch_length": 1, "d_model": 8, "num_layers": 2, "num_heads": 2, "d_ff": 8, "head": "quantile"}
    config = EncoderConfig(attention=attention, positional=positional, attention_window=5, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Encoder(config, num_features=2, context_length=23, horizon=4, levels=[0.1, 0.5, 0.9]).eval()
    generator = torch.Generator().manual_seed(1)
    context, features = torch.randn(3, 23, 1, generator=generator), torch.randn(3, 27, 2, generator=generator)
    observed = torch.rand(context.shape, generator=generator) < 0.7
    observed[2] = False
    with torch.no_grad():
        raw, scale = model(context, observed, features, 4)
        assert model.head.quantiles(raw, scale).isfinite().all()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded, _ = model(context, observed, features, 4)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, raw, rtol=0.1, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("attention", "positional"), ALLOWED)
def test_every_pair_that_goes_together_is_trained_saved_and_loaded(
    attention, positional, quick, two_waves, answered_by_network, tmp_path
):
    sizes = {"d_model": 8, "num_layers": 1, "num_heads": 2, "d_ff": 8, "head": "quantile"}
    model = EncoderConfig(attention=attention, positional=positional, attention_window=8, **sizes)
    forecaster = answered_by_network(Forecaster(config=quick(model=model)).fit(two_waves))
    settings = forecaster.fitted_.settings
    assert (settings.model.attention, settings.model.positional) == (attention, positional)
    assert ("elapsed" in forecaster.fitted_.schema.features[:1]) == (positional == "calendar")
    expected = forecaster.predict()
    assert expected["forecast"].notna().all()
    assert set(expected["model"]) == {"network"}
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(two_waves), expected, check_exact=True)
