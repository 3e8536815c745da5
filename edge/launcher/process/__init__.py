"""Containers as processes of this machine: started, watched, limited, ended with all that they started."""
