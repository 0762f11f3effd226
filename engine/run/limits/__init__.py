"""What the outside allows to be asked, what is spent of it, and when there is room again."""
