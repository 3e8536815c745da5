"""This project and other people's software, unmodified."""
