"""The people behind tasks: what they understand, what they say, and when.  They are told by `worlddb.tasks.user.Script`."""
