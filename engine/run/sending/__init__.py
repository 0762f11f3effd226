"""From a planned effect to its receipt: looked up, sent once, and what is known of whom it is sent to."""
