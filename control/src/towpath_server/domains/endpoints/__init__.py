"""The names that callers use, and the targets behind them."""
