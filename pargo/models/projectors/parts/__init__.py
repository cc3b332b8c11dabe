"""What projectors are built of, and share."""
