"""`python -m tsattn`: says which commands there are."""

print("""tsattn is used by four commands, each with --help:

  python -m tsattn.train      train a self-attention model on a table of numbers over time
  python -m tsattn.predict    the next values of a table, trained or at once
  python -m tsattn.backtest   what it would have said in the past, beside the naive forecasts
  python -m tsattn.pretrain   make another network that forecasts without training, from simulated series""")
