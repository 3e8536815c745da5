"""The platform's HTTP: one route table, thin handlers."""
