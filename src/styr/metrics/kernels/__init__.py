"""Compiled inner loops. Plain functions over numpy arrays: no Python objects, no I/O, no locks. Each file's kernels are called
by one room; what several share (varints, checksums, XOR chunks) stands in files of that name. `jit.py` says how they compile.
"""
