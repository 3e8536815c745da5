"""How a call reaches a container or another platform: one interface, several roads."""
