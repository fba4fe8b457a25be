"""What objects look like, pure: no I/O, no asyncio, no clock. Everything above imports this; it imports only the
standard library's data modules. Objects are plain dicts in Kubernetes' own shape (`Object`); the functions here read
and compare them and never keep one."""
