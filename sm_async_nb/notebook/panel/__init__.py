"""A job as it is shown live: the view of it, its table, and what stands around that."""
