"""Downloads: the table of what is had from elsewhere, and how each kind of it is fetched, checked and unpacked."""
