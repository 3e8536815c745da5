"""The parts together, over real sockets."""
