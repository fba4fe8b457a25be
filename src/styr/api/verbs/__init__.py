"""One verb a file: functions of a `Call` over store and registry. Called by `api.server` only."""
