"""kubectl's commands: the table, in files by what they are about."""
