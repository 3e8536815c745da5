"""Boards: `opaca_micro` runs on them, `host` stands in for their hardware, `flash` is what a computer does for them."""
