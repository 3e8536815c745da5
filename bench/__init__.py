"""Benchmarks: `python -m bench` measures the platform beside a bare aiohttp server and prints a table."""
