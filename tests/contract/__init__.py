"""The wire contract as data, and the runner that holds every server of this project to it."""
