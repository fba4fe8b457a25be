"""Admission: what is asked about a write, a delete or a connection before it happens, beside the rules of its kind."""
