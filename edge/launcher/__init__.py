"""How containers come to run: inside this process, as processes of their own, or already running elsewhere."""
