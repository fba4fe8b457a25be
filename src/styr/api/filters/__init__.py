"""What stands around every request, one file each: who really acts (impersonation), whose turn it is (priority), what is
written down of it (audit). Called by the server; none knows another."""
