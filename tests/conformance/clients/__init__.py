"""Every client that people have, unmodified, as a recorded contract.

| file | what |
|---|---|
| `case.py` | what a case is: data, one step after the other |
| `scene.py` | a namespace of its own on a running Styr, where one case is played |
| `clients.py` | the list of clients and where their programs are |
| `run.py` | plays a case with a program |
| `kubectl/` | the table of kubectl's commands |
| `python/` | the clients of PyPI |
| `helm/` | helm and the charts that it installs |
| `recorder.py`, `transcript.py` | what a client sent and was answered, as lines of `recorded/` |
| `replay.py` | sends those lines again, without any client |
| `report.py` | runs the clients that are here, writes `recorded/` and `docs/clients.md` |
"""
