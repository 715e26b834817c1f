"""HTTP: the tables that map commands to requests, and the clients that send them."""
