"""What a platform decides: who is asked, whether it fits, what is kept."""
