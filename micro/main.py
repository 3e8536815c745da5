"""What a board runs: `agents`, one or a list, of the author's `program.py`."""

from opaca_micro import board


def agents():
    """Load the program; what goes wrong in it ends in safe mode, not in a board that cannot be reached."""
    import program

    return program.agents


board.run(agents)
