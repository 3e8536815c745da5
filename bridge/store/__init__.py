"""The bridge's durable store: what was accepted for others, and what was taken from them, in one SQLite file."""

from bridge.store.clock import Clock
from bridge.store.event import Batch, Entry, Event, Fate, Loss, Numbered, Taken
from bridge.store.figures import Figures, LaneFigures
from bridge.store.lanes import DOWN, UP, Lane, LanePolicy, Refused, WhenFull
from bridge.store.schema import LAST_SEQ
from bridge.store.store import Store

__all__ = [
    "DOWN",
    "LAST_SEQ",
    "UP",
    "Batch",
    "Clock",
    "Entry",
    "Event",
    "Fate",
    "Figures",
    "Lane",
    "LaneFigures",
    "LanePolicy",
    "Loss",
    "Numbered",
    "Refused",
    "Store",
    "Taken",
    "WhenFull",
]
