"""The tests; packages, so that what several of them need can be imported."""
