"""Where the core and AWS meet: the engine, its journal, and the Job that users hold."""
