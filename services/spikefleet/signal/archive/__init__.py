"""Lossless archives: a recording's samples compressed, everything else byte for byte, all digested.

An archive is a folder that is valid only through its ``archive.json``, and is itself a recording.
"""
