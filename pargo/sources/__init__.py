"""Sources: what is fetched, made or put there by hand, brought into the form that all later stages read."""
