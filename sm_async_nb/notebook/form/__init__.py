"""A job as it is built by hand: fields, a plan in view, and the code that does the same."""
