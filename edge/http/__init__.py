"""What every HTTP server of the project shares: platform, agents that run alone, and bridge."""
