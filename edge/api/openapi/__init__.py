"""OpenAPI documents: of the agents' actions and of the platform itself."""
