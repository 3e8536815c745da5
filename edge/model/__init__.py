"""The OPACA models as msgspec Structs; the only place that knows camelCase."""
