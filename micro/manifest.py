"""Frozen builds of MicroPython: include() this in the manifest of a board, beside its own (docs/boards-program.md)."""
# ruff: noqa: F821 - the firmware's build defines what is called here

package("opaca_micro", base_path=".", opt=3)
