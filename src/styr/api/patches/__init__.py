"""The three ways to change a part of an object. Pure functions of (document, patch); called by `verbs.patch`."""
